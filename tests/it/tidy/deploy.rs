//! What a team installs: every file is YAML that hangs together, and no pod of ours is more than it has to be.

use super::files;
use super::none;
use firedrill::faults::RIGHTS;
use serde_json::Value;
use std::path::Path;

/// The documents of every YAML file below `deploy`, each with its file.
fn shipped() -> Vec<(String, Value)> {
    let files = files::all();
    let yaml = files
        .iter()
        .filter(|f| f.path.starts_with("deploy/") && Path::new(&f.path).extension().is_some_and(|e| e == "yaml"));
    yaml.flat_map(|f| documents(&f.path, &f.text)).collect()
}

fn documents(path: &str, text: &str) -> Vec<(String, Value)> {
    let parsed = |text| serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.split("\n---\n").map(|document| (path.to_owned(), parsed(document))).collect()
}

/// Files of a directory with a kustomization that it does not name, and names of files that are not there.
fn unhung(documents: &[(String, Value)], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, document) in documents.iter().filter(|(path, _)| path.ends_with("/kustomization.yaml")) {
        let directory = path.trim_end_matches("kustomization.yaml");
        let listed = |list: &Value, key: &str| -> Vec<Value> {
            let items = list.as_array().into_iter().flatten();
            items.map(|item| if key.is_empty() { item.clone() } else { item[key].clone() }).collect()
        };
        let generated = document["configMapGenerator"].as_array().into_iter().flatten();
        let generated = generated.flat_map(|map| listed(&map["files"], ""));
        let named = [listed(&document["resources"], ""), listed(&document["patches"], "path")].concat();
        let named: Vec<String> = named
            .into_iter()
            .chain(generated)
            .filter_map(|name| name.as_str().map(|name| format!("{directory}{name}")))
            .collect();
        found.extend(named.iter().filter(|n| !exists(n)).map(|n| format!("{path}: {n} is not there")));
        let beside =
            documents.iter().map(|(other, _)| other).filter(|other| other.starts_with(directory) && *other != path);
        found.extend(
            beside.filter(|other| !named.contains(other)).map(|other| format!("{other}: {path} does not name it")),
        );
    }
    found.dedup();
    found
}

#[test]
fn every_shipped_file_is_part_of_something() {
    let documents = shipped();
    assert!(documents.len() > 12, "{}", documents.len());
    none(&unhung(&documents, |path| files::root().join(path).exists()));
    let made_up = documents_of_a_directory("resources: [a.yaml, b.yaml]");
    assert_eq!(unhung(&made_up, |path| path == "d/a.yaml").len(), 2, "b is not there, c is not named");
}

fn documents_of_a_directory(kustomization: &str) -> Vec<(String, Value)> {
    [("d/kustomization.yaml", kustomization), ("d/a.yaml", "a: 1"), ("d/c.yaml", "c: 1")]
        .into_iter()
        .flat_map(|(path, text)| documents(path, text))
        .collect()
}

/// The templates of pods in a document.
fn pods(document: &Value) -> Vec<&Value> {
    ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"]
        .iter()
        .filter_map(|at| document.pointer(at))
        .collect()
}

/// What a pod could do and need not.
fn too_free(path: &str, pod: &Value) -> Vec<String> {
    let mut wanted = vec![
        (pod.pointer("/securityContext/runAsNonRoot"), Value::from(true)),
        (pod.pointer("/securityContext/seccompProfile/type"), Value::from("RuntimeDefault")),
        (pod.pointer("/serviceAccountName"), Value::from("firedrill")),
    ];
    let containers = pod["containers"].as_array().into_iter().chain(pod["initContainers"].as_array()).flatten();
    for container in containers {
        for (at, value) in [
            ("/securityContext/allowPrivilegeEscalation", Value::from(false)),
            ("/securityContext/readOnlyRootFilesystem", Value::from(true)),
            ("/securityContext/capabilities", serde_json::json!({ "drop": ["ALL"] })),
        ] {
            wanted.push((container.pointer(at), value));
        }
        if container.pointer("/resources/limits/memory").is_none() {
            wanted.push((None, Value::from("a limit of memory")));
        }
    }
    let wrong = wanted.into_iter().filter(|(found, value)| *found != Some(value));
    let mut wrong: Vec<String> = wrong.map(|(found, value)| format!("{path}: {found:?}, and not {value}")).collect();
    let host = ["hostPID", "hostNetwork", "hostIPC"].into_iter().filter(|key| pod.get(key).is_some());
    wrong.extend(host.map(|key| format!("{path}: {key}")));
    wrong
}

