//! Files as they come: line ends, byte order marks, aliases, and values that go through JSON.

use firedrill::spec::estate::{Estate, Target};
use firedrill::spec::experiment::Experiment;
use firedrill::spec::load::{find_estate, load, load_estate, parse_estate, parse_experiment};
use firedrill::spec::manager;
use firedrill::spec::primary_rule::PrimaryRule;
use std::path::{Path, PathBuf};

const EXPERIMENT: &str = "experiment: shop\ntitle: Es kommt zurück\nowner: sre@shop.example\nobjectives: { rto: 1m }\n\
    probes: [shop]\nmethod:\n  - scale-to-zero: { target: web, hold: 20s }\n";

#[test]
fn line_ends_and_a_byte_order_mark_change_no_value_and_no_place() {
    let plain = parse_experiment("a.yaml", EXPERIMENT.as_bytes()).unwrap();
    let place = plain.source.locate("method[0].scale-to-zero.hold").unwrap();
    assert_eq!(place.to_string(), "a.yaml:7:41");
    for text in [EXPERIMENT.replace('\n', "\r\n"), EXPERIMENT.replace('\n', "\r"), format!("\u{feff}{EXPERIMENT}")] {
        let other = parse_experiment("a.yaml", text.as_bytes()).unwrap();
        assert_eq!(other.value, plain.value);
        assert_eq!(other.source.locate("method[0].scale-to-zero.hold").unwrap(), place);
    }
}

#[test]
fn an_alias_stands_where_it_is_used() {
    let text = "environment: shop\nallow: []\ntargets:\n  web: &web\n    deployments: { namespace: shop, select: all }\n  same: *web\n";
    let estate = parse_estate("a.yaml", text.as_bytes()).unwrap();
    assert_eq!(estate.value.targets.len(), 2);
    assert_eq!(estate.source.locate("targets.same").unwrap().line, 6);
    let broken = text.replace("select: all", "select: some");
    let problems = parse_estate("a.yaml", broken.as_bytes()).unwrap_err();
    assert!(problems.0.iter().any(|p| p.place.line == 5), "{problems}");
}

#[test]
fn a_failover_manager_stands_for_its_labels() {
    let target = |how: &str| {
        let text =
            format!("environment: shop\nallow: []\ntargets:\n  db: {{ postgres: {{ {how}, url: {{ env: DB }} }} }}\n");
        let loaded = parse_estate("a.yaml", text.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
        let json = serde_json::to_string(&loaded.value).unwrap();
        assert_eq!(serde_json::from_str::<Estate>(&json).unwrap(), loaded.value, "{how}");
        loaded.value.targets.into_values().next().unwrap()
    };
    for manager in manager::words() {
        let Target::Postgres(db) = target(&format!("{manager}: {{ namespace: shop, cluster: orders }}")) else {
            panic!("no database")
        };
        assert_eq!((db.namespace.as_str(), db.port), ("shop", 5432));
        assert!(db.members.contains("=orders"), "{db:?}");
        let primary = serde_json::to_string(&db.primary).unwrap();
        let lock = db.leader_lock.as_ref().map(|l| format!(", leader-lock: {}", serde_json::to_string(l).unwrap()));
        let lock = lock.unwrap_or_default();
        let written = format!("namespace: shop, members: {:?}, primary: {primary}{lock}", db.members);
        assert_eq!(target(&written), Target::Postgres(db), "{manager}");
    }
    let Target::Postgres(db) = target("patroni: { namespace: shop, cluster: orders }") else { panic!("no database") };
    assert_eq!(db.members, "cluster-name=orders");
    assert_eq!(db.primary, PrimaryRule::Label("role in (primary,master)".to_owned()));
    let query = "primary: { sql: \"select not pg_is_in_recovery()\" }";
    let Target::Postgres(db) = target(&format!("namespace: shop, members: app=pg, {query}")) else {
        panic!("no database")
    };
    assert_eq!(db.primary, PrimaryRule::Sql("select not pg_is_in_recovery()".to_owned()));
}

#[test]
fn what_was_loaded_survives_json() {
    for estate in ["production", "staging"] {
        let estate =
            load_estate(Path::new("experiments/estates").join(format!("{estate}.yaml")).as_path()).unwrap().value;
        let json = serde_json::to_string(&estate).unwrap();
        assert_eq!(serde_json::from_str::<Estate>(&json).unwrap(), estate);
    }
    for name in ["orders-primary-loss", "web-scale-to-zero", "orders-backup-restore", "weekly-backup-restore"] {
        let file = Path::new("experiments").join(format!("{name}.yaml"));
        let experiment = load(&file, Path::new("experiments/estates/staging.yaml")).unwrap().experiment;
        let json = serde_json::to_string(&experiment).unwrap();
        assert_eq!(serde_json::from_str::<Experiment>(&json).unwrap(), experiment);
    }
}

#[test]
fn both_files_are_told_about_at_once() {
    let problems =
        load(Path::new("tests/bad/shape/unknown-key.yaml"), Path::new("tests/bad/estate/port-zero.yaml")).unwrap_err();
    let files: Vec<&str> = problems.0.iter().map(|p| p.place.file.as_str()).collect();
    assert_eq!(files, ["tests/bad/shape/unknown-key.yaml", "tests/bad/estate/port-zero.yaml"]);
}

#[test]
fn an_estate_is_found_by_name_by_path_and_alone() {
    let experiment = Path::new("experiments/orders-primary-loss.yaml");
    let production = PathBuf::from("experiments/estates/production.yaml");
    assert_eq!(find_estate(experiment, Some("production")).unwrap(), production);
    assert_eq!(find_estate(experiment, Some("experiments/estates/production.yaml")).unwrap(), production);
    assert_eq!(
        find_estate(Path::new("tests/bad/fit/target-unknown.yaml"), None).unwrap(),
        PathBuf::from("tests/bad/fit/estates/shop.yaml")
    );

    let slip = find_estate(experiment, Some("produktion")).unwrap_err();
    assert_eq!(slip.0[0].nearest.as_deref(), Some("production"));
    let several = find_estate(experiment, None).unwrap_err();
    assert!(several.0[0].help.as_ref().unwrap().contains("`production` or `staging`"), "{several:?}");
    assert!(find_estate(Path::new("elsewhere/a.yaml"), Some("production")).is_err());
}

#[test]
fn nothing_of_a_secret_in_a_file_is_in_its_debug_text() {
    let text = "environment: shop\nallow: []\ntargets:\n  db: { postgres: { patroni: { namespace: a, cluster: b }, url: \"postgres://a:hunter2@b/c\" } }\n";
    let problems = parse_estate("a.yaml", text.as_bytes()).unwrap_err();
    assert!(!format!("{problems:?}").contains("hunter2"));
}
