//! Loss: what the ledger's writes acknowledged, held against what two later readings found.
//!
//! A write is *lost* when it was acknowledged and every reading lacks it; *recovered* when its outcome was unknown and
//! it is there; *unexpected* when it is there and no sample tells of it. A write that only some readings found is
//! doubtful: one of them came too early, or from the wrong node. Without two readings from a node proven writable
//! nothing is concluded.

use crate::sample::{Failure, Outcome, Sample, Stream};
use crate::time::{Interval, Known, Moment, Mono, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Numbers from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SeqRange {
    /// The first number.
    pub first: u64,
    /// The last number; not less than the first.
    pub last: u64,
}

/// Some writes of one stream, as ranges of their numbers: ascending, without overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Writes {
    /// Whose writes.
    pub stream: Stream,
    /// Which.
    pub ranges: Vec<SeqRange>,
}

impl Writes {
    /// Gathers numbers in any order, repeats allowed, into ranges.
    pub fn of(stream: Stream, seqs: impl IntoIterator<Item = u64>) -> Self {
        let sorted: BTreeSet<u64> = seqs.into_iter().collect();
        let mut ranges: Vec<SeqRange> = Vec::new();
        for seq in sorted {
            match ranges.last_mut() {
                Some(range) if range.last.checked_add(1) == Some(seq) => range.last = seq,
                _ => ranges.push(SeqRange { first: seq, last: seq }),
            }
        }
        Self { stream, ranges }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|r| (r.last - r.first).saturating_add(1)).fold(0, u64::saturating_add)
    }

    /// Whether a number is among them.
    pub fn contains(&self, seq: u64) -> bool {
        let next = self.ranges.partition_point(|r| r.last < seq);
        self.ranges.get(next).is_some_and(|r| r.first <= seq)
    }
}

/// A ledger that had been quiet for longer than this when the disruption came proves nothing about loss.
pub const QUIET_LIMIT: Nanos = Nanos::from_secs(1);

/// One reading of the ledger's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerReading {
    /// When it began.
    pub at_ns: Mono,
    /// The server it was read from, as it calls itself.
    pub node: String,
    /// That the server took a write just before, or why that is not known.
    pub writable: Known<()>,
    /// What was there, per stream of this drill.
    pub found: Vec<Writes>,
}

/// What became of the ledger's writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Writes sent.
    pub attempted: u64,
    /// Writes acknowledged. A correct answer that came too slowly is an acknowledgement too.
    pub acknowledged: u64,
    /// Writes that certainly were not made: refused before they could be.
    pub failed: u64,
    /// Writes of unknown outcome.
    pub unknown: u64,
    /// Acknowledged, and in no reading.
    pub lost: Vec<Writes>,
    /// Acknowledged, and in some readings only.
    pub doubtful: Vec<Writes>,
    /// Of unknown or failed outcome, and found.
    pub recovered: u64,
    /// Found, and in no sample (a runner that was killed leaves some).
    pub unexpected: u64,
    /// How long nothing had been acknowledged when the disruption came, at most: a loss in that time leaves no trace
    /// here. `None` when nothing was acknowledged before it.
    pub quiet_ns: Option<Nanos>,
    /// Lost although acknowledged after the fault had landed: two servers took writes at once.
    pub split_brain: Vec<Writes>,
    /// From the acknowledgement of the oldest lost write to the disruption; zero when nothing is lost. Doubtful
    /// writes count in the upper bound only.
    pub span: Interval,
}

impl Loss {
    /// The loss as time, for an objective.
    pub fn measured(loss: &Known<Self>) -> Known<Interval> {
        match loss {
            Known::Known(loss) => Known::Known(loss.span),
            Known::Unknown(why) => Known::Unknown(why.clone()),
        }
    }

    /// How many writes are lost for certain.
    pub fn lost_count(&self) -> u64 {
        self.lost.iter().map(Writes::count).sum()
    }

    /// How many writes the readings disagree about.
    pub fn doubtful_count(&self) -> u64 {
        self.doubtful.iter().map(Writes::count).sum()
    }

    /// How many writes were acknowledged after the landing and lost.
    pub fn split_brain_count(&self) -> u64 {
        self.split_brain.iter().map(Writes::count).sum()
    }
}

/// The samples of one ledger stream. Over several runners the numbers must stay unique.
#[derive(Clone, Copy, Debug)]
pub struct Attempts<'a> {
    /// Which stream.
    pub stream: &'a Stream,
    /// Its samples.
    pub samples: &'a [Sample],
}

/// What one sample says about its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    NotMade,
    Unknown,
    NotSent,
}

