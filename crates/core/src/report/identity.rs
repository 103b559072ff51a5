//! Whose report this is: drill, tool, experiment, estate, and what began it.

use super::fact::Fact;
use crate::time::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What began the drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// A person ran it; who, as far as the machine knows.
    Hand(String),
    /// The daemon, at a firing of this schedule.
    Schedule(String),
    /// A runbook asked for it.
    Runbook(String),
    /// The demo.
    Demo,
}

impl Trigger {
    /// What began it, for a sentence: `by schedule (0 10 * * Tue Asia/Tashkent)`.
    pub fn words(&self) -> String {
        match self {
            Self::Hand(who) => format!("by {who}"),
            Self::Schedule(schedule) => format!("by schedule ({schedule})"),
            Self::Runbook(runbook) => format!("by the runbook {runbook}"),
            Self::Demo => "by the demo".to_owned(),
        }
    }
}

/// What tells this report from every other, and ties it to the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The id of this report (a UUID of version 7).
    pub report: String,
    /// The id of the drill (a UUID of version 7).
    pub drill: String,
    /// The SHA-256 of the previous report of this runner's journal, in hex: a missing report breaks the chain.
    pub previous_report_sha256: Known<String>,
    /// What began the drill.
    pub trigger: Trigger,
    /// Who approved it, if approval was asked for.
    pub approver: Known<String>,
    /// The runners that held the drill, in order: `host pid epoch`. More than one means that it was taken over.
    pub runners: Vec<String>,
}

/// What measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// The version of firedrill.
    pub version: String,
    /// What a reader must know of the machine and of the settings that made it fast or slow: cores, load,
    /// `fsync=off` on a staging server. A tuned figure is not production's figure.
    pub environment: Vec<Fact>,
}

/// The experiment, as it was when it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// Its name (`orders-primary-loss`): a directory of reports is named after it.
    pub name: String,
    /// Its title, for people.
    pub title: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it claims, in the words of its author.
    pub hypothesis: Option<String>,
    /// The words of the faults and operations of its method, in order (`kill-primary`).
    pub method: Vec<String>,
    /// What was in scope: the objects that the plan named.
    pub scope: Vec<String>,
    /// What was left out, and why.
    pub exclusions: Vec<String>,
    /// The SHA-256 of the experiment's file, in hex.
    pub spec_sha256: String,
}

/// A target as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Its name in the estate.
    pub name: String,
    /// Its kind by its word (`postgres`, `workloads`, `backups`).
    pub kind: String,
    /// What it was resolved to: system identifier, namespace, selectors, pod UIDs.
    pub resolved: Vec<Fact>,
}

/// Where the drill took place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Estate {
    /// The environment's name (`production`).
    pub environment: String,
    /// The SHA-256 of the estate's file, in hex.
    pub spec_sha256: String,
    /// The UID of the cluster (that of its `kube-system` namespace).
    pub cluster_uid: Known<String>,
    /// The targets that the experiment names.
    pub targets: Vec<Target>,
}

/// What is known of drills of this experiment before and after this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// When it last passed, RFC 3339 in UTC.
    pub last_pass_utc: Known<String>,
    /// Whole days from that pass to the opening of this drill.
    pub days_since_last_pass: Known<u64>,
    /// The next firing of its schedule, for people, with its zone; `None` when it has no schedule.
    pub next_due: Option<String>,
}
