//! Every way in which kube's client can change a cluster is banned by clippy: also one that its next release brings.

use super::files;
use super::{licences, none};

/// Methods of `kube::Api` that only read, or do not speak to the cluster at all.
const READ: &[&str] = &[
    "get",
    "get_approval",
    "get_ephemeral_containers",
    "get_metadata",
    "get_metadata_opt",
    "get_metadata_opt_with",
    "get_metadata_with",
    "get_opt",
    "get_resize",
    "get_scale",
    "get_status",
    "get_subresource",
    "get_with",
    "list",
    "list_metadata",
    "log_stream",
    "logs",
    // Opens a connection to a pod, as its service would.
    "portforward",
    "watch",
    "watch_metadata",
];

/// The asynchronous methods of the blocks `impl … Api<…>` in a source file.
fn methods(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_api = false;
    for line in source.lines() {
        if line.starts_with("impl") {
            in_api = line.contains("Api<");
        }
        if let Some(rest) = line.trim_start().strip_prefix("pub async fn ").filter(|_| in_api) {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found
}

/// Methods that neither are known to read nor are banned.
fn unbanned(methods: &[String], clippy: &str) -> Vec<String> {
    let banned = |m: &str| clippy.contains(&format!("\"kube::Api::{m}\""));
    methods.iter().filter(|m| !READ.contains(&m.as_str()) && !banned(m)).cloned().collect()
}

#[test]
fn every_call_that_changes_a_cluster_is_banned() {
    let metadata = licences::metadata();
    let kube = metadata.packages.iter().find(|p| p.name.as_str() == "kube-client").expect("kube is built in");
    let api = kube.manifest_path.parent().expect("a manifest lies in a directory").join("src/api");
    let sources = ["core_methods.rs", "subresource.rs", "entry.rs", "util/mod.rs", "util/csr.rs"];
    let methods: Vec<String> = sources
        .iter()
        .flat_map(|file| methods(&std::fs::read_to_string(api.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))))
        .collect();
    assert!(
        ["patch", "delete", "evict", "entry", "restart"].iter().all(|m| methods.iter().any(|n| n == m)),
        "{methods:?}"
    );
    let clippy = std::fs::read_to_string(files::root().join("clippy.toml")).unwrap();
    none(&unbanned(&methods, &clippy));
}

#[test]
fn a_new_call_would_be_seen() {
    let source = "impl<K> Api<K> {\n    pub async fn get(&self) {}\n    pub async fn explode<P: A>(&self) {}\n}\nimpl B {\n    pub async fn c() {}\n}\n";
    assert_eq!(methods(source), ["get", "explode"]);
    assert_eq!(unbanned(&methods(source), "{ path = \"kube::Api::delete\" }"), ["explode"]);
    assert!(unbanned(&methods(source), "{ path = \"kube::Api::explode\" }").is_empty());
}
