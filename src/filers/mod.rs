//! Where reports go: one file per destination, one word each.
//!
//! A filer gets a finished report and its drawn forms and puts them somewhere. It never changes a verdict and never
//! draws; whoever calls it retries, so a filer must be safe to call twice with the same report. Destinations that
//! speak over a network implement the same interface and block on their own runtime; the caller runs filers beside
//! each other and bounds their time.

pub mod directory;

use crate::render::Rendered;
use firedrill_core::report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an estate's `file` may hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilerSpec {
    /// A directory, relative to where firedrill runs.
    Directory(String),
}

impl FilerSpec {
    /// The word in an estate, and in the journal of what was filed where.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Directory(_) => directory::WORD,
        }
    }

    /// The filer it asks for.
    pub fn build(&self) -> Box<dyn Filer> {
        match self {
            Self::Directory(path) => Box::new(directory::Directory::new(path, directory::Layout::ByDrill)),
        }
    }
}

/// A destination of reports.
pub trait Filer: Send + Sync {
    /// Its word and where it files to, for people.
    fn name(&self) -> String;

    /// Files one report.
    ///
    /// # Errors
    /// When it is not certain that all of it arrived. Calling again with the same report is safe.
    fn file(&self, report: &Report, rendered: &Rendered) -> Result<Filed, FilerError>;
}

/// Where a report was filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filed {
    /// The place of all of it (a directory, a prefix).
    pub place: String,
    /// The page that a person opens.
    pub page: String,
}

/// Why a report was not filed. Another try may succeed unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum FilerError {
    /// The system refused.
    #[error("cannot {doing} {place}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something is in the way that firedrill did not make.
    #[error("{place} is {found}; reports are filed only into plain directories: remove it, or file elsewhere")]
    InTheWay {
        /// Where.
        place: String,
        /// What it is.
        found: &'static str,
    },
    /// Another drill's report is there.
    #[error(
        "{place} holds the report of another drill ({found}); it is never overwritten: move it away, or file elsewhere"
    )]
    Occupied {
        /// Where.
        place: String,
        /// Whose report it is.
        found: String,
    },
}

impl FilerError {
    /// Whether trying again later can help without a person.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}
