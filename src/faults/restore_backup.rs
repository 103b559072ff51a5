//! `restore-backup`: a backup is restored into staging, and asked the questions that matter.

use crate::faults::{Fault, Reach};
use crate::guards::preflight::Preflight;
use crate::spec::scalar::{Bytes, Name, Span};
use crate::targets::scene::Scene;
use firedrill_core::drill::{Landing, Surveyed};
use firedrill_core::plan::Plan;
use firedrill_core::sight::Sight;
use firedrill_core::time::Mono;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Restores a backup into staging and verifies it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RestoreBackup {
    /// A `backups` target.
    pub from: Name,
    /// A `staging` target.
    pub into: Name,
    /// Which backup.
    #[serde(default)]
    pub select: BackupSelection,
    /// How many `pg_restore` jobs; the machine's cores by default.
    pub jobs: Option<u16>,
    /// How large the ranges of the parallel download are.
    pub range: Option<Bytes>,
    /// What the restored copy must answer.
    #[serde(default)]
    pub verify: RestoreChecks,
}

/// Which backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupSelection {
    /// The newest in the prefix.
    #[default]
    Newest,
    /// The newest that is at least this old.
    OlderThan(Span),
    /// This key.
    Key(String),
}

/// What the restored copy must answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RestoreChecks {
    /// The fewest rows each of these tables must have (`schema.table`).
    pub rows: BTreeMap<String, u64>,
    /// A query for the time of the newest row (a `timestamptz`): the canary, by which the recovery point is exact.
    pub canary: Option<String>,
    /// Every sequence must be at or above the largest value of the column it feeds.
    pub sequences: Requirement,
    /// Indexes and heaps are checked with amcheck.
    pub amcheck: Requirement,
    /// Queries with the answer expected.
    pub sql: Vec<SqlCheck>,
}

/// Whether a check is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// It is made, and must hold.
    #[default]
    Required,
    /// It is not made.
    Off,
}

/// A query with the answer expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SqlCheck {
    /// What it proves, for the report.
    pub name: String,
    /// The query; its first row's first column is the answer.
    pub query: String,
    /// The answer expected, as text.
    pub expect: String,
}

impl RestoreBackup {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str = "restore-backup: { from: orders-backups, into: scratch, select: newest }";
}

impl Fault for RestoreBackup {
    const REACH: Reach = Reach::Targets;

    fn targets(&self) -> Vec<&Name> {
        vec![&self.from, &self.into]
    }

    async fn survey(&self, _scene: &Scene) -> Surveyed {
        Preflight::default().end(None)
    }

    /// Nothing is injected, so nothing lands.
    fn landed(&self, _plan: &Plan, _injected: Mono, _seen: &[Sight]) -> Landing {
        Landing::NotYet
    }
}