fn fate(outcome: Outcome) -> Fate {
    match outcome {
        Outcome::Ok { .. } | Outcome::Failed(Failure::TooSlow) => Fate::Acknowledged,
        Outcome::Failed(Failure::Refused | Failure::Dns | Failure::Login | Failure::ReadOnly) => Fate::NotMade,
        Outcome::Failed(Failure::TimedOut | Failure::Broken | Failure::Error | Failure::WrongAnswer) => Fate::Unknown,
        Outcome::Unknown => Fate::NotSent,
    }
}

/// Accounts for every write of the given streams.
///
/// `disruption` is the moment that lost time is counted to (the injection where nothing was disrupted), `landed` when
/// the fault had landed, if it did. The answer is unknown without attempts, and without two readings from nodes proven
/// writable.
pub fn account(
    attempts: &[Attempts<'_>],
    readings: &[LedgerReading],
    disruption: Moment,
    landed: Option<Moment>,
) -> Known<Loss> {
    if attempts.iter().all(|a| a.samples.iter().all(|s| fate(s.outcome) == Fate::NotSent)) {
        return Known::Unknown("the ledger wrote nothing".to_owned());
    }
    if let Some(why) = readings.iter().find_map(|r| match &r.writable {
        Known::Known(()) => None,
        Known::Unknown(why) => Some(format!("the ledger was read from {}, not proven writable: {why}", r.node)),
    }) {
        return Known::Unknown(why);
    }
    if readings.len() < 2 {
        return Known::Unknown(format!("the ledger was read back {} times, not twice", readings.len()));
    }
    let mut loss = Loss {
        attempted: 0,
        acknowledged: 0,
        failed: 0,
        unknown: 0,
        lost: Vec::new(),
        doubtful: Vec::new(),
        recovered: 0,
        unexpected: 0,
        quiet_ns: quiet(attempts, disruption),
        split_brain: Vec::new(),
        span: Interval::ZERO,
    };
    for attempt in attempts {
        let span = account_stream(*attempt, readings, disruption, landed, &mut loss);
        loss.span = loss.span.worst(span);
    }
    Known::Known(loss)
}

/// From the newest acknowledgement before the disruption to the disruption.
fn quiet(attempts: &[Attempts<'_>], disruption: Moment) -> Option<Nanos> {
    let by_ns = disruption.by_ns.or(disruption.after_ns)?;
    let samples = attempts.iter().flat_map(|a| a.samples);
    let acknowledged = samples.filter(|s| fate(s.outcome) == Fate::Acknowledged && s.done_ns <= by_ns);
    acknowledged.map(|s| by_ns.since(s.done_ns)).min()
}

fn account_stream(
    attempts: Attempts<'_>,
    readings: &[LedgerReading],
    disruption: Moment,
    landed: Option<Moment>,
    account: &mut Loss,
) -> Interval {
    let ours = |writes: &&Writes| writes.stream == *attempts.stream;
    let found: Vec<Option<&Writes>> = readings.iter().map(|r| r.found.iter().find(ours)).collect();
    let (mut lost, mut doubtful, mut split) = (Vec::new(), Vec::new(), Vec::new());
    let mut span = Interval::ZERO;
    let mut known = BTreeSet::new();
    for sample in attempts.samples {
        let hits = found.iter().filter(|w| w.is_some_and(|w| w.contains(sample.seq))).count();
        let fate = fate(sample.outcome);
        // Nobody could tell whether it was sent. Where its row is found, it was; its answer is what is not known.
        if fate == Fate::NotSent && hits == 0 {
            continue;
        }
        known.insert(sample.seq);
        account.attempted += 1;
        match fate {
            Fate::Acknowledged => account.acknowledged += 1,
            Fate::NotMade => account.failed += 1,
            Fate::Unknown | Fate::NotSent => account.unknown += 1,
        }
        if fate != Fate::Acknowledged {
            account.recovered += u64::from(hits == readings.len());
            continue;
        }
        if hits == readings.len() {
            continue;
        }
        // The acknowledgement left the server between sending and arrival.
        let age = disruption.since(Moment::between(sample.sent_ns, sample.done_ns));
        if hits == 0 {
            lost.push(sample.seq);
            if landed.and_then(|l| l.by_ns).is_some_and(|by| sample.sent_ns > by) {
                split.push(sample.seq);
            }
            span = span.worst(Interval::new(age.lower_ns.max(Nanos(1)), age.upper_ns.map(|u| u.max(Nanos(1)))));
        } else {
            doubtful.push(sample.seq);
            span = span.worst(Interval::new(Nanos::ZERO, age.upper_ns.map(|u| u.max(Nanos(1)))));
        }
    }
    // By counting, not by listing: a foreign row may carry any number.
    let strangers = |writes: &&Writes| {
        let recorded = |range: &SeqRange| known.range(range.first..=range.last).count() as u64;
        writes.ranges.iter().map(|r| (r.last - r.first).saturating_add(1) - recorded(r)).fold(0, u64::saturating_add)
    };
    account.unexpected = account.unexpected.saturating_add(found.iter().flatten().map(strangers).max().unwrap_or(0));
    for (seqs, into) in
        [(lost, &mut account.lost), (doubtful, &mut account.doubtful), (split, &mut account.split_brain)]
    {
        if !seqs.is_empty() {
            into.push(Writes::of(attempts.stream.clone(), seqs));
        }
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::View;
    use proptest::prelude::*;

    fn stream() -> Stream {
        Stream { probe: "orders-write".into(), view: View::Kept }
    }

    /// A write each 10 ns from 0 on, answered 2 ns later.
    fn writes(outcomes: &[Outcome]) -> Vec<Sample> {
        let sample = |(seq, outcome): (u64, &Outcome)| {
            let due = seq * 10;
            let done = if *outcome == Outcome::Unknown { due } else { due + 2 };
            Sample { seq, due_ns: Mono(due), sent_ns: Mono(due), done_ns: Mono(done), outcome: *outcome }
        };
        (0..).zip(outcomes).map(sample).collect()
    }

    const OK: Outcome = Outcome::Ok { node: 1, timeline: 1 };

    fn failed(failure: Failure) -> Outcome {
        Outcome::Failed(failure)
    }

    fn reading(found: impl IntoIterator<Item = u64>) -> LedgerReading {
        LedgerReading {
            at_ns: Mono(9_000),
            node: "db-1".into(),
            writable: Known::Known(()),
            found: vec![Writes::of(stream(), found)],
        }
    }

    fn loss(samples: &[Sample], readings: &[LedgerReading], landed: Option<Moment>) -> Known<Loss> {
        let disruption = Moment::between(Mono(100), Mono(110));
        account(&[Attempts { stream: &stream(), samples }], readings, disruption, landed)
    }

    fn known(samples: &[Sample], one: &[u64], two: &[u64]) -> Loss {
        let readings = [reading(one.iter().copied()), reading(two.iter().copied())];
        loss(samples, &readings, None).known().unwrap().clone()
    }

    #[test]
    fn every_write_is_accounted_for() {
        let samples = writes(&[
            OK,
            OK,
            failed(Failure::TimedOut),
            failed(Failure::Broken),
            failed(Failure::Refused),
            Outcome::Unknown,
            failed(Failure::TooSlow),
            OK,
        ]);
        let loss = known(&samples, &[0, 2, 6, 7, 12], &[0, 2, 6, 7, 12]);
        assert_eq!((loss.attempted, loss.acknowledged, loss.failed, loss.unknown), (7, 4, 1, 2));
        assert_eq!(loss.lost, [Writes::of(stream(), [1])]);
        assert_eq!((loss.recovered, loss.unexpected, loss.doubtful_count()), (1, 1, 0));
        assert_eq!(loss.quiet_ns, Some(Nanos(38)), "number 7 was acknowledged at 72");
        // Acknowledged between 10 and 12, the disruption between 100 and 110.
        assert_eq!(loss.span, Interval::new(Nanos(88), Some(Nanos(100))));
    }

    #[test]
    fn the_oldest_lost_acknowledgement_counts_and_no_loss_is_zero() {
        let samples = writes(&[OK; 12]);
        let all: Vec<u64> = (0..12).collect();
        assert_eq!(known(&samples, &all, &all).span, Interval::ZERO);
        let kept = [0, 1, 2, 3, 4, 6, 7];
        let loss = known(&samples, &kept, &kept);
        assert_eq!(loss.lost[0].ranges, [SeqRange { first: 5, last: 5 }, SeqRange { first: 8, last: 11 }]);
        assert_eq!(loss.span, Interval::new(Nanos(48), Some(Nanos(60))));
    }

    #[test]
    fn a_lost_write_is_more_than_nothing_even_at_the_disruption() {
        let samples = writes(&[OK; 13]);
        let kept: Vec<u64> = (0..12).collect();
        // Number 12 was acknowledged at 120, behind the disruption: no time, but a loss.
        assert_eq!(known(&samples, &kept, &kept).span, Interval::new(Nanos(1), Some(Nanos(1))));
    }

    #[test]
    fn readings_that_disagree_leave_a_doubt() {
        let samples = writes(&[OK; 4]);
        let loss = known(&samples, &[0, 1, 3], &[0, 1, 2, 3]);
        assert_eq!((loss.lost_count(), loss.doubtful_count()), (0, 1));
        assert_eq!(loss.span.lower_ns, Nanos::ZERO);
        assert!(loss.span.upper_ns > Some(Nanos::ZERO), "a doubt is never a zero");
    }

    #[test]
    fn a_loss_behind_the_landing_is_a_split_brain() {
        let samples = writes(&[OK; 6]);
        let readings = [reading([0, 1, 2]), reading([0, 1, 2])];
        let landed = Moment::between(Mono(25), Mono(35));
        let loss = loss(&samples, &readings, Some(landed)).known().unwrap().clone();
        // Number 3 was sent at 30, perhaps before the landing.
        assert_eq!(loss.split_brain, [Writes::of(stream(), [4, 5])]);
        assert_eq!(loss.lost_count(), 3);
    }

    #[test]
    fn without_two_readings_of_a_writable_node_nothing_is_known() {
        let samples = writes(&[OK; 3]);
        assert!(matches!(loss(&samples, &[], None), Known::Unknown(_)));
        assert!(matches!(loss(&samples, &[reading(0..3)], None), Known::Unknown(_)));
        let unproven = LedgerReading { writable: Known::Unknown("in recovery".into()), ..reading(0..3) };
        assert!(matches!(loss(&samples, &[reading(0..3), unproven], None), Known::Unknown(_)));
        let nothing = writes(&[Outcome::Unknown; 3]);
        assert!(matches!(loss(&nothing, &[reading([]), reading([])], None), Known::Unknown(_)));
    }

    #[test]
    fn a_table_without_our_rows_has_lost_everything() {
        let samples = writes(&[OK; 3]);
        let empty = LedgerReading { found: Vec::new(), ..reading([]) };
        let loss = loss(&samples, &[empty.clone(), empty], None).known().unwrap().clone();
        assert_eq!(loss.lost_count(), 3);
    }

    #[test]
    fn foreign_numbers_are_counted_without_being_listed() {
        let samples = writes(&[OK; 3]);
        let vast = Writes { stream: stream(), ranges: vec![SeqRange { first: 0, last: u64::MAX }] };
        let all = LedgerReading { found: vec![vast], ..reading([]) };
        let loss = loss(&samples, &[all.clone(), all], None).known().unwrap().clone();
        assert_eq!((loss.lost_count(), loss.unexpected), (0, u64::MAX - 3));
    }

    proptest! {
        #[test]
        fn what_is_attempted_is_one_of_acknowledged_failed_or_unknown(
            outcomes in prop::collection::vec(prop::sample::select(vec![
                OK, failed(Failure::TimedOut), failed(Failure::Refused), failed(Failure::ReadOnly), Outcome::Unknown,
            ]), 1..60),
            found in prop::collection::btree_set(0_u64..60, 0..60),
        ) {
            let samples = writes(&outcomes);
            let readings = [reading(found.iter().copied()), reading(found.iter().copied())];
            let asked = outcomes.iter().any(|o| *o != Outcome::Unknown);
            match loss(&samples, &readings, None) {
                Known::Unknown(_) => prop_assert!(!asked),
                Known::Known(loss) => {
                    prop_assert_eq!(loss.attempted, loss.acknowledged + loss.failed + loss.unknown);
                    let lost = samples.iter().filter(|s| s.outcome == OK && !found.contains(&s.seq)).count() as u64;
                    prop_assert_eq!(loss.lost_count(), lost);
                    prop_assert_eq!(loss.span == Interval::ZERO, lost == 0);
                    let told = |seq: &u64| *seq < samples.len() as u64;
                    prop_assert_eq!(loss.unexpected, found.iter().filter(|seq| !told(seq)).count() as u64);
                    let sent = samples.iter().filter(|s| s.outcome != Outcome::Unknown || found.contains(&s.seq));
                    prop_assert_eq!(loss.attempted, sent.count() as u64);
                }
            }
        }

        #[test]
        fn ranges_hold_what_was_put_in(seqs in prop::collection::btree_set(0_u64..100, 0..60), probe in 0_u64..100) {
            let writes = Writes::of(stream(), seqs.iter().copied());
            prop_assert_eq!(writes.count(), seqs.len() as u64);
            prop_assert_eq!(writes.contains(probe), seqs.contains(&probe));
        }
    }
}