/// A patch of a pod names no image: what it leaves out stays as it is, so it must say nothing of rights.
fn is_patch(pod: &Value) -> bool {
    let containers = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let silent = |c: &Value| c.get("image").is_none() && c.get("securityContext").is_none();
    let of_pod = ["securityContext", "serviceAccountName", "hostPID", "hostNetwork", "hostIPC", "initContainers"];
    of_pod.iter().all(|key| pod.get(key).is_none()) && containers.iter().all(silent)
}

#[test]
fn no_pod_is_more_than_it_has_to_be() {
    let mut seen = 0;
    for (path, document) in shipped() {
        for pod in pods(&document).into_iter().filter(|pod| !is_patch(pod)) {
            seen += 1;
            none(&too_free(&path, pod));
        }
    }
    assert!(seen >= 2, "{seen} pods");
    let freed = serde_json::json!({ "containers": [{ "name": "a", "securityContext": {} }] });
    assert!(!is_patch(&freed), "a patch that says something of rights is judged as a pod");
    let free = serde_json::json!({ "hostPID": true, "containers": [{ "name": "a" }] });
    assert_eq!(too_free("a.yaml", &free).len(), 8);
}

/// Bindings to anybody but accounts of ours, and Roles of faults that the runner does not get by the file they are in.
fn wrongly_bound(documents: &[(String, Value)], words: &[&str]) -> Vec<String> {
    let ours = |s: &Value| {
        s["kind"] == "ServiceAccount" && s["name"].as_str().is_some_and(|name| name.starts_with("firedrill"))
    };
    let subjects = |d: &Value| d["subjects"].as_array().cloned().unwrap_or_default();
    let bindings = documents.iter().filter(|(_, d)| d["kind"].as_str().is_some_and(|k| k.ends_with("RoleBinding")));
    let strangers = bindings.clone().filter(|(_, d)| subjects(d).is_empty() || !subjects(d).iter().all(ours));
    let mut found: Vec<String> = strangers.map(|(path, _)| format!("{path}: bound to a stranger")).collect();
    for word in words {
        let path = format!("deploy/roles/{word}.yaml");
        let runner = serde_json::json!([{ "kind": "ServiceAccount", "name": "firedrill", "namespace": "firedrill" }]);
        let role = format!("firedrill-{word}");
        let bound = |d: &Value| d["roleRef"]["name"] == role.as_str() && d["subjects"] == runner;
        if !bindings.clone().any(|(at, d)| *at == path && bound(d)) {
            found.push(format!("{path}: {role} is not bound to the runner's account"));
        }
    }
    found
}

#[test]
fn every_role_of_a_fault_is_the_runners() {
    let words: Vec<&str> = RIGHTS.iter().filter(|(_, rights)| !rights.is_empty()).map(|(word, _)| *word).collect();
    none(&wrongly_bound(&shipped(), &words));
    let stranger = documents("a.yaml", "kind: RoleBinding\nsubjects: [{ kind: Group, name: 'system:authenticated' }]");
    assert_eq!(wrongly_bound(&stranger, &["melt-disk"]).len(), 2);
}

/// A right to everything is no right of ours.
#[test]
fn no_role_grants_everything() {
    let wild = |document: &Value| document["rules"].to_string().contains("\"*\"");
    let found: Vec<String> = shipped().into_iter().filter(|(_, d)| wild(d)).map(|(path, _)| path).collect();
    none(&found);
    assert!(wild(&serde_json::json!({ "rules": [{ "verbs": ["*"] }] })));
}
