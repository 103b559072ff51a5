//! What was done and to what: faults, deployments scaled in waves, restores by phase, the topology before and after.

use super::fact::Fact;
use super::moment::{Moment, Span};
use crate::time::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One fault or operation of the method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Its word (`kill-primary`).
    pub word: String,
    /// The target's name.
    pub target: String,
    /// What it says of itself.
    pub facts: Vec<Fact>,
}

/// One deployment that was scaled to zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaledWorkload {
    /// Its name, with its namespace (`shop/web`).
    pub name: String,
    /// The replicas before, as captured.
    pub captured: u32,
    /// When it was seen at zero.
    pub zero_at_ns: Known<Moment>,
    /// The replicas that were ready again.
    pub restored: Known<u32>,
    /// When they were.
    pub restored_at_ns: Known<Moment>,
    /// What manages its count besides us (an HPA, Argo CD), and what that means.
    pub manager: Option<String>,
    /// Anything to be said of it (`changed to 7 by kubectl meanwhile, left`).
    pub note: Option<String>,
}

/// A wave of scaling back: its workloads go together, the next waits for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wave {
    /// Its name or number.
    pub name: String,
    /// From its first patch until all its replicas were ready; unknown when that never came.
    pub span: Known<Span>,
    /// Its workloads.
    pub workloads: Vec<ScaledWorkload>,
}

/// One phase of a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkPhase {
    /// Its name (`download`).
    pub name: String,
    /// From when to when.
    pub span: Span,
    /// Bytes moved, when bytes are what it moves.
    pub bytes: Option<u64>,
    /// What it found or did, in one line (`8 parallel ranges, CRC-64/NVME verified`).
    pub detail: String,
    /// What stopped it, if it failed.
    pub failure: Option<String>,
}

/// A piece of long work: a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    /// Its word (`restore-backup`).
    pub word: String,
    /// What it worked on (`staging scratch 0193…, PostgreSQL 15.8`).
    pub on: String,
    /// Its phases in order.
    pub phases: Vec<WorkPhase>,
}

/// A member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// `primary`, `replica`, `gone`.
    pub role: String,
    /// What it is made of now (a pod UID).
    pub uid: Known<String>,
    /// Its timeline.
    pub timeline: Known<u32>,
    /// Its log sequence number.
    pub lsn: Known<String>,
    /// Its state or lag (`streaming, 0 bytes behind`).
    pub state: String,
}

/// The members before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Topology {
    /// Whose members.
    pub target: String,
    /// Before the injection.
    pub before: Vec<Member>,
    /// At the end.
    pub after: Vec<Member>,
}
