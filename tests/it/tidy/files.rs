//! The repository as rules see it: paths from its root, and texts.

use super::code;
use std::path::{Path, PathBuf};

/// One text file.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// From the root of the repository, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(super) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == "rs")
    }

    /// The text without comments, without what stands in quotes, and without `#[cfg(test)]` modules. Lines keep their numbers.
    pub(super) fn code(&self) -> String {
        code::without_tests(&code::bare(&self.text))
    }
}

/// What is looked at; everything else at the root is made by tools.
const ROOTS: &[&str] =
    &[".ci", "benches", "crates", "deploy", "docs", "experiments", "lab", "runbooks", "schema", "src", "tests"];

pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the repository, sorted by path.
pub(super) fn all() -> Vec<File> {
    let root = root();
    let mut paths: Vec<PathBuf> = entries(&root).into_iter().filter(|p| p.is_file()).collect();
    ROOTS.iter().map(|r| root.join(r)).filter(|r| r.is_dir()).for_each(|r| walk(&r, &mut paths));
    paths.sort();
    let files = paths.iter().filter_map(|path| {
        // What is no text (a picture, a file in a wrong encoding that a test needs) has no lines to keep rules in.
        let text = std::fs::read_to_string(path).ok()?;
        let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        Some(File { path, text })
    });
    files.filter(|f| f.path != ".git").collect()
}

/// Every Rust file.
pub(super) fn rust() -> Vec<File> {
    let files: Vec<File> = all().into_iter().filter(File::is_rust).collect();
    assert!(files.len() > 200, "only {} Rust files were found under {}", files.len(), root().display());
    files
}

/// Rust files of the product: neither tests, benchmarks nor examples, nor modules that only tests have.
pub(super) fn product() -> Vec<File> {
    let all = rust();
    let only_tests: Vec<String> = all.iter().flat_map(|f| code::test_modules(&f.path, &f.text)).collect();
    let part = |path: &str, dir: &str| path.starts_with(&format!("{dir}/")) || path.contains(&format!("/{dir}/"));
    let product = |f: &File| {
        !["tests", "benches", "examples"].iter().any(|dir| part(&f.path, dir))
            && !only_tests.iter().any(|m| f.path == format!("{m}.rs") || f.path.starts_with(&format!("{m}/")))
    };
    all.into_iter().filter(product).collect()
}

fn walk(directory: &Path, into: &mut Vec<PathBuf>) {
    for path in entries(directory) {
        if path.is_dir() {
            walk(&path, into);
        } else {
            into.push(path);
        }
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn tests_are_no_part_of_the_product() {
    let paths: Vec<String> = product().into_iter().map(|f| f.path).collect();
    for path in ["src/main.rs", "crates/core/src/verdict.rs", "crates/sandbox/src/lib.rs", "src/effects/scale.rs"] {
        assert!(paths.iter().any(|p| p == path), "{path} is missing");
    }
    for path in
        ["src/render/tests.rs", "crates/core/src/reading_tests.rs", "src/render/fixtures/mod.rs", "tests/it/main.rs"]
    {
        assert!(!paths.iter().any(|p| p == path), "{path} is a test's");
    }
}
