//! What the registry of faults promises to readers: an experiment, a runbook and a page for each word.

use super::files::{self, File};
use super::none;
use firedrill::faults::{FAULTS, FaultSpec, RIGHTS};
use firedrill::guards::common::LOCK_RIGHTS;
use firedrill::spec::load::{load_experiment, parse_estate, parse_experiment};
use firedrill::spec::problem::Look;
use firedrill::targets::cluster::Right;
use std::collections::BTreeSet;

/// An experiment that is shipped: its path, the word of its operation, its runbook.
struct Shipped {
    path: String,
    word: &'static str,
    runbook: Option<String>,
}

fn shipped() -> Vec<Shipped> {
    let files = files::all();
    let mine = files.iter().filter(|f| f.path.starts_with("experiments/") && !f.path.contains("/estates/"));
    mine.filter(|f| std::path::Path::new(&f.path).extension().is_some_and(|e| e == "yaml"))
        .map(|f| {
            let loaded =
                load_experiment(&files::root().join(&f.path)).unwrap_or_else(|p| panic!("{}", p.render(Look::Plain)));
            let experiment = loaded.value;
            let word = experiment.method.first().expect("an experiment does something").word();
            Shipped { path: f.path.clone(), word, runbook: experiment.runbook }
        })
        .collect()
}

fn incomplete(words: &[&str], experiments: &[Shipped], pages: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for word in words {
        let mine: Vec<&Shipped> = experiments.iter().filter(|e| e.word == *word).collect();
        if mine.is_empty() {
            found.push(format!("{word}: no file in experiments/ uses it"));
        } else if mine.iter().all(|e| e.runbook.is_none()) {
            found.push(format!("{word}: none of its experiments names a runbook"));
        }
        let page = format!("docs/faults/{word}.md");
        match pages.iter().find(|p| p.path == page) {
            None => found.push(format!("{word}: {page} is missing")),
            Some(p) if !p.text.contains(&format!("`{word}`")) => found.push(format!("{page} does not name `{word}`")),
            Some(_) => {}
        }
    }
    found
}

#[test]
fn every_fault_has_an_experiment_a_runbook_and_a_page() {
    let words: Vec<&str> = FAULTS.iter().map(|(word, _)| *word).collect();
    assert!(words.len() >= 3, "{words:?}");
    none(&incomplete(&words, &shipped(), &files::all()));
}

#[test]
fn a_fault_without_them_is_seen() {
    assert_eq!(incomplete(&["melt-disk"], &[], &[]).len(), 2);
    let without_runbook = [Shipped { path: "experiments/a.yaml".to_owned(), word: "melt-disk", runbook: None }];
    let page = [File::new("docs/faults/melt-disk.md", "# Something else\n")];
    assert_eq!(incomplete(&["melt-disk"], &without_runbook, &page).len(), 2);
}

/// Runbooks that no experiment and no other page leads to.
fn lonely_runbooks(files: &[File], named: &BTreeSet<String>) -> Vec<String> {
    let runbooks = files.iter().filter(|f| f.path.starts_with("runbooks/"));
    let reached = |f: &&File| {
        let name = f.path.trim_start_matches("runbooks/");
        named.iter().any(|n| n.ends_with(name))
            || files.iter().any(|o| {
                o.path != f.path
                    && std::path::Path::new(&o.path).extension().is_some_and(|e| e == "md")
                    && o.text.contains(name)
            })
    };
    runbooks.filter(|f| !reached(f)).map(|f| format!("{}: nothing leads here", f.path)).collect()
}

#[test]
fn every_runbook_is_reached() {
    let experiments = shipped();
    let named: BTreeSet<String> = experiments.iter().filter_map(|e| e.runbook.clone()).collect();
    none(&lonely_runbooks(&files::all(), &named));
    for experiment in &experiments {
        let Some(runbook) = experiment.runbook.as_ref().filter(|r| !r.starts_with("https:")) else { continue };
        let path = files::root().join(&experiment.path).with_file_name(runbook);
        assert!(path.is_file(), "{} names {runbook}, which is not there", experiment.path);
    }
    assert_eq!(lonely_runbooks(&[File::new("runbooks/a.md", "# A\n")], &BTreeSet::new()).len(), 1);
}

