//! A report made of a drill's records and samples, and of nothing else.
//!
//! [`case`] gathers what was recorded; [`measured`] measures and judges; the others each write one part of the report.

mod case;
mod effects;
mod identity;
mod judgement;
mod measured;
mod restore;
mod story;
mod streams;
mod witness;

use crate::event::Record;
use crate::report::Report;
use case::Case;
use measured::Measured;

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
///
/// # Panics
/// When there are no records, or the first is no opening: nothing can be reported of what was never opened.
pub fn report(material: &Material<'_>) -> Report {
    let case = Case::of(material);
    let measured = Measured::of(&case);
    Report {
        schema_version: crate::report::SCHEMA_VERSION,
        identity: identity::identity(&case, material),
        judgement: judgement::judgement(&case, &measured),
        experiment: identity::experiment(&case),
        estate: identity::estate(&case),
        clock: case.clock.clone(),
        objectives: judgement::objectives(&measured),
        recovery: streams::recovery(&case, &measured),
        loss: judgement::loss(&case, &measured),
        exercised: judgement::exercised(&case, &measured),
        residue: effects::residue(&case),
        abort: story::abort(&case),
        streams: streams::reports(&case, &measured),
        preflight: story::preflight(&case),
        verification: judgement::verification(&case, &measured),
        events: story::events(&case, &measured),
        phases: story::phases(&case, &measured),
        faults: effects::faults(&case),
        waves: effects::waves(&case),
        works: restore::works(&case),
        backup: restore::backup(&case),
        topologies: effects::topologies(&case),
        deviations: story::deviations(&case),
        history: identity::history(&case, material),
        tool: identity::tool(&case),
        evidence: identity::evidence(&case, material),
    }
}
