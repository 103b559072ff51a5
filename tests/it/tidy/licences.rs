//! The licences of everything that is built in, held against a list with reasons.

use super::files;
use super::none;
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand, PackageId};
use std::collections::BTreeSet;
use std::process::Command;

/// What may be built in, and why it may.
const ALLOWED: &[(&str, &str)] = &[
    ("MIT", "our own; asks for its notice only"),
    ("MIT-0", "MIT without the notice"),
    ("Apache-2.0", "our own; grants patents"),
    ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 that asks for less in binaries"),
    ("BSD-2-Clause", "asks for its notice only"),
    ("BSD-3-Clause", "asks for its notice, and not to advertise with names"),
    ("ISC", "as MIT, in other words"),
    ("Zlib", "asks that changes be marked"),
    ("BSL-1.0", "asks nothing of binaries"),
    ("Unicode-3.0", "for tables of Unicode; asks for its notice only"),
    ("Unlicense", "public domain"),
    ("CC0-1.0", "public domain"),
    ("CDLA-Permissive-2.0", "for the roots of trust, which are data; asks for its text only"),
];

/// Whether an SPDX expression leaves a choice that is allowed. `/` is the old form of `OR`.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let fine = any_of(&words, &mut at);
    fine && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut fine = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        fine |= all_of(words, at);
    }
    fine
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut fine = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        fine &= one(words, at);
    }
    fine
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let fine = any_of(words, at);
        *at += 1;
        return fine;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    ALLOWED.iter().any(|(licence, _)| *licence == name)
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    for fine in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(allowed(fine), "{fine}");
    }
    for not in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-2.0 OR LGPL-3.0) AND MIT", "Apache-2.0 WITH other", "MIT GPL-3.0"]
    {
        assert!(!allowed(not), "{not}");
    }
}

/// The platform that this was built on: others have dependencies that are not here.
fn platform() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("-vV").output().expect("rustc can be asked").stdout;
    let said = String::from_utf8(said).unwrap();
    said.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}

/// What is built in, as Cargo knows it without asking anybody.
pub(super) fn metadata() -> Metadata {
    let options = ["--locked", "--offline", "--filter-platform", &platform()].map(str::to_owned).to_vec();
    MetadataCommand::new()
        .manifest_path(files::root().join("Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(options)
        .exec()
        .expect("what is built here needs no network, and Cargo.lock is as Cargo would write it")
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let metadata = metadata();
    let ours: BTreeSet<&PackageId> = metadata.workspace_members.iter().collect();
    assert_eq!(ours.len(), 4, "the house has four crates: {ours:?}");
    let theirs: Vec<_> = metadata.packages.iter().filter(|p| !ours.contains(&p.id)).collect();
    assert!(theirs.len() > 100, "only {} dependencies", theirs.len());
    let found: Vec<String> = theirs
        .iter()
        .filter(|p| !p.license.as_deref().is_some_and(allowed))
        .map(|p| format!("{} {}: {}", p.name, p.version, p.license.as_deref().unwrap_or("no licence is named")))
        .collect();
    none(&found);
    for package in metadata.packages.iter().filter(|p| ours.contains(&p.id)) {
        assert_eq!(package.license.as_deref(), Some("MIT OR Apache-2.0"), "{}", package.name);
    }
}

#[test]
fn the_lock_and_both_licences_are_part_of_the_repository() {
    let read = |path: &str| std::fs::read_to_string(files::root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    assert!(read("Cargo.lock").contains("name = \"firedrill\""));
    assert!(
        read("LICENSE-MIT").contains("MIT License") || read("LICENSE-MIT").contains("Permission is hereby granted")
    );
    assert!(read("LICENSE-APACHE").contains("Apache License"));
    let ignored = read(".gitignore");
    assert!(!ignored.lines().any(|line| line.contains("Cargo.lock")), "the lock must not be ignored");
}
