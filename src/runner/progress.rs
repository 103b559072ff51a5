//! What a person may see while a drill runs: a picture of the moment, made often and thrown away.

use crate::runner::streams::{Running, Streams};
use firedrill_core::drill::Drill;
use firedrill_core::sample::{Outcome, Stream};
use firedrill_core::time::{Mono, Nanos};

/// The phase a drill is in, as people call it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Looking whether it can be done.
    #[default]
    Preflight,
    /// Locks, tables, staging.
    Arm,
    /// Waiting for a healthy start.
    Baseline,
    /// Doing it.
    Inject,
    /// The fault is held, or the service recovers.
    Measure,
    /// Reading back, and checking.
    Verify,
    /// Giving back what is owed.
    Undo,
    /// Over.
    Report,
}

/// One stream, as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPicture {
    /// Which.
    pub stream: Stream,
    /// Up or down over the time that is drawn, oldest first; `None` where nothing is known.
    pub spark: Vec<Option<bool>>,
    /// How long the outage lasts, or lasted.
    pub down: Option<Nanos>,
    /// Whether it is down now.
    pub is_down: bool,
    /// 99 of 100 good answers were at least as fast.
    pub p99: Option<Nanos>,
    /// 99 of 100 requests left at most this late.
    pub late_p99: Option<Nanos>,
}

/// A drill, as it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Its phase.
    pub phase: Phase,
    /// Since it was opened.
    pub elapsed: Nanos,
    /// Since the clock of the recovery began, while it runs.
    pub recovering: Option<Nanos>,
    /// Since every stream answers rightly.
    pub stable_for: Option<Nanos>,
    /// The streams.
    pub streams: Vec<StreamPicture>,
    /// What has happened so far, the newest last: time since the opening, words.
    pub notes: Vec<(Nanos, String)>,
    /// What will be changed, from the plan.
    pub will: Vec<String>,
    /// What will not.
    pub will_not: Vec<String>,
    /// How many preflight checks were made.
    pub checks: usize,
    /// What is owed right now.
    pub owed: Vec<String>,
}

/// The phase of a drill.
pub fn phase(drill: &Drill) -> Phase {
    if drill.closed || drill.suspended {
        Phase::Report
    } else if drill.undoing.is_some() {
        Phase::Undo
    } else if drill.plan.is_none() {
        Phase::Preflight
    } else if drill.recovered() || drill.deadline_passed {
        Phase::Verify
    } else if drill.injected.is_some() || !drill.works.is_empty() {
        Phase::Measure
    } else if drill.baseline_held {
        Phase::Inject
    } else if drill.probing_since.is_some() {
        Phase::Baseline
    } else {
        Phase::Arm
    }
}

const SPARK_CELLS: u64 = 40;
const SPARK_CELL: Nanos = Nanos::from_ms(250);

pub(crate) fn picture(
    drill: &Drill,
    streams: &Streams,
    opened: Mono,
    now: Mono,
    notes: &[(Nanos, String)],
    checks: usize,
) -> Picture {
    let plan = drill.plan.as_ref();
    Picture {
        phase: phase(drill),
        elapsed: now.since(opened),
        recovering: drill
            .heal_began
            .or(drill.injected.map(|(from, _)| from))
            .map(|from| drill.stable.unwrap_or(now).since(from)),
        stable_for: streams.running.iter().map(|r| r.now.ok_since.map_or(Nanos::ZERO, |since| now.since(since))).min(),
        streams: streams.running.iter().map(|r| stream(r, now)).collect(),
        notes: notes.to_vec(),
        will: plan.into_iter().flat_map(|p| p.steps.iter().map(|s| s.effect.describe())).collect(),
        will_not: plan.map(|p| p.untouched.clone()).unwrap_or_default(),
        checks,
        owed: drill.outstanding().filter_map(|id| plan.map(|p| p.step(id).effect.describe())).collect(),
    }
}

fn stream(running: &Running, now: Mono) -> StreamPicture {
    let begin = now.minus(Nanos(SPARK_CELL.0 * SPARK_CELLS));
    let mut spark = vec![None; usize::try_from(SPARK_CELLS).unwrap_or(0)];
    let mut latencies = Vec::new();
    let mut lateness = Vec::new();
    for sample in running.recent.iter().filter(|s| s.sent_ns >= begin) {
        let cell = usize::try_from(sample.sent_ns.since(begin).0 / SPARK_CELL.0).unwrap_or(usize::MAX);
        let up = match sample.outcome {
            Outcome::Ok { .. } => {
                latencies.push(sample.done_ns.since(sample.sent_ns));
                true
            }
            Outcome::Failed(_) => false,
            Outcome::Unknown => continue,
        };
        lateness.push(sample.sent_ns.since(sample.due_ns));
        if let Some(cell) = spark.get_mut(cell) {
            // One failure colours its cell: what users could not do is not averaged away.
            *cell = Some(cell.unwrap_or(true) && up);
        }
    }
    let p99 = |mut all: Vec<Nanos>| {
        all.sort_unstable();
        all.get((all.len() * 99 / 100).min(all.len().saturating_sub(1))).copied()
    };
    StreamPicture {
        stream: running.info.stream.clone(),
        spark,
        down: running.last_down.map(|(from, to)| to.unwrap_or(now).since(from)),
        is_down: running.now.down_since.is_some(),
        p99: p99(latencies),
        late_p99: p99(lateness),
    }
}
