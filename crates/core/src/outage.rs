//! From the samples of one stream to outages with bounds.
//!
//! A time *t* is down when a request sent at *t* is not answered correctly within the timeout. A sample therefore
//! says something exact about the moment it was sent, and something looser about the service behind it: an answer
//! proves that it was up at some moment between sending and answer, a failure that it was down at some moment between
//! sending and outcome. Every bound here holds under both readings:
//!
//! - an outage starts after the last correct answer was *sent* (it may have stopped right behind that request), and at
//!   the latest when the first failure was *known* (the service may have died with the request in flight);
//! - it ends after the last failed request was *sent*, and at the latest when a correct answer had *arrived*.
//!
//! A failure by timeout is known only a timeout later, although the trouble was there as soon as the service took
//! longer than it ever did: for these the slowest recent correct answer (and the probe's own lateness) replaces the
//! timeout in the start's upper bound. Answers that had queued up behind an earlier outage are left out of that.
//!
//! What was not asked proves nothing. A slot that was busy, a missing number, or a silence longer than the stream's
//! [`resolution`] is a [`Blind`] stretch: it may hide an outage, so it breaks a stable run, widens the bounds beside
//! it, and is counted as possible downtime. It is never evidence for the service.

use crate::sample::{Failure, Outcome, Sample, StreamInfo};
use crate::time::{Interval, Moment, Mono, Nanos};
use crate::watch::Watch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many correct answers before a failure are looked at for the slowest.
const RECENT_ANSWERS: usize = 100;

/// How often one kind of failure was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailureCount {
    /// The kind.
    pub failure: Failure,
    /// The number of samples.
    pub count: u64,
}

/// A run of failed samples with no correct answer sent between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// When it started: after the last correct answer was sent, by the first failed outcome.
    pub start: Moment,
    /// When it ended: after the last failed request was sent, by the next correct answer; open when there was none.
    pub end: Moment,
    /// How long the service was down. The lower bound leaves out what nobody watched in between.
    pub down: Interval,
    /// The number of failed samples.
    pub failed: u64,
    /// The number of the first failed sample.
    pub first_seq: u64,
    /// The number of the last failed sample.
    pub last_seq: u64,
    /// The kinds of failures, in the order of [`Failure`].
    pub failures: Vec<FailureCount>,
}

/// A stretch between two correct answers (or beside one) in which an outage may hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blind {
    /// The last request of a known outcome before it was sent here.
    pub from_ns: Mono,
    /// The next request of a known outcome was sent here; `None` when there was none until the record's end.
    pub until_ns: Option<Mono>,
    /// The acknowledgement of the next correct answer.
    pub answered_ns: Option<Mono>,
}

/// The run of correct answers that ends an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stable {
    /// The first correct answer of the run to arrive: the service is back, by then at the latest.
    pub acknowledged_ns: Mono,
    /// Its number.
    pub seq: u64,
    /// The request that completed the stable time was sent here: until then the runner had to wait.
    pub held_ns: Mono,
}

/// How many requests came to what, over the whole record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Answered correctly.
    pub ok: u64,
    /// Not answered correctly.
    pub failed: u64,
    /// Not asked.
    pub unknown: u64,
}

/// How long a silence between two correct answers may be before it counts as blind: two periods, or the timeout
/// where that is longer. (A stall shorter than the timeout is no outage either.)
pub fn resolution(info: &StreamInfo) -> Nanos {
    Nanos(info.period_ns.0.saturating_mul(2)).max(info.timeout_ns)
}

/// Whether a sample was answered correctly.
pub(crate) fn is_ok(sample: &Sample) -> bool {
    matches!(sample.outcome, Outcome::Ok { .. })
}

/// The samples of a stream, sorted for reading.
pub(crate) struct Record<'a> {
    /// Known outcomes in the order of sending.
    pub(crate) known: Vec<&'a Sample>,
    /// Stretches within which something should have been asked and was not: from the request before to the one after.
    holes: Vec<(Mono, Mono)>,
    pub(crate) counts: Counts,
    resolution_ns: Nanos,
}

