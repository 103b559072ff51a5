//! The examples that are shipped load, fit each other and agree with the schemas.

use firedrill::spec::load::{find_estate, load, load_estate, load_experiment};
use firedrill::spec::problem::Look;
use firedrill::spec::schema::schemas;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn yaml_in(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join(directory))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

/// In which estate each example is meant to run.
const MEANT_FOR: &[(&str, &str)] = &[
    ("orders-primary-loss", "production"),
    ("orders-primary-loss", "staging"),
    ("orders-primary-crash", "staging"),
    ("carts-manager-loss", "staging"),
    ("web-scale-to-zero", "production"),
    ("web-scale-to-zero", "staging"),
    ("orders-backup-restore", "staging"),
    ("weekly-backup-restore", "staging"),
    ("weekly-everything-to-zero", "staging"),
];

#[test]
fn every_estate_loads_and_is_called_as_its_file() {
    let estates = yaml_in("experiments/estates");
    assert_eq!(estates.len(), 2);
    for path in estates {
        let estate = load_estate(&path).unwrap_or_else(|p| panic!("{}", p.render(Look::Plain)));
        assert_eq!(estate.value.environment.as_str(), path.file_stem().unwrap().to_str().unwrap());
    }
}

#[test]
fn every_experiment_loads_is_called_as_its_file_and_is_meant_for_an_estate() {
    for path in yaml_in("experiments") {
        let experiment = load_experiment(&path).unwrap_or_else(|p| panic!("{}", p.render(Look::Plain)));
        let name = experiment.value.experiment.as_str();
        assert_eq!(name, path.file_stem().unwrap().to_str().unwrap());
        assert!(MEANT_FOR.iter().any(|(e, _)| *e == name), "{name} is in no estate");
    }
}

#[test]
fn every_experiment_fits_its_estates() {
    for (experiment, estate) in MEANT_FOR {
        let experiment = root().join(format!("experiments/{experiment}.yaml"));
        let estate = find_estate(&experiment, Some(estate)).unwrap();
        load(&experiment, &estate).unwrap_or_else(|p| panic!("{}", p.render(Look::Plain)));
    }
}

#[test]
fn production_allows_no_restore() {
    let experiment = root().join("experiments/orders-backup-restore.yaml");
    let problems = load(&experiment, &root().join("experiments/estates/production.yaml")).unwrap_err();
    assert!(problems.to_string().contains("`restore-backup` is not allowed in production"), "{problems}");
}

#[test]
fn the_schemas_that_are_committed_are_current() {
    for (name, schema) in schemas() {
        let path = root().join("schema").join(name);
        let fresh = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        if std::env::var_os("FIREDRILL_WRITE_SCHEMAS").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == fresh,
            "schema/{name} is stale: run FIREDRILL_WRITE_SCHEMAS=1 cargo test --test it schemas"
        );
    }
}

#[test]
fn the_examples_agree_with_the_schemas_and_name_them() {
    for (directory, name) in [("experiments/estates", "estate.schema.json"), ("experiments", "experiment.schema.json")]
    {
        let (_, schema) = schemas().into_iter().find(|(n, _)| *n == name).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for path in yaml_in(directory) {
            let text = std::fs::read_to_string(&path).unwrap();
            let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            let comment = text.lines().next().unwrap();
            let reference = comment.strip_prefix("# yaml-language-server: $schema=").unwrap();
            assert!(path.parent().unwrap().join(reference).is_file(), "{}: {reference}", path.display());
        }
    }
}

#[test]
fn a_node_that_was_read_is_found_again() {
    let path = Path::new("experiments/estates/production.yaml");
    let estate = load_estate(&root().join(path)).unwrap();
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let line = 1 + text.lines().position(|l| l.trim_start().starts_with("lag:")).unwrap();
    let place = estate.source.locate("guards.lag").unwrap();
    assert_eq!((place.line as usize, place.column), (line, 8));
    assert!(estate.source.locate("guards.nothing").is_none());
    assert!(estate.source.pointer("guards.lag").ends_with(&format!("production.yaml:{line}:8")));
    assert!(estate.source.pointer("targets.orders-db.postgres.port").contains("its default holds"));
}
