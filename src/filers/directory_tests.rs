//! The directory filer on a real file system.

use super::*;
use crate::filers::FilerSpec;
use crate::render;
use crate::render::fixtures::look;
use std::fs;
use std::os::unix::fs::symlink;

/// A directory of its own for each test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("firedrill-filer-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    /// Everything below, relative, in order.
    fn tree(&self) -> Vec<String> {
        fn walk(root: &Path, at: &Path, out: &mut Vec<String>) {
            for entry in fs::read_dir(at).expect("readable") {
                let path = entry.expect("an entry").path();
                if path.is_dir() && !path.is_symlink() {
                    walk(root, &path, out);
                } else {
                    out.push(path.strip_prefix(root).expect("below").display().to_string());
                }
            }
        }
        let mut out = Vec::new();
        walk(&self.0, &self.0, &mut out);
        out.sort();
        out
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn file(root: &Path, layout: Layout, report: &Report) -> Result<Filed, FilerError> {
    Directory::new(root, layout).file(report, &render::all(report))
}

fn another_drill(report: &Report) -> Report {
    let mut other = report.clone();
    other.identity.drill = "019aa4f2-ffff-7b52-9f0a-3d5e8a1b2c33".into();
    other
}

#[test]
fn a_report_lies_in_a_directory_of_its_drill_in_every_form() {
    let scratch = Scratch::new();
    let report = look("failover-pass");
    let filed = file(&scratch.0.join("reports"), Layout::ByDrill, &report).expect("filed");
    let base = "reports/orders-primary-loss/2026-11-21T050003Z";
    let names = [".drill", "report.html", "report.json", "report.md", "report.xml"];
    assert_eq!(scratch.tree(), names.map(|name| format!("{base}/{name}")));
    assert_eq!(filed.page, scratch.0.join(base).join("report.html").display().to_string());
    let json = fs::read_to_string(scratch.0.join(base).join("report.json")).expect("readable");
    assert_eq!(Report::from_json(&json).expect("a report"), report);
}

#[test]
fn the_plain_layout_is_what_the_demo_promises() {
    let scratch = Scratch::new();
    file(&scratch.0, Layout::Plain, &look("failover-pass")).expect("filed");
    let names = [".drill", "report.html", "report.json", "report.md", "report.xml"];
    assert_eq!(scratch.tree(), names.map(|name| format!("orders-primary-loss/{name}")));
}

#[test]
fn filing_again_changes_nothing_and_another_drill_is_never_overwritten() {
    let scratch = Scratch::new();
    let report = look("failover-pass");
    let first = file(&scratch.0, Layout::ByDrill, &report).expect("filed");
    let tree = scratch.tree();
    assert_eq!(file(&scratch.0, Layout::ByDrill, &report).expect("filed again"), first);
    assert_eq!(scratch.tree(), tree);

    let second = file(&scratch.0, Layout::ByDrill, &another_drill(&report)).expect("the same second");
    assert!(second.place.ends_with("2026-11-21T050003Z-2"), "{}", second.place);
    let kept = fs::read_to_string(Path::new(&first.place).join("report.json")).expect("still there");
    assert!(kept.contains(&report.identity.drill));
}

#[test]
fn the_plain_layout_refuses_another_drills_report() {
    let scratch = Scratch::new();
    let report = look("failover-pass");
    file(&scratch.0, Layout::Plain, &report).expect("filed");
    file(&scratch.0, Layout::Plain, &report).expect("filed again");
    let error = file(&scratch.0, Layout::Plain, &another_drill(&report)).expect_err("occupied");
    assert!(matches!(&error, FilerError::Occupied { found, .. } if *found == report.identity.drill), "{error}");
    assert!(!error.may_pass());
}

#[test]
fn what_a_killed_runner_left_half_written_is_finished_by_the_next_attempt() {
    let scratch = Scratch::new();
    let report = look("failover-pass");
    let place = scratch.0.join("orders-primary-loss/2026-11-21T050003Z");
    fs::create_dir_all(&place).expect("made");
    fs::write(place.join(".drill"), &report.identity.drill).expect("written");
    fs::write(place.join(format!(".report.html.{}.tmp", report.identity.drill)), "<!DOCTYPE ht").expect("written");
    file(&scratch.0, Layout::ByDrill, &report).expect("filed");
    assert!(!scratch.tree().iter().any(|name| name.contains(".tmp")), "{:?}", scratch.tree());
}

#[test]
fn two_drills_of_one_second_filed_at_once_get_a_directory_each() {
    let scratch = Scratch::new();
    let report = look("preflight-refused");
    let places: Vec<String> = std::thread::scope(|scope| {
        let filing: Vec<_> = (0..8)
            .map(|n| {
                let mut report = report.clone();
                report.identity.drill = format!("019aa4f2-0000-7000-8000-{n:012}");
                let root = &scratch.0;
                scope.spawn(move || file(root, Layout::ByDrill, &report).expect("filed").place)
            })
            .collect();
        filing.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let mut distinct = places.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), places.len(), "{places:?}");
}

#[test]
fn a_symbolic_link_is_never_followed_below_the_root() {
    let report = look("failover-pass");
    for link in ["orders-primary-loss", "orders-primary-loss/2026-11-21T050003Z"] {
        let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
        let at = scratch.0.join(link);
        fs::create_dir_all(at.parent().expect("below the root")).expect("made");
        symlink(&elsewhere.0, &at).expect("linked");
        let error = file(&scratch.0, Layout::ByDrill, &report).expect_err("in the way");
        assert!(error.to_string().contains("a symbolic link"), "{error}");
        assert_eq!(elsewhere.tree(), [""; 0]);
    }
}

#[test]
fn a_symbolic_link_in_place_of_a_file_is_replaced_or_refused_and_its_target_untouched() {
    let (scratch, elsewhere) = (Scratch::new(), Scratch::new());
    let report = look("failover-pass");
    let victim = elsewhere.0.join("victim");
    fs::write(&victim, "precious").expect("written");
    let place = scratch.0.join("orders-primary-loss");
    fs::create_dir(&place).expect("made");
    symlink(&victim, place.join("report.html")).expect("linked");
    symlink(&victim, place.join(format!(".report.md.{}.tmp", report.identity.drill))).expect("linked");
    file(&scratch.0, Layout::Plain, &report).expect("filed");
    assert!(!place.join("report.html").is_symlink());
    assert_eq!(fs::read_to_string(&victim).expect("there"), "precious");

    fs::remove_file(place.join(".drill")).expect("removed");
    symlink(&victim, place.join(".drill")).expect("linked");
    let error = file(&scratch.0, Layout::Plain, &report).expect_err("in the way");
    assert!(matches!(error, FilerError::InTheWay { .. }), "{error}");
}

#[test]
fn names_stay_one_step_below_the_root_and_apart() {
    for hostile in ["../../etc", "..", ".", "", "a/b", "x\0y", "/abs", "ü", &"n".repeat(4_000)] {
        let name = file_name(hostile);
        assert!(
            !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.') && !name.contains(['/', '\0']),
            "{hostile:?} → {name:?}"
        );
    }
    assert_eq!(file_name("orders-primary-loss"), "orders-primary-loss");
    assert_ne!(file_name("a/b"), file_name("a-b"));
    assert_ne!(file_name("a/b"), file_name("a\\b"));

    let scratch = Scratch::new();
    let root = scratch.0.join("root");
    let mut report = look("preflight-refused");
    report.experiment.name = "../../escaped".into();
    file(&root, Layout::ByDrill, &report).expect("filed");
    assert!(scratch.tree().iter().all(|name| name.starts_with("root/")), "{:?}", scratch.tree());
}

#[test]
fn a_file_in_the_way_and_a_missing_right_say_what_and_where() {
    let scratch = Scratch::new();
    let report = look("failover-pass");
    fs::write(scratch.0.join("orders-primary-loss"), "mine").expect("written");
    let error = file(&scratch.0, Layout::ByDrill, &report).expect_err("in the way");
    assert!(error.to_string().contains("orders-primary-loss is a file"), "{error}");

    let error =
        file(&scratch.0.join("orders-primary-loss/below"), Layout::ByDrill, &report).expect_err("not a directory");
    assert!(error.may_pass() && error.to_string().starts_with("cannot make"), "{error}");
}

#[test]
fn the_word_of_a_filer_leads_to_it() {
    let spec = FilerSpec::Directory("reports".into());
    assert_eq!((spec.word(), spec.build().name().as_str()), ("directory", "directory reports"));
}