/// The demo's experiments are copied to where they are run, so they lie beside the demo and not among the examples.
#[test]
fn the_experiments_of_the_demo_are_sound() {
    let files = files::all();
    let mine: Vec<&File> = files.iter().filter(|f| f.path.starts_with("src/cli/demo/experiments/")).collect();
    assert!(mine.len() >= 4, "{} experiments", mine.len());
    for file in mine {
        let loaded =
            parse_experiment(&file.path, file.text.as_bytes()).unwrap_or_else(|p| panic!("{}", p.render(Look::Plain)));
        let name = loaded.value.experiment.as_str();
        assert!(file.path.ends_with(&format!("/{name}.yaml")), "{} is called {name}", file.path);
        let runbook = loaded.value.runbook.unwrap_or_else(|| panic!("{name} names no runbook"));
        let page = runbook.trim_start_matches("../../");
        assert!(files.iter().any(|f| f.path == page), "{name} names {runbook}");
    }
}

/// What the first Role of a file lacks of what is asked for.
fn ungranted(file: &str, asked: &[Right]) -> Vec<Right> {
    let first = roles(file).into_iter().next().unwrap_or_default();
    let rules = first["rules"].as_array().cloned().unwrap_or_default();
    let has = |rule: &serde_json::Value, key: &str, word: &str| {
        rule[key].as_array().is_some_and(|words| words.iter().any(|w| w.as_str() == Some(word)))
    };
    let granted = |right: &&Right| {
        rules.iter().any(|r| {
            has(r, "apiGroups", right.group) && has(r, "resources", right.resource) && has(r, "verbs", right.verb)
        })
    };
    asked.iter().filter(|a| !granted(a)).copied().collect()
}

/// The Roles of a file.
fn roles(file: &str) -> Vec<serde_json::Value> {
    let documents = file.split("\n---\n").map(|d| serde_saphyr::from_str(d).expect("it is YAML"));
    documents.filter(|d: &serde_json::Value| d["rules"].is_array()).collect()
}

/// A helper's namespace, account and owner are in one file; what its account may do where it acts, in that or another.
#[test]
fn the_roles_grant_what_helpers_are_asked_for() {
    let read = |path: &str| std::fs::read_to_string(files::root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let estate = "environment: lab\nallow: []\ntargets:\n  web: { deployments: { namespace: shop, select: all } }\n  \
         db: { postgres: { patroni: { namespace: shop, cluster: db }, url: { env: URL }, agent: { image: a, \
         namespace: firedrill-agents, service-account: firedrill-agent } } }\n\
         dead-man: { namespace: firedrill-dead-man, image: a, service-account: firedrill-dead-man }\n";
    let estate = parse_estate("estate.yaml", estate.as_bytes()).unwrap_or_else(|p| panic!("{}", p.render(Look::Plain)));
    let mut seen = 0;
    for fault in
        ["scale-to-zero: { target: web }", "kill-primary: { target: db, by: freeze }", "kill-manager: { target: db }"]
    {
        let fault: FaultSpec = serde_saphyr::from_str(fault).expect("it is a fault");
        for helper in fault.helpers(&estate.value) {
            seen += 1;
            let file = read(helper.file);
            let owner = roles(&file).into_iter().next_back().expect("it has a Role");
            assert_eq!(ungranted(&owner.to_string(), helper.owner), [], "{}", helper.file);
            assert!(file.contains(&format!("name: {}, namespace: {}", helper.account, helper.namespace)), "{file}");
            assert_eq!(ungranted(&read(helper.own_file), helper.own), [], "{}", helper.own_file);
            if !helper.meanwhile.is_empty() {
                let role = format!("deploy/roles/{}.yaml", fault.word());
                assert_eq!(ungranted(&read(&role), helper.meanwhile), [], "{role}");
            }
        }
    }
    assert_eq!(seen, 3);
}

#[test]
fn the_roles_grant_what_preflight_asks_for() {
    let read = |path: &str| std::fs::read_to_string(files::root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut with_roles = 0;
    for (word, rights) in RIGHTS.iter().filter(|(_, rights)| !rights.is_empty()) {
        with_roles += 1;
        let wanted = [rights, LOCK_RIGHTS].concat();
        assert_eq!(ungranted(&read(&format!("deploy/roles/{word}.yaml")), &wanted), [], "{word}");
    }
    assert!(with_roles >= 2, "{RIGHTS:?}");
    let asked = [Right::to("delete", "", "pods"), Right::to("patch", "apps", "deployments")];
    let role = "rules: [{ apiGroups: [apps], resources: [deployments], verbs: [get, patch] }]";
    assert_eq!(ungranted(role, &asked), [Right::to("delete", "", "pods")]);
}
