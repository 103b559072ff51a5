//! `check`: many files at once.

use firedrill::spec::check::{FileKind, check};
use firedrill::spec::problem::Look;
use std::path::{Path, PathBuf};

/// A directory of its own, gone when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn estate(name: &str, allow: &str) -> String {
    format!(
        "environment: {name}\nallow: [{allow}]\ntargets:\n  web: {{ deployments: {{ namespace: shop, select: all }} }}\n\
         probes:\n  shop: {{ http: {{ url: \"https://shop.example/\" }} }}\n"
    )
}

fn experiment(name: &str) -> String {
    format!(
        "experiment: {name}\ntitle: It comes back\nowner: sre@shop.example\nobjectives: {{ rto: 1m }}\nprobes: [shop]\n\
         method:\n  - scale-to-zero: {{ target: web }}\n"
    )
}

#[test]
fn the_examples_are_sound_and_say_where_they_fit() {
    let report = check(&[PathBuf::from("experiments")], None);
    assert!(report.sound, "{}", report.render(Look::Plain));
    let fits = |name: &str| report.files.iter().find(|f| f.name.as_deref() == Some(name)).unwrap().fits.clone();
    assert_eq!(fits("orders-primary-loss"), ["production", "staging"]);
    assert_eq!(fits("orders-backup-restore"), ["staging"]);
    assert_eq!(report.files.iter().filter(|f| f.kind == FileKind::Estate).count(), 2);
    insta::assert_snapshot!("examples", report.render(Look::Plain));
}

#[test]
fn a_lone_experiment_is_held_against_the_estates_beside_it() {
    let report = check(&[PathBuf::from("experiments/orders-primary-loss.yaml")], None);
    assert_eq!(report.files.len(), 1);
    assert_eq!(report.files[0].fits, ["production", "staging"]);
}

#[test]
fn a_given_estate_is_the_only_one_that_counts() {
    let experiment = [PathBuf::from("experiments/orders-backup-restore.yaml")];
    let production = check(&experiment, Some(Path::new("experiments/estates/production.yaml")));
    assert!(!production.sound);
    assert!(production.render(Look::Plain).contains("`restore-backup` is not allowed in production"));
    assert!(check(&experiment, Some(Path::new("experiments/estates/staging.yaml"))).sound);
    assert!(check(&experiment, Some(Path::new("staging"))).sound);
    let slip = check(&[PathBuf::from("experiments")], Some(Path::new("stagging")));
    assert_eq!(slip.files[0].problems.0[0].nearest.as_deref(), Some("staging"));
}

#[test]
fn an_experiment_that_fits_no_estate_is_told_about_the_one_that_comes_nearest() {
    let dir = Directory::new("nearest");
    dir.put("estates/empty.yaml", "environment: empty\nallow: []\n");
    dir.put("estates/shop.yaml", &estate("shop", "kill-primary"));
    dir.put("web.yaml", &experiment("web"));
    let report = check(std::slice::from_ref(&dir.0), None);
    let text = report.render(Look::Plain);
    assert!(text.contains("`scale-to-zero` is not allowed in shop"), "{text}");
    assert!(!text.contains("empty.yaml:"), "{text}");
}

#[test]
fn two_files_of_one_name_are_told_apart() {
    let dir = Directory::new("names");
    dir.put("estates/shop.yaml", &estate("shop", "scale-to-zero"));
    let first = dir.put("a.yaml", &experiment("web"));
    dir.put("b.yml", &experiment("web"));
    let report = check(std::slice::from_ref(&dir.0), None);
    let problems: Vec<_> = report.files.iter().flat_map(|f| &f.problems.0).collect();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "two files are called `web`");
    assert_eq!(problems[0].related[0].place.file, first.display().to_string());
}

#[test]
fn manifests_and_hidden_files_in_a_directory_are_passed_over() {
    let dir = Directory::new("manifests");
    dir.put("estates/shop.yaml", &estate("shop", "scale-to-zero"));
    dir.put("deploy/web.yaml", "apiVersion: apps/v1\nkind: Deployment\n");
    dir.put(".hidden/broken.yaml", "][");
    dir.put("notes.txt", "][");
    std::os::unix::fs::symlink(&dir.0, dir.0.join("circle")).unwrap();
    let report = check(std::slice::from_ref(&dir.0), None);
    assert!(report.sound, "{}", report.render(Look::Plain));
    assert_eq!(report.files.len(), 2);
    assert_eq!(report.files[0].kind, FileKind::Manifest);
}

#[test]
fn a_directory_without_yaml_and_a_missing_file_are_problems() {
    let dir = Directory::new("empty");
    assert!(!check(std::slice::from_ref(&dir.0), None).sound);
    assert!(!check(&[dir.0.join("nothing.yaml")], None).sound);
}

#[test]
fn the_json_has_places_and_no_tree() {
    let report = check(&[PathBuf::from("tests/bad/shape/unknown-key.yaml")], None);
    let json = serde_json::to_value(&report).unwrap();
    insta::assert_json_snapshot!("json", json);
}

/// Prints how long 500 files take: `cargo test --release --test it -- --ignored --nocapture five_hundred`.
#[test]
#[ignore = "a measurement, only meaningful in a release build"]
fn five_hundred_files_take_at_most_half_a_second() {
    let dir = Directory::new("many");
    dir.put(
        "estates/shop.yaml",
        &std::fs::read_to_string("experiments/estates/staging.yaml")
            .unwrap()
            .replace("environment: staging", "environment: shop"),
    );
    let text = std::fs::read_to_string("experiments/orders-backup-restore.yaml").unwrap();
    for nth in 0..499 {
        let text = text
            .replace("orders-backup-restore", &format!("restore-{nth}"))
            .replace("runbook: ../runbooks/suspect-backup.md\n", "");
        dir.put(&format!("{nth}.yaml"), &text);
    }
    let mut times: Vec<_> = (0..5)
        .map(|_| {
            let begin = std::time::Instant::now();
            let report = check(std::slice::from_ref(&dir.0), None);
            assert!(report.sound, "{}", report.render(Look::Plain));
            assert_eq!(report.files.len(), 500);
            begin.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[2].as_millis() <= 500, "the median of five runs is {:?}", times[2]);
}
