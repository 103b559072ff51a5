//! A report made of a drill's records and samples, and of nothing else.

use crate::event::Record;
use crate::report::Report;

/// What a report is made of.
#[derive(Debug)]
pub struct Material<'a> {
    /// The drill's records, in order. Never empty.
    pub records: &'a [Record],
    /// Its stored samples, in order of epoch, stream and chunk.
    pub chunks: Vec<StoredChunk>,
    /// The hash of the last record in the journal, hexadecimal.
    pub chain_head: String,
    /// What the journal knows of earlier drills.
    pub before: Before,
}

/// One stored chunk of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// The epoch of the runner that took them.
    pub epoch: u64,
    /// The stream, by its position in that epoch's `ProbingBegan`.
    pub stream: u16,
    /// Its number.
    pub chunk: u32,
    /// The encoded samples.
    pub bytes: Vec<u8>,
}

/// What the journal knows of earlier drills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// SHA-256 of the report before this one, hexadecimal.
    pub report_sha256: Option<String>,
    /// When a drill of the same experiment that passed was opened last, UTC, nanoseconds since 1970.
    pub last_pass_wall_ns: Option<i64>,
}

/// Makes the report.
pub fn report(material: &Material<'_>) -> Report {
    todo!("{material:?}")
}
