//! Files that are wrong, one mistake each, and what is said about them. The messages are read by people under stress: each
//! snapshot should say what is wrong, where, and what to do.

use firedrill::spec::check::{CheckReport, check};
use firedrill::spec::problem::Look;
use firedrill::spec::schema::schemas;
use std::path::{Path, PathBuf};

fn files_in(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(Path::new("tests/bad").join(directory))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

fn all() -> Vec<PathBuf> {
    ["syntax", "shape", "sense", "estate", "fit"].into_iter().flat_map(files_in).collect()
}

fn report(path: &Path) -> CheckReport {
    check(&[path.to_owned()], None)
}

fn snapshots(directory: &str) {
    insta::with_settings!({ snapshot_path => "../../bad/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        for path in files_in(directory) {
            let name = format!("{directory}-{}", path.file_stem().unwrap().to_str().unwrap());
            insta::assert_snapshot!(name, report(&path).render(Look::Plain));
        }
    });
}

#[test]
fn what_is_not_yaml() {
    snapshots("syntax");
}

#[test]
fn what_has_the_wrong_shape() {
    snapshots("shape");
}

#[test]
fn what_makes_no_sense() {
    snapshots("sense");
}

#[test]
fn what_is_wrong_with_an_estate() {
    snapshots("estate");
}

#[test]
fn what_does_not_fit_the_estate() {
    snapshots("fit");
}

#[test]
fn every_problem_has_a_place_in_its_file_and_says_what_was_found_and_what_to_do() {
    let files = all();
    assert!(files.len() >= 60, "{} wrong files", files.len());
    for path in files {
        let report = report(&path);
        assert!(!report.sound, "{} is said to be sound", path.display());
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for problem in report.files.iter().flat_map(|f| &f.problems.0) {
            assert_eq!(problem.place.file, path.to_str().unwrap());
            let line = text.lines().nth(problem.place.line as usize - 1).unwrap_or("");
            assert!(problem.place.column as usize <= line.chars().count() + 1, "{problem:?}");
            assert!(problem.found.is_some(), "{}: {problem:?}", path.display());
            assert!(problem.expected.is_some() || problem.help.is_some(), "{}: {problem:?}", path.display());
        }
    }
}

/// Editors hold files against the schemas and the loader against what was made from the same types: both refuse the same.
#[test]
fn what_has_the_wrong_shape_is_refused_by_the_schemas_too() {
    let (_, schema) = schemas().into_iter().find(|(name, _)| *name == "experiment.schema.json").unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut refused = 0;
    for path in files_in("shape") {
        // What no JSON can hold (a key that is given twice) is not a schema's to refuse.
        let Ok(value) = serde_saphyr::from_str::<serde_json::Value>(&std::fs::read_to_string(&path).unwrap()) else {
            continue;
        };
        // A time beyond all measure looks like any other.
        if path.file_stem().unwrap() != "duration-endless" {
            assert!(!validator.is_valid(&value), "{}", path.display());
            refused += 1;
        }
    }
    assert!(refused > 30, "{refused}");
}

#[test]
fn no_secret_is_ever_shown() {
    for path in all() {
        let report = report(&path);
        let shown = format!("{}{}", report.render(Look::Colour), serde_json::to_string(&report).unwrap());
        assert!(!shown.contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn a_file_beyond_all_measure_is_refused_unread() {
    let directory = tempfile_dir("huge");
    let path = directory.join("huge.yaml");
    std::fs::write(&path, vec![b'#'; 3 << 20]).unwrap();
    let report = report(&path);
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(report.files[0].problems.to_string().contains("larger than 1 MiB"));
}

#[test]
fn what_is_no_file_is_refused() {
    for path in ["/dev/zero", "tests/bad/nothing.yaml"] {
        let report = report(Path::new(path));
        assert!(!report.sound, "{path}");
    }
}

fn tempfile_dir(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}
