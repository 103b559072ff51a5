//! The loader against files that nobody would write: it never panics, every place lies in the file, nothing it shows can
//! steer a terminal, and what its shape check takes, its types take too.

use firedrill::spec::load::{Located, parse_estate, parse_experiment};
use firedrill::spec::problem::{Code, Look, Problems};
use proptest::prelude::*;
use std::sync::OnceLock;

/// Every shipped example and every wrong file: the seeds.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let directories =
            ["experiments", "experiments/estates", "tests/bad/shape", "tests/bad/sense", "tests/bad/estate"];
        let mut files = Vec::new();
        for directory in directories {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|e| e == "yaml") {
                    files.push(path);
                }
            }
        }
        files.sort();
        files.iter().map(|path| std::fs::read(path).unwrap()).collect()
    })
}

/// Pieces that mean something to YAML or to the loader.
const PIECES: &[&str] = &[
    "\t",
    "\n",
    "\r",
    ": ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "|\n",
    ">\n",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "? ",
    "---\n",
    "~",
    "null",
    "-1",
    "99999999999999999999",
    "1e999",
    ".nan",
    "0x7f",
    "true",
    "é",
    "𝄞",
    "\u{feff}",
    "\u{1b}[31m",
    "\u{0}",
    "://u:p@h",
    "password: x\n",
    "30s",
    "1h 30m",
    "9999999years",
    "kill-primary",
    "environment: a\n",
    "experiment: a\n",
    "  ",
    "#",
];

#[derive(Clone, Debug)]
enum Change {
    Insert(usize, &'static str),
    Delete(usize, usize),
    Repeat(usize, usize),
    Byte(usize, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0..4096_usize;
    prop_oneof![
        (at.clone(), prop::sample::select(PIECES)).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (at.clone(), 1..40_usize).prop_map(|(at, len)| Change::Delete(at, len)),
        (at.clone(), 1..80_usize).prop_map(|(at, len)| Change::Repeat(at, len)),
        (at, any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
    ]
}

fn changed(seed: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for change in changes {
        let len = bytes.len().max(1);
        match *change {
            Change::Insert(at, piece) => drop(bytes.splice(at % len..at % len, piece.bytes())),
            Change::Delete(at, n) => drop(bytes.drain(at % len..(at % len + n).min(bytes.len()))),
            Change::Repeat(at, n) => {
                let piece = bytes[at % len..(at % len + n).min(bytes.len())].to_vec();
                bytes.splice(at % len..at % len, piece);
            }
            Change::Byte(at, byte) => bytes.iter_mut().skip(at % len).take(1).for_each(|b| *b = byte),
        }
    }
    bytes
}

fn holds(bytes: &[u8]) -> Result<(), TestCaseError> {
    let is_estate = bytes.windows(12).any(|w| w == b"environment:");
    if is_estate {
        holds_for("environment", bytes, parse_estate("fuzz.yaml", bytes))
    } else {
        holds_for("experiment", bytes, parse_experiment("fuzz.yaml", bytes))
    }
}

fn holds_for<T>(root: &str, bytes: &[u8], outcome: Result<Located<T>, Problems>) -> Result<(), TestCaseError> {
    let problems = match outcome {
        Ok(loaded) => {
            prop_assert!(loaded.source.locate(root).is_some());
            return Ok(());
        }
        Err(problems) => problems,
    };
    prop_assert!(!problems.0.is_empty());
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &problems.0 {
        let line = lines.get(problem.place.line as usize - 1);
        let utf16 = problem.code == Code::Encoding;
        prop_assert!(line.is_some() || utf16, "no line {} of {}: {problem:?}", problem.place.line, lines.len());
        let chars = line.map_or(0, |l| l.chars().count());
        prop_assert!(problem.place.column as usize <= chars + 1 || utf16, "beyond the line of {chars}: {problem:?}");
        // What only the types refused, the shape check should have told, with all that is wrong beside it.
        prop_assert!(!problem.message.contains("invalid type"), "{problem:?}");
        prop_assert!(
            !problem.message.contains("missing field") && !problem.message.contains("unknown field"),
            "{problem:?}"
        );
    }
    let shown = problems.render(Look::Plain);
    prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    prop_assert!(serde_json::to_string(&problems).is_ok());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_file_is_loaded_or_refused_in_its_place(
        nth in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let seeds = seeds();
        holds(&changed(&seeds[nth.index(seeds.len())], &changes))?;
    }

    #[test]
    fn bytes_are_refused_in_their_place(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        holds(&bytes)?;
    }

    #[test]
    fn pieces_are_refused_in_their_place(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        holds(pieces.concat().as_bytes())?;
    }
}

/// Every value of every valid file, replaced by each of these, is refused or taken by shape check and types alike.
#[test]
fn the_shape_check_and_the_types_agree_on_every_value() {
    let values = ["", "-1", "true", "text", "30s", "[1]", "{ a: b }", "70000"];
    let mut tried = 0;
    for seed in seeds() {
        let Ok(text) = std::str::from_utf8(seed) else { continue };
        if parse_experiment("a", seed).is_err() && parse_estate("a", seed).is_err() {
            continue;
        }
        for (nth, line) in text.lines().enumerate() {
            let Some((key, _)) = line.split_once(": ") else { continue };
            for value in values {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines[nth] = format!("{key}: {value}");
                holds(lines.join("\n").as_bytes()).unwrap_or_else(|why| panic!("{key}: {value}\n{why}"));
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

/// For minutes instead of cases: `FIREDRILL_FUZZ_SECONDS=300 cargo test --test it -- --ignored fuzz`.
#[test]
#[ignore = "runs for as long as FIREDRILL_FUZZ_SECONDS says"]
#[expect(clippy::print_stderr, reason = "the runner is started by hand and says how far it came")]
fn fuzz() {
    use proptest::strategy::ValueTree as _;
    let seconds: u64 = std::env::var("FIREDRILL_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(300);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    let mut runner = proptest::test_runner::TestRunner::default();
    let changes = prop::collection::vec(change(), 1..12);
    let bytes = prop::collection::vec(any::<u8>(), 0..600);
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..120);
    let mut cases = 0_u64;
    while std::time::Instant::now() < end {
        let seed = &seeds()[usize::try_from(cases).unwrap() % seeds().len()];
        let file = match cases % 8 {
            6 => bytes.new_tree(&mut runner).unwrap().current(),
            7 => pieces.new_tree(&mut runner).unwrap().current().concat().into_bytes(),
            _ => changed(seed, &changes.new_tree(&mut runner).unwrap().current()),
        };
        holds(&file).unwrap_or_else(|why| panic!("after {cases} cases: {why}\n{:?}", String::from_utf8_lossy(&file)));
        cases += 1;
    }
    eprintln!("{cases} files in {seconds} s");
    assert!(cases > seconds * 10, "only {cases} cases in {seconds} s");
}
