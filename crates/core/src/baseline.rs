//! Before a fault: whether the probes are healthy, and fine enough for what they are to prove.

use crate::sample::{Outcome, Sample, Stream, StreamInfo};
use crate::spread::Spread;
use crate::time::{Mono, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A probe's period and timeout are at most this part of the recovery-time objective.
pub const FINENESS: u64 = 20;

/// A share of requests, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PerMillion(pub u32);

/// What the baseline of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It answered, and failures were within what is tolerated.
    Healthy,
    /// More requests failed than tolerated.
    Failing,
    /// Nothing of a known outcome was asked, or more was not asked than answered.
    Unwatched,
}

/// A stream before the fault, kept for comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// Which stream.
    pub stream: Stream,
    /// Requests answered correctly.
    pub ok: u64,
    /// Requests not answered correctly.
    pub failed: u64,
    /// Requests not asked.
    pub unknown: u64,
    /// The share of failures that is tolerated.
    pub tolerated: PerMillion,
    /// Latency of the correct answers.
    pub latency: Option<Spread>,
    /// The probe's own lateness.
    pub lateness: Option<Spread>,
    /// The conclusion.
    pub health: Health,
}

/// Judges the samples due from `from` until before `until`.
pub fn baseline(info: &StreamInfo, samples: &[Sample], from: Mono, until: Mono, tolerated: PerMillion) -> Baseline {
    let within: Vec<&Sample> = samples.iter().filter(|s| s.due_ns >= from && s.due_ns < until).collect();
    let count = |keep: fn(&Outcome) -> bool| within.iter().filter(|s| keep(&s.outcome)).count() as u64;
    let ok = count(|o| matches!(o, Outcome::Ok { .. }));
    let failed = count(|o| matches!(o, Outcome::Failed(_)));
    let unknown = count(|o| matches!(o, Outcome::Unknown));
    let known = || within.iter().filter(|s| s.outcome != Outcome::Unknown);
    let health = if ok + failed == 0 || unknown > ok + failed {
        Health::Unwatched
    } else if u128::from(failed) * 1_000_000 > u128::from(tolerated.0) * u128::from(ok + failed) {
        Health::Failing
    } else {
        Health::Healthy
    };
    Baseline {
        stream: info.stream.clone(),
        ok,
        failed,
        unknown,
        tolerated,
        latency: Spread::of(
            known().filter(|s| matches!(s.outcome, Outcome::Ok { .. })).map(|s| s.done_ns.since(s.sent_ns)),
        ),
        lateness: Spread::of(known().map(|s| s.sent_ns.since(s.due_ns))),
        health,
    }
}

/// A probe that cannot prove what the objective asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema)]
#[error(
    "probe {} ({}) is too coarse: its {what} is {found_ms} ms, and an objective of {objective_ms} ms needs at most \
     {limit_ms} ms; lower the {what}, or exclude the probe with a reason",
    .stream.probe, .stream.view.word()
)]
pub struct TooCoarse {
    /// Which stream.
    pub stream: Stream,
    /// `period` or `timeout`.
    pub what: String,
    /// What it is.
    pub found_ms: u64,
    /// What it may be.
    pub limit_ms: u64,
    /// The objective.
    pub objective_ms: u64,
}

/// Whether a stream asks often enough, and gives up early enough, for a recovery-time objective.
///
/// # Errors
/// When its period or its timeout is longer than a twentieth of the objective.
pub fn fine_enough(info: &StreamInfo, recovery_objective_ns: Nanos) -> Result<(), TooCoarse> {
    let limit_ns = Nanos(recovery_objective_ns.0 / FINENESS);
    for (what, found_ns) in [("period", info.period_ns), ("timeout", info.timeout_ns)] {
        if found_ns > limit_ns {
            return Err(TooCoarse {
                stream: info.stream.clone(),
                what: what.to_owned(),
                found_ms: found_ns.0.div_ceil(1_000_000),
                limit_ms: limit_ns.0 / 1_000_000,
                objective_ms: recovery_objective_ns.0 / 1_000_000,
            });
        }
    }
    Ok(())
}
