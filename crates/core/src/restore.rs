//! What a restore did and found, phase by phase, and what that proves: plain data, and one pure judgement over it.
//!
//! Three things are kept apart, because a verdict needs them apart. A *defect* is proven: this backup cannot be relied
//! on. An *unknown* is something that was needed and not seen: it can never become a pass. Everything else is fact.

pub mod judgement;
pub mod worst_case;

pub use judgement::{Judgement, judge};
pub use worst_case::{BackupSpan, WorstCase, worst_case};

use crate::time::{Interval, Known, Mono, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which part of the object a stored checksum was computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Coverage {
    /// Over all its bytes in order: comparable with a hash of the file.
    FullObject,
    /// Over the checksums of its parts (a multipart upload): not comparable without the parts' sizes.
    Composite,
}

/// The checksum that the store keeps of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredChecksum {
    /// Its algorithm as S3 names it: `CRC32`, `CRC32C`, `CRC64NVME`, `SHA1`, `SHA256`; `MD5` when it is the `ETag`.
    pub algorithm: String,
    /// Its value as the store gives it: base64, or hexadecimal for an `ETag`.
    pub value: String,
    /// What it was computed over.
    pub covers: Coverage,
}

/// A backup as the store describes it; with it every later read is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupObject {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version; unknown where the bucket keeps none.
    pub version_id: Known<String>,
    /// The entity tag, quotes included, as the store gave it.
    pub etag: String,
    /// The size in bytes.
    pub size_bytes: u64,
    /// When its upload was complete, by the store's clock (whole seconds), in wall-clock nanoseconds since 1970.
    pub completed_wall_ns: i64,
    /// The storage class (`STANDARD`).
    pub storage_class: String,
    /// The checksum the store keeps; unknown when it keeps none.
    pub checksum: Known<StoredChecksum>,
}

/// Objects in the prefix that are no candidates, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetAside {
    /// How many.
    pub count: u64,
    /// The first few, as `key: reason`.
    pub examples: Vec<String>,
}

/// The backup that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// Which object.
    pub object: BackupObject,
    /// The rule it was chosen by (`the newest of 12 in postgresql/`).
    pub chosen_by: String,
    /// When the dump was *started*, by its own header, in wall-clock nanoseconds since 1970. Loss counts from here:
    /// what was committed later is not in it, however late the upload ended.
    pub started_wall_ns: Known<i64>,
    /// From the start of the dump to the drill's reference moment.
    pub age: Interval,
    /// How many objects in the prefix could have been chosen.
    pub candidates: u64,
    /// Which objects were not considered.
    pub set_aside: SetAside,
    /// The worst case of the retained backups.
    pub worst_case: Known<WorstCase>,
}

/// The backup's bytes, on the runner's disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fetched {
    /// How many bytes.
    pub size_bytes: u64,
    /// How many ranges they came in.
    pub ranges: u64,
    /// How large a range is.
    pub range_bytes: u64,
    /// How many connections fetched at once.
    pub connections: u16,
    /// How many ranges had to be asked for again.
    pub retried: u64,
    /// Our own SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
    /// Whether the bytes are those the store keeps a checksum of: `Known(false)` is a defect.
    pub checksum_matches: Known<bool>,
    /// In words (`CRC64NVME of the whole object: equal`).
    pub checksum_note: String,
}

/// Something that is wrong with a backup, for certain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Defect {
    /// Where in the file, in bytes from its start, if it is at one place.
    pub offset: Option<u64>,
    /// What was found and what was expected, as a sentence.
    pub sentence: String,
}

/// What was learned of a dump before it was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Validated {
    /// The archive format's version (`1.14`).
    pub format: Known<String>,
    /// The version of the server that was dumped (`15.8`).
    pub server_version: Known<String>,
    /// The version of the `pg_dump` that wrote it.
    pub dump_version: Known<String>,
    /// The database's name.
    pub database: Known<String>,
    /// How its data are compressed (`gzip`).
    pub compression: Known<String>,
    /// Entries in its table of contents.
    pub toc_entries: Known<u64>,
    /// Tables whose data it holds.
    pub tables: Known<u64>,
    /// Data blocks that were walked from the first byte to the last.
    pub data_blocks: Known<u64>,
    /// Whether every byte was also decompressed and read by `pg_restore`, without restoring: how many bytes came out.
    pub read_through_bytes: Known<u64>,
    /// What is wrong with it. Empty: nothing was found.
    pub defects: Vec<Defect>,
}

/// Where the backup was restored into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Staged {
    /// In words (`scratch PostgreSQL 15.8 on a Unix socket`).
    pub what: String,
    /// The staging server's version.
    pub server_version: String,
    /// The staging server's system identifier; a scratch has one of its own.
    pub system_identifier: Known<String>,
    /// Settings that differ from PostgreSQL's defaults, as `name = value`: a tuned restore is not production's restore.
    pub settings: Vec<String>,
    /// What was seen of the free room on its disk, in bytes.
    pub free_bytes: Known<u64>,
    /// Things the reader should know (`locale en_US.utf8 is not on this machine: C was used`).
    pub notes: Vec<String>,
}

/// What `pg_restore` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loaded {
    /// How many jobs.
    pub jobs: u16,
    /// Its exit status, if it ended by itself.
    pub exit: Known<i32>,
    /// The last lines of what it said.
    pub said: String,
    /// Kinds of objects that were left out on purpose, as `3 × SUBSCRIPTION: reason`.
    pub left_out: Vec<String>,
}

