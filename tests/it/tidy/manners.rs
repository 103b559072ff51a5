//! Manners of source files: what each begins with, how long it is, and what it never says.

use super::files::{self, File};
use super::{code, made_up, none};

const LONGEST_FILE_LINES: usize = 600;

fn without_header(files: &[File]) -> Vec<String> {
    let header = |f: &File| f.text.lines().next().is_some_and(|l| l.starts_with("//! ") && l.len() > 12);
    files.iter().filter(|f| !header(f)).map(|f| format!("{}:1: no `//!` header that says what it is", f.path)).collect()
}

fn too_long(files: &[File]) -> Vec<String> {
    let lines = |f: &File| f.text.lines().count();
    let long = files.iter().filter(|f| lines(f) > LONGEST_FILE_LINES);
    long.map(|f| format!("{}: {} lines, at most {LONGEST_FILE_LINES}", f.path, lines(f))).collect()
}

/// Words of code, with their lines.
fn says(files: &[File], words: &[&str]) -> Vec<String> {
    let in_file = |file: &File| {
        let code = file.code();
        let lines = |word: &&str| {
            let found = code::lines_with(&code, word);
            found.into_iter().map(|n| format!("{}:{n}: `{word}`", file.path)).collect::<Vec<_>>()
        };
        words.iter().flat_map(lines).collect::<Vec<_>>()
    };
    files.iter().flat_map(in_file).collect()
}

const NEVER_SAID: &[&str] =
    &["println!", "eprintln!", "print!", "eprint!", "dbg!", "todo!", "unimplemented!", ".unwrap()", "unsafe"];

#[test]
fn every_file_says_what_it_is() {
    none(&without_header(&files::rust()));
    assert_eq!(without_header(&made_up("src/a.rs", "use b;\n")).len(), 1);
    assert_eq!(without_header(&made_up("src/a.rs", "//! A.\n")).len(), 1, "a header of one letter says nothing");
}

#[test]
fn no_file_is_too_long() {
    none(&too_long(&files::rust()));
    assert_eq!(too_long(&made_up("src/a.rs", &"x\n".repeat(LONGEST_FILE_LINES + 1))).len(), 1);
}

#[test]
fn the_product_never_says() {
    // The command line writes through `src/cli/out.rs`, which knows closed pipes; nothing else writes at all.
    none(&says(&files::product(), NEVER_SAID));
    for word in NEVER_SAID {
        let spoken = if word.starts_with('.') { format!("b{word}") } else { format!("{word} (b)") };
        assert_eq!(says(&made_up("src/a.rs", &format!("fn a() {{ {spoken} }}\n")), &[word]).len(), 1, "{word}");
        none(&says(&made_up("src/a.rs", &format!("// {spoken}\n#[cfg(test)]\nmod tests {{ {spoken} }}\n")), &[word]));
    }
}

/// Lines that ask the standard streams directly, which breaks on a closed pipe.
#[test]
fn standard_streams_are_written_in_one_place() {
    let elsewhere: Vec<File> = files::product()
        .into_iter()
        .filter(|f| f.path.starts_with("src/") && !["src/cli/out.rs", "src/cli/live.rs"].contains(&f.path.as_str()))
        .collect();
    let found = says(&elsewhere, &["stdout().lock", "stderr().lock"]);
    none(&found);
    assert_eq!(says(&made_up("src/a.rs", "std::io::stdout().lock()"), &["stdout().lock"]).len(), 1);
}

/// A test that is left out must say why.
fn silently_ignored(files: &[File]) -> Vec<String> {
    files
        .iter()
        .flat_map(|f| code::lines_with(&f.code(), "#[ignore]").into_iter().map(|n| format!("{}:{n}", f.path)))
        .collect()
}

#[test]
fn a_test_that_is_left_out_says_why() {
    none(&silently_ignored(&files::rust()));
    assert_eq!(silently_ignored(&made_up("tests/a.rs", "#[ignore]\nfn a() {}\n")).len(), 1);
}

/// An `allow` without a reason, which nobody can ever take away again.
fn unreasoned(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let code = file.code();
        for opening in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in code.match_indices(opening) {
                let attribute = code[at..].split(")]").next().unwrap_or_default();
                if !attribute.contains("reason") {
                    let line = code[..at].lines().count() + 1;
                    found.push(format!("{}:{line}: `{attribute})]` gives no reason", file.path));
                }
            }
        }
    }
    found
}

#[test]
fn whatever_is_let_through_has_a_reason() {
    none(&unreasoned(&files::rust()));
    assert_eq!(unreasoned(&made_up("src/a.rs", "#[allow(dead_code)]\nfn a() {}\n")).len(), 1);
    none(&unreasoned(&made_up("src/a.rs", "#[expect(dead_code, reason = \"b\")]\nfn a() {}\n")));
}

/// Sleeps of tests that are no step of a loop which looks: they wait for time where an event could be awaited, which is
/// slow on a fast machine and wrong on a slow one.
fn idle_sleeps(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let code = code::bare(&file.text);
        let lines: Vec<&str> = code.lines().collect();
        for (nth, line) in lines.iter().enumerate() {
            let looks = |l: &&str| ["while ", "loop ", "for "].iter().any(|word| l.contains(word));
            let in_loop = lines[nth.saturating_sub(10)..=nth].iter().any(looks);
            if line.contains("sleep(") && line.contains("Duration::from_") && !in_loop {
                found.push(format!("{}:{}: `{}`", file.path, nth + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn tests_wait_for_events_and_not_for_time() {
    let tests: Vec<File> = files::rust().into_iter().filter(|f| f.path.contains("tests/")).collect();
    none(&idle_sleeps(&tests));
    let idle = "fn a() {\n    start();\n    std::thread::sleep(Duration::from_secs(1));\n    assert!(done());\n}\n";
    assert_eq!(idle_sleeps(&made_up("tests/a.rs", idle)).len(), 1);
    let looking = "while !done() {\n    std::thread::sleep(Duration::from_millis(5));\n}\n";
    none(&idle_sleeps(&made_up("tests/a.rs", looking)));
}
