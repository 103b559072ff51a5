//! The halt: while it stands, no runner with this state directory injects anything, and what is under way is undone.
//!
//! It is a file beside the journal, so that it can also be made where no firedrill is at hand: `touch halt` halts as well as
//! the command does.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Who halted, when and why, as far as the file says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Halt {
    /// Who.
    pub by: String,
    /// Since when, UTC.
    pub since: String,
    /// Why.
    pub why: String,
}

impl Halt {
    /// The file in a state directory.
    pub fn file(state_dir: &Path) -> PathBuf {
        state_dir.join("halt")
    }

    /// The halt that stands, if one does. Whatever is in the file, it halts.
    ///
    /// # Errors
    /// When it cannot be told whether one stands.
    pub fn read(state_dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(Self::file(state_dir)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or_default())),
            // Where no runner has been yet, nobody has halted one either.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Why nothing may begin: a halt stands, or nobody can tell.
    pub fn stands(state_dir: &Path) -> Option<String> {
        match Self::read(state_dir) {
            Ok(halt) => halt.map(|halt| halt.words()),
            Err(e) => Some(format!("whether it is halted cannot be told: {e}")),
        }
    }

    /// Makes it stand. It does when this returns, also after a power cut.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set(&self, state_dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(state_dir)?;
        let new = state_dir.join(format!("halt.{}", std::process::id()));
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let file = std::fs::File::create(&new)?;
        io::Write::write_all(&mut &file, &text)?;
        file.sync_all()?;
        std::fs::rename(new, Self::file(state_dir))?;
        std::fs::File::open(state_dir)?.sync_all()
    }

    /// Lifts it. Whether one stood.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn lift(state_dir: &Path) -> io::Result<bool> {
        match std::fs::remove_file(Self::file(state_dir)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Who, since when and why, for a sentence.
    pub fn words(&self) -> String {
        let part = |before: &str, text: &str| if text.is_empty() { String::new() } else { format!("{before}{text}") };
        let said = [part(" by ", &self.by), part(" since ", &self.since), part(": ", &self.why)].concat();
        format!("halted{said}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halt_stands_until_it_is_lifted_whoever_wrote_it() {
        let dir = std::env::temp_dir().join(format!("firedrill-halt-{}", uuid::Uuid::now_v7()));
        assert_eq!(Halt::read(&dir).unwrap(), None, "a first plan, before there is a state directory");
        let halt = Halt { by: "ann".into(), since: "2026-12-01T10:00:00Z".into(), why: "an incident".into() };
        halt.set(&dir).unwrap();
        assert_eq!(Halt::read(&dir).unwrap(), Some(halt.clone()));
        assert_eq!(halt.words(), "halted by ann since 2026-12-01T10:00:00Z: an incident");
        assert!(Halt::lift(&dir).unwrap());
        assert!(!Halt::lift(&dir).unwrap());
        assert_eq!(Halt::read(&dir).unwrap(), None);
        for text in ["", "stop!", "{ \"why\": 3 }"] {
            std::fs::write(Halt::file(&dir), text).unwrap();
            assert_eq!(Halt::read(&dir).unwrap().map(|h| h.words()), Some("halted".to_owned()), "{text:?}");
        }
        std::fs::remove_file(Halt::file(&dir)).unwrap();
        std::fs::create_dir(Halt::file(&dir)).unwrap();
        assert!(Halt::read(&dir).is_err(), "nobody can say");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