/// One question to the restored copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What it proves.
    pub name: String,
    /// What has to hold.
    pub expected: String,
    /// What was found; unknown when it could not be asked.
    pub found: Known<String>,
    /// Whether it holds.
    pub ok: Known<bool>,
}

impl Check {
    /// A check that was answered.
    pub fn answered(name: impl Into<String>, expected: impl Into<String>, found: impl Into<String>, ok: bool) -> Self {
        Self { name: name.into(), expected: expected.into(), found: Known::Known(found.into()), ok: Known::Known(ok) }
    }

    /// A check that could not be made, and why.
    pub fn unknown(name: impl Into<String>, expected: impl Into<String>, why: impl Into<String>) -> Self {
        let why = why.into();
        Self {
            name: name.into(),
            expected: expected.into(),
            found: Known::Unknown(why.clone()),
            ok: Known::Unknown(why),
        }
    }
}

/// How far back the restored copy is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryPoint {
    /// The newest canary found, in wall-clock nanoseconds since 1970.
    pub newest_canary_wall_ns: Known<i64>,
    /// What would have been lost, had the disaster come at the reference moment. With a canary it is at most
    /// reference − canary and at least reference − (the later of canary and start of the dump); without one, the start
    /// of the dump alone bounds it.
    pub loss: Interval,
    /// How the figure was made.
    pub method: String,
}

/// What the restored copy answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verified {
    /// Every check that was asked for.
    pub checks: Vec<Check>,
    /// How far back it is.
    pub recovery_point: RecoveryPoint,
    /// Rows of each table that was counted.
    pub rows: Vec<(String, u64)>,
}

/// The phases of a restore, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseName {
    /// The prefix is listed, the backup chosen.
    Find,
    /// Its bytes are brought here.
    Fetch,
    /// They are read before they are used.
    Validate,
    /// The staging server is made, or its guards are asked.
    Stage,
    /// `pg_restore`.
    Restore,
    /// The copy answers its questions.
    Verify,
}

impl PhaseName {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Fetch => "fetch",
            Self::Validate => "validate",
            Self::Stage => "stage",
            Self::Restore => "restore",
            Self::Verify => "verify",
        }
    }
}

/// One phase, timed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// Which.
    pub name: PhaseName,
    /// When it began.
    pub began_ns: Mono,
    /// When it ended.
    pub ended_ns: Mono,
    /// Bytes it moved or read, where bytes are what it moves.
    pub bytes: Option<u64>,
    /// What it did, in one line.
    pub detail: String,
    /// What stopped it, if something did.
    pub failure: Option<String>,
}

impl Phase {
    /// How long it took.
    pub fn took(&self) -> Nanos {
        self.ended_ns.since(self.began_ns)
    }

    /// Bytes per second; `None` where no bytes moved or no time passed.
    pub fn throughput(&self) -> Option<f64> {
        let seconds = self.took().as_secs_f64();
        self.bytes.filter(|_| seconds > 0.0).map(|b| b as f64 / seconds)
    }
}

/// What ended a restore before its last check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// The backup is bad, for certain.
    Defect(String),
    /// Nothing is known of the backup: something on this side failed.
    Cannot(String),
    /// A guard of the restore refused: nothing was written.
    Refused(String),
    /// The deadline passed.
    Deadline(String),
    /// A person or a guard of the drill stopped it.
    Cancelled,
}

/// A restore, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreRecord {
    /// The moment loss and age are counted to, in wall-clock nanoseconds since 1970: the opening of the drill.
    pub reference_wall_ns: i64,
    /// The backup that was chosen.
    pub found: Option<Found>,
    /// Its bytes.
    pub fetched: Option<Fetched>,
    /// What they are.
    pub validated: Option<Validated>,
    /// Where they went.
    pub staged: Option<Staged>,
    /// How they went there.
    pub loaded: Option<Loaded>,
    /// What the copy answered.
    pub verified: Option<Verified>,
    /// Its phases in order; those that were not reached are missing.
    pub phases: Vec<Phase>,
    /// When the restored copy answered its first question.
    pub first_answer_ns: Known<Mono>,
    /// What ended it before its end.
    pub stopped: Option<Stopped>,
}

impl RestoreRecord {
    /// A restore that has not begun.
    pub fn new(reference_wall_ns: i64) -> Self {
        Self {
            reference_wall_ns,
            found: None,
            fetched: None,
            validated: None,
            staged: None,
            loaded: None,
            verified: None,
            phases: Vec::new(),
            first_answer_ns: Known::Unknown("the restored copy was never asked".to_owned()),
            stopped: None,
        }
    }

    /// From the beginning of the first phase to the end of the last: the restore duration, checks included.
    /// `None` when it did not come to its end.
    pub fn duration(&self) -> Option<Nanos> {
        match (&self.stopped, self.phases.first(), self.phases.last()) {
            (None, Some(first), Some(last)) if last.name == PhaseName::Verify => {
                Some(last.ended_ns.since(first.began_ns))
            }
            _ => None,
        }
    }

    /// From the beginning of the first phase to the copy's first answer.
    pub fn until_first_answer(&self) -> Option<Nanos> {
        let began = self.phases.first()?.began_ns;
        self.first_answer_ns.known().map(|at| at.since(began))
    }
}
