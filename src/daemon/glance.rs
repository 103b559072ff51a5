//! What a daemon is at, as others see it: copied out of its rounds, so that who looks never holds them up.

use firedrill_core::time::Nanos;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One moment of a daemon.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    /// When it went round last; `None` before it did.
    pub at: Option<Timestamp>,
    /// What it runs, by key.
    pub experiments: BTreeMap<String, Scheduled>,
    /// The drills that are under way: key and drill.
    pub under_way: BTreeMap<String, String>,
    /// How many wait for room.
    pub waiting: usize,
    /// The files that are bad, with all that is wrong with them.
    pub bad: BTreeMap<PathBuf, String>,
    /// Why nothing begins: who halted, when and why.
    pub halted: Option<String>,
}

/// One experiment on its schedule.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The experiment.
    pub experiment: String,
    /// Where it runs.
    pub environment: String,
    /// What its schedules say.
    pub schedule: String,
    /// When it is due next.
    pub next: Option<Timestamp>,
    /// How long it may go without a pass.
    pub pass_every: Option<Nanos>,
}
