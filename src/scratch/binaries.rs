//! PostgreSQL's programs on this machine, by major version.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory that holds PostgreSQL's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The directory.
    pub directory: PathBuf,
    /// The major version, for example 15.
    pub major: u32,
    /// The version as it says it (`15.8`).
    pub version: String,
}

/// No fitting programs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinariesError {
    /// Nowhere.
    #[error(
        "no PostgreSQL programs (initdb, postgres, pg_restore) found in {looked}: install the package postgresql, or name their directory as `binaries` in the estate"
    )]
    NoneFound {
        /// Where was looked.
        looked: String,
    },
    /// Only older ones.
    #[error(
        "the dump was made from PostgreSQL {needed}, and the newest programs here are {found}: a restore needs the same major version or a newer one; install postgresql-{needed}"
    )]
    TooOld {
        /// What is needed.
        needed: u32,
        /// What there is.
        found: u32,
    },
}

/// The programs without which a directory is of no use.
const NEEDED: [&str; 3] = ["initdb", "postgres", "pg_restore"];

impl Binaries {
    /// The oldest programs that can restore a dump of server version `major`; the newest of all when it is `None`.
    ///
    /// # Errors
    /// When there are none, or only older ones.
    pub fn find(named: Option<&Path>, major: Option<u32>) -> Result<Self, BinariesError> {
        let directories = named.map_or_else(places, |directory| vec![directory.to_owned()]);
        let mut found: Vec<Self> = directories.iter().filter_map(|d| Self::look(d)).collect();
        // Stable: among equals the first place wins, PATH before Debian's places.
        found.sort_by_key(|b| b.major);
        let Some(newest) = found.last().cloned() else {
            let looked: Vec<String> = directories.iter().map(|d| d.display().to_string()).collect();
            return Err(BinariesError::NoneFound { looked: looked.join(", ") });
        };
        match major {
            None => Ok(newest),
            Some(needed) => found
                .into_iter()
                .find(|b| b.major >= needed)
                .ok_or(BinariesError::TooOld { needed, found: newest.major }),
        }
    }

    fn look(directory: &Path) -> Option<Self> {
        if !NEEDED.iter().all(|program| directory.join(program).is_file()) {
            return None;
        }
        let said = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
        // `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)`
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split_whitespace().nth(2)?.to_owned();
        Some(Self { directory: directory.to_owned(), major: major_of(&version)?, version })
    }

    /// The path of one program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The major version in `15.8 (Debian …)`, `16beta1`, `17`.
pub fn major_of(version: &str) -> Option<u32> {
    let digits: String = version.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn places() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for (parent, inner) in [("/usr/lib/postgresql", "bin"), ("/opt/homebrew/opt", "bin")] {
        let Ok(versions) = std::fs::read_dir(parent) else { continue };
        let mut found: Vec<PathBuf> = versions.flatten().map(|v| v.path().join(inner)).collect();
        found.sort();
        places.append(&mut found);
    }
    places.extend((12..=20).map(|major| PathBuf::from(format!("/usr/pgsql-{major}/bin"))).filter(|p| p.is_dir()));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_by_major() {
        for (text, major) in [("15.8 (Debian 15.8-0+deb12u1)", 15), ("16beta1", 16), (" 9.6.24", 9)] {
            assert_eq!(major_of(text), Some(major), "{text}");
        }
        assert_eq!(major_of("devel"), None);
    }

    #[test]
    fn this_machine_has_some_and_none_from_the_future() {
        let found = Binaries::find(None, None).unwrap();
        assert!(found.program("initdb").is_file());
        assert_eq!(Binaries::find(None, Some(99)), Err(BinariesError::TooOld { needed: 99, found: found.major }));
        let nowhere = Binaries::find(Some(Path::new("/proc/self/nothing-here")), None).unwrap_err();
        assert!(nowhere.to_string().contains("/proc/self/nothing-here"));
    }
}