impl<'a> Record<'a> {
    pub(crate) fn new(info: &StreamInfo, samples: &'a [Sample]) -> Self {
        let mut by_due: Vec<&Sample> = samples.iter().collect();
        by_due.sort_by_key(|s| (s.due_ns, s.seq));
        let mut counts = Counts::default();
        let mut holes = Vec::new();
        let mut hole_from: Option<Mono> = None;
        let mut previous: Option<&Sample> = None;
        for sample in &by_due {
            // Also where a successor counts from 0 again: what its forerunner had under way was never recorded.
            let missing = previous.is_some_and(|p| Some(sample.seq) != p.seq.checked_add(1));
            match sample.outcome {
                Outcome::Ok { .. } => counts.ok += 1,
                Outcome::Failed(_) => counts.failed += 1,
                Outcome::Unknown => counts.unknown += 1,
            }
            if missing || sample.outcome == Outcome::Unknown {
                hole_from = hole_from.or_else(|| previous.map(|p| p.sent_ns)).or(Some(sample.due_ns));
            }
            if sample.outcome != Outcome::Unknown
                && let Some(from) = hole_from.take()
            {
                holes.push((from, sample.sent_ns));
            }
            previous = Some(sample);
        }
        holes.sort_unstable();
        let mut known: Vec<&Sample> = by_due.into_iter().filter(|s| s.outcome != Outcome::Unknown).collect();
        known.sort_by_key(|s| (s.sent_ns, s.seq));
        Self { known, holes, counts, resolution_ns: resolution(info) }
    }

    /// Whether an outage may hide between two requests that followed each other.
    fn blind(&self, earlier: &Sample, later: &Sample) -> bool {
        let next_hole = self.holes.partition_point(|(_, until)| *until <= earlier.sent_ns);
        later.sent_ns.since(earlier.sent_ns) > self.resolution_ns
            || self.holes.get(next_hole).is_some_and(|(from, _)| *from < later.sent_ns)
    }

    /// By when the trouble of a failed sample was there at the latest. See the head of this file for timeouts.
    fn failed_by(&self, index: usize, slowest_ns: Option<Nanos>) -> Mono {
        let sample = self.known[index];
        match (sample.outcome, slowest_ns) {
            (Outcome::Failed(Failure::TimedOut | Failure::TooSlow), Some(slowest)) => {
                sample.done_ns.min(sample.sent_ns.plus(slowest))
            }
            _ => sample.done_ns,
        }
    }

    /// The slowest of the recent correct answers before `index`, or the probe's own lateness when that was worse. What
    /// had queued up behind an earlier outage waited for its end, and says nothing of the service's usual pace: only
    /// answers sent after the first that arrived behind that outage are looked at.
    fn slowest_before(&self, index: usize) -> Option<Nanos> {
        let mut slowest_ns = None;
        let mut left = RECENT_ANSWERS;
        let mut end = index;
        while end > 0 && left > 0 {
            let run = self.known[..end].iter().rev().take_while(|s| is_ok(s)).count();
            let start = end - run;
            let queued_until = self.known[start..end].iter().map(|s| s.done_ns).min().filter(|_| start > 0);
            let usual = self.known[start..end].iter().rev().filter(|s| queued_until.is_none_or(|q| s.sent_ns > q));
            for sample in usual.take(left) {
                let took_ns = sample.done_ns.since(sample.sent_ns).max(sample.sent_ns.since(sample.due_ns));
                slowest_ns = slowest_ns.max(Some(took_ns));
                left -= 1;
            }
            end = start - self.known[..start].iter().rev().take_while(|s| !is_ok(s)).count();
        }
        slowest_ns
    }
}

/// An outage with what its length is bounded by.
pub(crate) struct Failing {
    pub(crate) outage: Outage,
    /// The stretches that were watched without a break.
    pub(crate) pieces: Vec<Piece>,
    /// The range of its samples in [`Record::known`].
    pub(crate) span: std::ops::Range<usize>,
}

/// Failures that followed each other without a blind stretch.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "units come last in names")]
pub(crate) struct Piece {
    /// The service was down at this point at the latest.
    pub(crate) down_by_ns: Mono,
    /// The first of its failures was known here.
    pub(crate) known_by_ns: Mono,
    /// It was still down at this point, where that is later.
    pub(crate) down_at_ns: Mono,
}

impl Piece {
    /// How long the service was down for certain.
    pub(crate) fn certain_ns(self) -> u64 {
        self.down_at_ns.since(self.down_by_ns).0
    }
}

/// What a record consists of, in the order of sending.
pub(crate) enum Item {
    Outage(Failing),
    Blind(Blind),
    Stable(Stable),
}

