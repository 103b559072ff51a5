//! What a daemon runs: which experiments in which estates, and how many at once.

use crate::spec::load::{self, Located};
use crate::spec::problem::{Code, Problem, Problems};
use crate::spec::schema::daemon_schema;
use crate::spec::sense::Finder;
use crate::spec::syntax;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The most drills at once that a daemon may be told to run.
const AT_ONCE_MAX: u16 = 64;

/// The configuration of a daemon, usually `firedrill.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DaemonConfig {
    /// Which experiments run where.
    pub run: Vec<Duty>,
    /// How many drills may be under way at once; others wait.
    #[serde(default = "one")]
    pub at_once: u16,
    /// A directory into which every report is filed, besides what the estates say; relative to this file.
    pub out: Option<String>,
}

/// Experiments, and where they run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Duty {
    /// An experiment, or a directory of them; relative to this file.
    pub experiments: String,
    /// The estate's file; relative to this file.
    pub estate: String,
}

fn one() -> u16 {
    1
}

/// Reads and checks a daemon's configuration by itself. What it names is looked at later, again and again.
///
/// # Errors
/// All that is wrong with it.
pub fn load_daemon(path: &Path) -> Result<Located<DaemonConfig>, Problems> {
    parse_daemon(&path.display().to_string(), &load::read(path)?)
}

/// A daemon's configuration from the bytes of a file that `file` names.
///
/// # Errors
/// All that is wrong with it.
pub fn parse_daemon(file: &str, bytes: &[u8]) -> Result<Located<DaemonConfig>, Problems> {
    let text = syntax::text_of(file, bytes)?;
    let loaded: Located<DaemonConfig> = load::typed(file, text, syntax::tree_of(file, text)?, daemon_schema())?;
    let problems = sense(&loaded);
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

fn sense(loaded: &Located<DaemonConfig>) -> Vec<Problem> {
    let mut finder = Finder::new(&loaded.source);
    let it = &loaded.value;
    if it.run.is_empty() {
        finder.tell("run", Code::EmptyValue, "`run` names nothing", |p| {
            p.found("an empty list")
                .expected("for example `- { experiments: experiments, estate: estates/staging.yaml }`")
        });
    }
    for (nth, duty) in it.run.iter().enumerate() {
        finder.text(&format!("run[{nth}].experiments"), &duty.experiments);
        finder.text(&format!("run[{nth}].estate"), &duty.estate);
    }
    if !(1..=AT_ONCE_MAX).contains(&it.at_once) {
        finder.tell("at-once", Code::Value, "`at-once` is out of range", |p| {
            p.found(it.at_once.to_string()).expected(format!("from 1 to {AT_ONCE_MAX}"))
        });
    }
    finder.done()
}

impl DaemonConfig {
    /// Its duties with their paths as they are from here; `file` is the configuration itself.
    pub fn duties(&self, file: &Path) -> Vec<(PathBuf, PathBuf)> {
        let base = file.parent().unwrap_or(Path::new("."));
        self.run.iter().map(|duty| (base.join(&duty.experiments), base.join(&duty.estate))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let file = std::env::temp_dir().join(format!("firedrill-daemon-{}.yaml", uuid::Uuid::now_v7()));
        std::fs::write(&file, text).unwrap();
        let said = load_daemon(&file).map(|_| ()).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        said.replace(&file.display().to_string(), "firedrill.yaml")
    }

    #[test]
    fn wrong_configurations_say_where_and_what_would_do() {
        let texts = [
            "run: []\n",
            "run: [ { experiments: experiments } ]\n",
            "run: [ { experiments: \"\", estate: e.yaml } ]\nat-once: 0\n",
            "runs: [ { experiments: experiments, estate: e.yaml } ]\n",
            "run: { experiments: experiments, estate: e.yaml }\n",
        ];
        insta::assert_snapshot!(texts.map(wrong).join("\n---\n"));
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let duty = Duty { experiments: "experiments".to_owned(), estate: "/etc/estate.yaml".to_owned() };
        let config = DaemonConfig { run: vec![duty], at_once: 1, out: None };
        let duties = config.duties(Path::new("/srv/firedrill.yaml"));
        assert_eq!(duties, [(PathBuf::from("/srv/experiments"), PathBuf::from("/etc/estate.yaml"))]);
    }
}
