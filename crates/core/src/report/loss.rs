//! Loss: what was acknowledged and not read back.

use super::moment::Moment;
use crate::time::{Interval, Known, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One reading of the whole ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadBack {
    /// When it began.
    pub at_ns: Moment,
    /// The node it was read from, proven writable before.
    pub node: String,
    /// How many of the acknowledged writes were found.
    pub found: u64,
}

/// The most ids of lost writes that a report lists for one ledger; their number is always exact.
pub const LOST_IDS_LISTED_MAX: usize = 1_000;

/// The account of one ledger probe. `attempted = acknowledged + failed + unknown`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    /// The probe's name.
    pub probe: String,
    /// The table that was written.
    pub table: String,
    /// The role that wrote, and its effective `synchronous_commit`.
    pub writes_as: String,
    /// Writes attempted.
    pub attempted: u64,
    /// Writes acknowledged.
    pub acknowledged: u64,
    /// Writes that certainly did not happen.
    pub failed: u64,
    /// Writes of unknown outcome.
    pub unknown: u64,
    /// Of those, how many were found.
    pub unknown_found: u64,
    /// Acknowledged and not read back.
    pub lost: u64,
    /// Their ids, the oldest first, at most [`LOST_IDS_LISTED_MAX`].
    pub lost_ids: Vec<String>,
    /// Of the lost, those acknowledged after the fault had landed (split brain): no objective allows one.
    pub lost_after_landing: u64,
    /// Read back and never attempted.
    pub unexpected: u64,
    /// The readings. Two that agree are needed.
    pub reads: Vec<ReadBack>,
    /// Whether the ledger's rows were purged afterwards.
    pub purged: Known<String>,
}

/// What was lost, over all ledgers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// From the oldest lost acknowledgement to the disruption; zero when nothing was lost.
    pub time: Known<Interval>,
    /// Each ledger's account.
    pub ledgers: Vec<Ledger>,
}

impl Loss {
    /// Acknowledged writes of all ledgers.
    pub fn acknowledged(&self) -> u64 {
        self.ledgers.iter().map(|l| l.acknowledged).sum()
    }

    /// Lost writes of all ledgers.
    pub fn lost(&self) -> u64 {
        self.ledgers.iter().map(|l| l.lost).sum()
    }
}

/// A backup that was restored, or was to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// Where it lies: bucket and key.
    pub key: String,
    /// The version that was pinned.
    pub version_id: Known<String>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its checksum as `algorithm:value`, and whether it was verified.
    pub checksum: Known<String>,
    /// How it was chosen (`the newest in postgresql/`).
    pub chosen_by: String,
    /// When the dump was started, RFC 3339 in UTC: loss counts from here.
    pub started_utc: Known<String>,
    /// From its start to the opening of the drill: what would have been lost now.
    pub age: Known<Interval>,
    /// The worst case over the last 30 days: the largest (next completed − previous started).
    pub worst_case: Known<Nanos>,
    /// What is wrong with it, if something is.
    pub defect: Option<String>,
}
