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
        self.ranges.iter().map(|r| r.last - r.first + 1).sum()
    }

    /// Whether a number is among them.
    pub fn contains(&self, seq: u64) -> bool {
        let next = self.ranges.partition_point(|r| r.last < seq);
        self.ranges.get(next).is_some_and(|r| r.first <= seq)
    }
}

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

/// The samples of one ledger stream.
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
        split_brain: Vec::new(),
        span: Interval::ZERO,
    };
    for attempt in attempts {
        let span = account_stream(*attempt, readings, disruption, landed, &mut loss);
        loss.span = loss.span.worst(span);
    }
    Known::Known(loss)
}

fn account_stream(
    attempts: Attempts<'_>,
    readings: &[LedgerReading],
    disruption: Moment,
    landed: Option<Moment>,
    account: &mut Loss,
) -> Interval {
    let found: Vec<Option<&Writes>> =
        readings.iter().map(|r| r.found.iter().find(|w| w.stream == *attempts.stream)).collect();
    let (mut lost, mut doubtful, mut split) = (Vec::new(), Vec::new(), Vec::new());
    let mut span = Interval::ZERO;
    let mut known = BTreeSet::new();
    for sample in attempts.samples {
        let hits = found.iter().filter(|w| w.is_some_and(|w| w.contains(sample.seq))).count();
        let fate = fate(sample.outcome);
        if fate == Fate::NotSent {
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
        let ours = |range: &SeqRange| known.range(range.first..=range.last).count() as u64;
        writes.ranges.iter().map(|r| (r.last - r.first).saturating_add(1) - ours(r)).fold(0, u64::saturating_add)
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