pub(crate) fn items(record: &Record<'_>, stable_for_ns: Nanos, watch: &Watch) -> Vec<Item> {
    let known = &record.known;
    let mut items = Vec::new();
    if let (Some(injection), first) = (watch.injection, known.first())
        && first.is_none_or(|s| is_ok(s) && s.sent_ns > injection.request_ns)
    {
        // The record begins after the injection: what happened until then nobody saw.
        items.push(Item::Blind(Blind {
            from_ns: injection.request_ns,
            until_ns: first.map(|s| s.sent_ns),
            answered_ns: first.map(|s| s.done_ns),
        }));
    }
    let mut start = 0;
    while start < known.len() {
        let ok = is_ok(known[start]);
        let end = start + known[start..].iter().take_while(|s| is_ok(s) == ok).count();
        if ok {
            answers(record, start, end, stable_for_ns, &mut items);
        } else {
            items.push(Item::Outage(failing(record, start, end, watch)));
        }
        start = end;
    }
    if let (Some(injection), Some(last)) = (watch.injection, known.last())
        && is_ok(last)
        && last.sent_ns < injection.reply_ns.plus(stable_for_ns)
    {
        // The record ends before a stable time has passed since the injection.
        items.push(Item::Blind(Blind { from_ns: last.sent_ns, until_ns: None, answered_ns: None }));
    }
    items
}

/// A run of correct answers: stable where it was watched for long enough, blind where it was not.
fn answers(record: &Record<'_>, start: usize, end: usize, stable_for_ns: Nanos, items: &mut Vec<Item>) {
    let mut from = start;
    while from < end {
        let watched = (from + 1..end).take_while(|i| !record.blind(record.known[i - 1], record.known[*i])).count();
        let until = from + 1 + watched;
        if let Some(stable) = stable(&record.known[from..until], stable_for_ns) {
            items.push(Item::Stable(stable));
        }
        if until < end {
            let next = record.known[until..end].iter().map(|s| s.done_ns).min();
            items.push(Item::Blind(Blind {
                from_ns: record.known[until - 1].sent_ns,
                until_ns: Some(record.known[until].sent_ns),
                answered_ns: next,
            }));
        }
        from = until;
    }
}

/// The first acknowledgement of a watched run, when the run went on for the stable time behind it.
fn stable(run: &[&Sample], stable_for_ns: Nanos) -> Option<Stable> {
    let first = run.iter().min_by_key(|s| (s.done_ns, s.seq))?;
    let held = run.iter().find(|s| s.sent_ns >= first.done_ns.plus(stable_for_ns))?;
    Some(Stable { acknowledged_ns: first.done_ns, seq: first.seq, held_ns: held.sent_ns })
}

fn failing(record: &Record<'_>, start: usize, end: usize, watch: &Watch) -> Failing {
    let known = &record.known;
    let slowest_ns = record.slowest_before(start);
    let failed_by = |range: std::ops::Range<usize>| range.map(|i| record.failed_by(i, slowest_ns)).min();
    let last = known[end - 1];
    let before_ns = start.checked_sub(1).map(|i| known[i].sent_ns);
    // A record that begins with a failure behind the injection: the disruption cannot be older than the injection.
    let request_ns = watch.injection.map(|i| i.request_ns).filter(|request| known[start].sent_ns >= *request);
    let after_ns = before_ns.or(request_ns);
    let run_end = end + known[end..].iter().take_while(|s| is_ok(s)).count();
    let answered_ns = known[end..run_end].iter().map(|s| s.done_ns).min();
    let start_moment = Moment { after_ns, by_ns: failed_by(start..end) };
    let end_moment = Moment { after_ns: Some(last.sent_ns), by_ns: answered_ns };
    let mut pieces = Vec::new();
    let mut from = start;
    while from < end {
        let until = from + 1 + (from + 1..end).take_while(|i| !record.blind(known[i - 1], known[*i])).count();
        let down_at_ns = known[until - 1].sent_ns;
        let known_by_ns = known[from..until].iter().map(|s| s.done_ns).min().unwrap_or(down_at_ns);
        pieces.push(Piece { down_by_ns: failed_by(from..until).unwrap_or(known_by_ns), known_by_ns, down_at_ns });
        from = until;
    }
    let certain_ns = Nanos(pieces.iter().map(|p| p.certain_ns()).sum());
    let outage = Outage {
        start: start_moment,
        end: end_moment,
        down: Interval::new(certain_ns, end_moment.since(start_moment).upper_ns),
        failed: (end - start) as u64,
        first_seq: known[start].seq,
        last_seq: last.seq,
        failures: count_failures(&known[start..end]),
    };
    Failing { outage, pieces, span: start..end }
}

fn count_failures(samples: &[&Sample]) -> Vec<FailureCount> {
    let mut counts = std::collections::BTreeMap::new();
    for sample in samples {
        if let Outcome::Failed(failure) = sample.outcome {
            *counts.entry(failure).or_insert(0) += 1;
        }
    }
    counts.into_iter().map(|(failure, count)| FailureCount { failure, count }).collect()
}
