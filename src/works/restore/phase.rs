//! Phases, timed, and their progress for whoever watches.

use crate::clock::now;
use firedrill_core::restore::{Phase, PhaseName};
use firedrill_core::time::Mono;
use std::fmt;
use std::sync::Arc;

/// How far a phase is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Which phase.
    pub phase: PhaseName,
    /// How much of it is done, in its own unit: bytes while fetching, items while restoring, checks while verifying.
    pub done: u64,
    /// How much there is, when it is known.
    pub total: Option<u64>,
    /// What is being done.
    pub note: String,
}

/// Somebody who watches. Called often and from several threads: it must not block.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Update) + Send + Sync>);

impl Progress {
    /// Watched by `watch`.
    pub fn new(watch: impl Fn(Update) + Send + Sync + 'static) -> Self {
        Self(Arc::new(watch))
    }

    /// Watched by nobody.
    pub fn unwatched() -> Self {
        Self::new(|_| {})
    }

    /// Tells.
    pub fn tell(&self, phase: PhaseName, done: u64, total: Option<u64>, note: impl Into<String>) {
        (self.0)(Update { phase, done, total, note: note.into() });
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// A phase that is under way.
#[derive(Debug)]
pub struct Timer {
    name: PhaseName,
    began_ns: Mono,
}

impl Timer {
    /// Begins a phase now.
    pub fn begin(name: PhaseName) -> Self {
        Self { name, began_ns: now() }
    }

    /// It ended well.
    pub fn done(self, bytes: Option<u64>, detail: impl Into<String>) -> Phase {
        self.end(bytes, detail.into(), None)
    }

    /// It was stopped by `why`.
    pub fn failed(self, bytes: Option<u64>, why: impl Into<String>) -> Phase {
        self.end(bytes, String::new(), Some(why.into()))
    }

    fn end(self, bytes: Option<u64>, detail: String, failure: Option<String>) -> Phase {
        Phase { name: self.name, began_ns: self.began_ns, ended_ns: now(), bytes, detail, failure }
    }
}
