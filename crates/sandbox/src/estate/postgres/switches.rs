//! Switches that tests and scenes turn while the estate runs: a file that the agents read at every turn.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What an agent does when its pod is told to stop (SIGTERM), and whether another may take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// Stops at once and says nothing, as when a machine dies: the standby takes over when the lease expires.
    #[default]
    Failover,
    /// Writes a checkpoint, sends the standby everything, then gives the lease away.
    HandOver,
    /// Nobody takes over: the pod that returns with the same name goes on with the same data.
    RestartInPlace,
}

/// Whether commits wait for the standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replication {
    /// They wait while a standby streams; only that standby may be promoted: no acknowledged write is ever lost.
    #[default]
    Sync,
    /// They do not: what the standby has not received when the primary dies is lost.
    Async,
}

/// Whether the standby follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standby {
    /// It streams.
    #[default]
    Follow,
    /// It receives nothing more from now on, and stays promotable (when replication is [`Replication::Async`]).
    Hold,
}

/// The positions of all switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switches {
    /// See [`Manner`].
    pub manner: Manner,
    /// See [`Replication`].
    pub replication: Replication,
    /// See [`Standby`].
    pub standby: Standby,
}

impl Switches {
    /// Writes them into the control directory, in one step.
    pub fn store(self, control: &Path) -> io::Result<()> {
        replace(&control.join("postgresql.json"), &serde_json::to_vec(&self).map_err(io::Error::other)?)
    }

    /// Reads them; as before while the file cannot be read.
    pub fn load(control: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(control.join("postgresql.json")).ok()?).ok()
    }
}

/// What an agent says of itself, for those who turned a switch and wait for the effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentReport {
    /// The pod's name.
    pub pod: String,
    /// What it is doing.
    pub role: AgentRole,
    /// The pod it streams from, by address; `None` while it streams from nobody.
    pub streams_from: Option<String>,
    /// The standby that the primary's commits wait for.
    pub synchronous_standby: Option<String>,
    /// The switches it acts by.
    pub switches: Switches,
    /// The postmaster's process id.
    pub postmaster_pid: Option<i32>,
}

/// What an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentRole {
    /// Nothing runs yet.
    Waiting,
    /// It holds the lease, its server takes writes.
    Primary,
    /// Its server is a standby.
    Replica,
}

impl AgentReport {
    fn path(control: &Path, pod: &str) -> PathBuf {
        control.join(format!("{pod}.report.json"))
    }

    /// Writes it into the control directory.
    pub fn store(&self, control: &Path) -> io::Result<()> {
        replace(&Self::path(control, &self.pod), &serde_json::to_vec(self).map_err(io::Error::other)?)
    }

    /// The last report of `pod`.
    pub fn load(control: &Path, pod: &str) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(control, pod)).ok()?).ok()
    }
}

/// A reader sees the old text or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, bytes)?;
    fs::rename(&draft, path)
}
