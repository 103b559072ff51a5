//! What a caller chooses of a sandbox.

use std::{path::PathBuf, time::Duration};

use crate::estate::{
    backups::Pace,
    postgres::{config::Fsync, switches::Switches},
};

/// Choices with the defaults of the demo.
#[derive(Debug, Clone)]
pub struct Options {
    /// The sandbox's directory: must be empty or absent, and is removed at the end.
    pub dir: PathBuf,
    /// The executable that answers `sandbox-part …`.
    pub program: PathBuf,
    /// The namespace.
    pub namespace: String,
    /// Annotations on the namespace, such as an opt-in to faults.
    pub namespace_annotations: Vec<(String, String)>,
    /// How the databases behave at the start; see [`crate::Sandbox::switch`].
    pub switches: Switches,
    /// How long the database lease stays taken after a renewal; whole seconds, at least 1.
    pub lease_ttl: Duration,
    /// Whether PostgreSQL waits for its disk.
    pub fsync: Fsync,
    /// When backups are taken.
    pub backups: Pace,
    /// The truth's file; `None`: under `dir`, and gone with it.
    pub truth_file: Option<PathBuf>,
    /// An answer that comes later than this is none, for the truth.
    pub truth_timeout: Duration,
}

impl Options {
    /// The defaults, with what has none.
    pub fn new(dir: impl Into<PathBuf>, program: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            program: program.into(),
            namespace: "shop".to_owned(),
            namespace_annotations: Vec::new(),
            switches: Switches::default(),
            lease_ttl: Duration::from_secs(2),
            fsync: Fsync::default(),
            backups: Pace::default(),
            truth_file: None,
            truth_timeout: Duration::from_millis(500),
        }
    }

    /// Adds an annotation to the namespace.
    #[must_use]
    pub fn annotate(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.namespace_annotations.push((key.into(), value.into()));
        self
    }
}
