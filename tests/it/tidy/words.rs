//! Words that belong to somebody's machine or to somebody's conversation, and to no product.

use super::files::{self, File};
use super::{made_up, none};

/// Each in two pieces, so that this file does not hold what it forbids.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("/wo", "rk/", "a path of one machine"),
    ("/ho", "me/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
    ("../sha", "red", "a place outside the repository"),
    ("issue", " #", "a number in a tracker that readers may not have"),
    ("index.crates", ".io", "a registry's host; Cargo knows it"),
    ("static.crates", ".io", "a registry's host; Cargo knows it"),
    ("registry.npm", "js.org", "a registry's host"),
    ("BEGIN PRIVATE", " KEY", "a secret"),
    ("BEGIN RSA PRIVATE", " KEY", "a secret"),
];

fn forbidden(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    // Keys of servers that live for the length of a test, for hosts that do not exist.
    for file in files.iter().filter(|f| !f.path.contains("/testdata/")) {
        for (nth, line) in file.text.lines().enumerate() {
            for (head, tail, why) in FORBIDDEN {
                let word = format!("{head}{tail}");
                if line.contains(&word) {
                    found.push(format!("{}:{}: `{word}`: {why}", file.path, nth + 1));
                }
            }
        }
    }
    found
}

#[test]
fn nothing_names_a_machine_a_tracker_or_a_secret() {
    none(&forbidden(&files::all()));
    for (head, tail, _) in FORBIDDEN {
        assert_eq!(forbidden(&made_up("docs/a.md", &format!("a\nsee {head}{tail}b\n"))).len(), 1);
    }
}

/// Hosts that nobody was asked about: those that are neither reserved for examples nor the homes of things that are named.
const HOSTS: &[&str] = &[
    "127.0.0.1",
    "localhost",
    "json-schema.org",
    "www.w3.org",
    "www.apache.org",
    "github.com",
    "kubernetes.io",
    "www.postgresql.org",
    "www.rust-lang.org",
    "doc.rust-lang.org",
    "s3.amazonaws.com",
    "kubernetes.default.svc",
];

fn unknown_hosts(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (nth, line) in file.text.lines().enumerate() {
            for rest in line.split("https://").skip(1).chain(line.split("http://").skip(1)) {
                let host: String = rest.chars().take_while(|c| c.is_alphanumeric() || ".-".contains(*c)).collect();
                let known = HOSTS.contains(&host.as_str());
                let invented = host.ends_with(".example") || !host.contains('.');
                if !known && !invented {
                    found.push(format!("{}:{}: {host}", file.path, nth + 1));
                }
            }
        }
    }
    found
}

#[test]
fn invented_hosts_end_in_example() {
    let docs = |f: &File| ["docs/", "experiments/", "runbooks/", "README.md"].iter().any(|p| f.path.starts_with(p));
    let files: Vec<File> = files::all().into_iter().filter(docs).collect();
    none(&unknown_hosts(&files));
    assert_eq!(unknown_hosts(&made_up("docs/a.md", "see https://shop.invented.com/v2")).len(), 1);
    none(&unknown_hosts(&made_up("docs/a.md", "see https://shop.invented.example/v2, http://127.0.0.1:8080")));
}
