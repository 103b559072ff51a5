//! The house rules, kept by tests. Each rule is a pure function from files to findings, and is shown to be able to fail
//! on made-up text beside the test that holds the repository against it.

mod code;
mod deploy;
mod docs;
mod files;
mod layers;
mod licences;
mod manners;
mod mutations;
mod registry;
mod words;

use files::File;

/// Fails with every finding at once.
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// A made-up file, for showing that a rule can fail.
fn made_up(path: &str, text: &str) -> Vec<File> {
    vec![File::new(path, text)]
}
