//! The recovery time over all streams: from the disruption to stability, as an interval, the worst view counting.
//!
//! The clock starts at the *disruption*, the first failure any counted stream could see after the injection, when the
//! system heals itself or people heal it; with the recovery when firedrill heals. Each view stops its own clock with
//! the end of the last outage before its stable run. A view that fails again after it had been stable has further
//! episodes; each is measured from its own start, and the worst of all is the recovery time: a service that comes back
//! for a moment has not recovered.

use crate::outage::is_ok;
use crate::reading::{Episode, Gap, Last, Reading, read};
use crate::sample::{Outcome, Sample, Stream, StreamInfo};
use crate::spread::Spread;
use crate::time::{Interval, Known, Moment, Mono, Nanos};
use crate::watch::{Watch, WatchEnd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One stream and what it recorded.
#[derive(Clone, Copy, Debug)]
pub struct StreamRecord<'a> {
    /// What the stream is.
    pub info: &'a StreamInfo,
    /// Its samples, baseline included.
    pub samples: &'a [Sample],
}

/// Who brings the service back, which decides where the clock starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Healer {
    /// The system itself: the clock starts at the disruption.
    Itself,
    /// firedrill: the clock starts with the recovery; detection and decision were not exercised.
    Firedrill {
        /// When firedrill was about to begin the recovery.
        began_ns: Mono,
        /// The declared time to detect and to decide, added to what was measured.
        detect_and_decide_ns: Option<Nanos>,
    },
    /// People, by a runbook: the clock starts at the disruption and runs while they work.
    People,
}

/// The first failure that a user could see after the injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Disruption {
    /// Every counted stream was watched throughout, and none failed.
    None,
    /// No failure was seen, but one may hide where nobody watched, from this point on.
    Possible(Option<Mono>),
    /// A failure was seen.
    Seen(Moment),
}

/// Whether the service came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Recovered {
    /// All counted views were stable.
    Yes,
    /// A counted view was failing still when the deadline was reached.
    No,
    /// Observing ended before all counted views were stable, or nobody watched.
    Unknown,
}

/// The latency of correct answers before, during and after the disruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Answers that had arrived before the injection.
    pub before: Option<Spread>,
    /// Requests sent from the injection until the view was stable.
    pub during: Option<Spread>,
    /// Requests sent later.
    pub after: Option<Spread>,
}

/// One view of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ViewRecovery {
    /// The stream with its rate and timeout, and why it is excluded if it is.
    pub info: StreamInfo,
    /// Its outages and episodes.
    pub reading: Reading,
    /// Its recovery time by the drill's clock.
    pub recovery: Interval,
    /// From the injection to the end of its first episode; `None` without an injection or an episode.
    pub since_injection: Option<Interval>,
    /// Latencies of its correct answers.
    pub latency: Latency,
    /// The probe's own lateness (sent − due) over all it asked: its self-lag.
    pub lateness: Option<Spread>,
}

/// The recovery of the service as its users saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// K: how long all must go well for a view to be stable.
    pub stable_for_ns: Nanos,
    /// Who healed.
    pub healer: Healer,
    /// The disruption over all counted streams.
    pub disruption: Disruption,
    /// Every stream, the excluded ones too.
    pub views: Vec<ViewRecovery>,
    /// The recovery time that objectives are held against: the worst counted view; unknown when none counts.
    pub recovery_time: Known<Interval>,
    /// The user-visible outage: from the disruption to the worst counted end, whoever healed.
    pub visible_outage: Interval,
    /// From the injection to the worst counted end; `None` without an injection or a disruption.
    pub since_injection: Option<Interval>,
    /// The worst counted stream's total downtime.
    pub downtime: Interval,
    /// The longest time without an acknowledged answer in any counted stream.
    pub longest_gap: Option<Gap>,
    /// Whether the service came back.
    pub recovered: Recovered,
    /// Counted streams that failed again after they had been stable.
    pub relapsed: Vec<Stream>,
    /// Counted streams that were failing already when the fault was injected.
    pub failing_at_injection: Vec<Stream>,
    /// When every counted stream had been stable for long enough; `None` until then.
    pub stable_ns: Option<Mono>,
}

/// Measures the recovery over all streams.
pub fn measure(streams: &[StreamRecord<'_>], stable_for_ns: Nanos, watch: &Watch, healer: Healer) -> Recovery {
    let readings: Vec<Reading> = streams.iter().map(|s| read(s.info, s.samples, stable_for_ns, watch)).collect();
    let counted: Vec<(&StreamInfo, &Reading)> =
        streams.iter().map(|s| s.info).zip(&readings).filter(|(info, _)| info.excluded.is_none()).collect();
    let clock = Clock::new(counted.iter().map(|(_, reading)| *reading), stable_for_ns);
    let by_healer = |reading: &Reading| match healer {
        Healer::Itself | Healer::People => clock.recovery(reading),
        Healer::Firedrill { began_ns, detect_and_decide_ns } => {
            recovery_since(reading, began_ns, detect_and_decide_ns.unwrap_or_default(), stable_for_ns)
        }
    };
    let worst = |lengths: Vec<Interval>| lengths.into_iter().reduce(Interval::worst);
    let recovery_time = worst(counted.iter().map(|(_, r)| by_healer(r)).collect())
        .map_or_else(|| Known::Unknown("no probe counts towards the recovery time".to_owned()), Known::Known);
    let since = |reading: &Reading| since_injection(reading, watch);
    let pick = |keep: fn(&Reading) -> bool| -> Vec<Stream> {
        counted.iter().filter(|(_, r)| keep(r)).map(|(info, _)| info.stream.clone()).collect()
    };
    let stable: Option<Vec<Mono>> = counted.iter().map(|(_, r)| r.stable_ns).collect();
    Recovery {
        stable_for_ns,
        healer,
        disruption: clock.disruption,
        recovery_time,
        visible_outage: worst(counted.iter().map(|(_, r)| clock.recovery(r)).collect()).unwrap_or(Interval::ZERO),
        since_injection: worst(counted.iter().filter_map(|(_, r)| since(r)).collect()),
        downtime: worst(counted.iter().map(|(_, r)| r.downtime).collect()).unwrap_or(Interval::ZERO),
        longest_gap: counted.iter().filter_map(|(_, r)| r.longest_gap).max_by_key(|gap| gap.length_ns),
        recovered: recovered(counted.iter().map(|(_, reading)| *reading), watch),
        relapsed: pick(|r| r.episodes.iter().filter(|e| e.seen()).count() > 1),
        failing_at_injection: pick(|r| r.failing_at_injection),
        stable_ns: stable.and_then(|all| all.into_iter().max()),
        views: streams.iter().zip(&readings).map(|(s, r)| view(s, r, watch, by_healer(r), since(r))).collect(),
    }
}

fn view(
    stream: &StreamRecord<'_>,
    reading: &Reading,
    watch: &Watch,
    recovery: Interval,
    since_injection: Option<Interval>,
) -> ViewRecovery {
    let asked = stream.samples.iter().filter(|s| s.outcome != Outcome::Unknown);
    ViewRecovery {
        info: stream.info.clone(),
        reading: reading.clone(),
        recovery,
        since_injection,
        latency: latency(stream.samples, reading, watch),
        lateness: Spread::of(asked.map(|s| s.sent_ns.since(s.due_ns))),
    }
}

fn latency(samples: &[Sample], reading: &Reading, watch: &Watch) -> Latency {
    let injected_ns = watch.injection.map(|i| i.request_ns);
    let over_ns = match reading.episodes.last() {
        None => injected_ns,
        Some(episode) => Some(episode.end.by_ns.unwrap_or(Mono(u64::MAX))),
    };
    let spread = |keep: &dyn Fn(&Sample) -> bool| {
        Spread::of(samples.iter().filter(|s| is_ok(s) && keep(s)).map(|s| s.done_ns.since(s.sent_ns)))
    };
    Latency {
        before: injected_ns.and_then(|at| spread(&|s| s.done_ns <= at)),
        during: spread(&|s| injected_ns.is_none_or(|at| s.done_ns > at) && over_ns.is_some_and(|at| s.sent_ns <= at)),
        after: spread(&|s| injected_ns.is_none_or(|at| s.done_ns > at) && over_ns.is_none_or(|at| s.sent_ns > at)),
    }
}

/// How many of a stream's episodes may be its first: those of blind stretches only, and the first that was seen.
fn first_ones(reading: &Reading) -> usize {
    let unseen = reading.episodes.iter().take_while(|e| !e.seen()).count();
    reading.episodes.len().min(unseen + 1)
}

/// When the first trouble of a stream may have begun.
struct Start {
    after_ns: Option<Mono>,
    latest_ns: Option<Mono>,
}

/// The drill's clock when it starts at the disruption.
struct Clock {
    disruption: Disruption,
    /// The earliest point at which the disruption may have been.
    after_ns: Option<Mono>,
    starts: Vec<Start>,
    stable_for_ns: Nanos,
}

impl Clock {
    fn new<'a>(readings: impl Iterator<Item = &'a Reading>, stable_for_ns: Nanos) -> Self {
        let firsts: Vec<&Episode> = readings.flat_map(|r| &r.episodes[..first_ones(r)]).collect();
        let earliest = firsts.iter().map(|e| e.start).reduce(Moment::earliest);
        let disruption = match earliest {
            None => Disruption::None,
            Some(Moment { after_ns, by_ns: None }) => Disruption::Possible(after_ns),
            Some(seen) => Disruption::Seen(seen),
        };
        let starts = firsts
            .iter()
            .map(|e| Start {
                after_ns: e.start.after_ns,
                latest_ns: e.start.by_ns.or_else(|| e.blind.last().and_then(|b| b.until_ns)),
            })
            .collect();
        Self { disruption, after_ns: earliest.and_then(|m| m.after_ns), starts, stable_for_ns }
    }

    /// The worst of a stream's episodes: the first from the disruption, any later one from its own start.
    fn recovery(&self, reading: &Reading) -> Interval {
        let firsts = first_ones(reading);
        let episodes = reading.episodes.iter().enumerate();
        let lengths = episodes.map(|(i, e)| if i < firsts { self.joined(e) } else { e.length });
        lengths.reduce(Interval::worst).unwrap_or(Interval::ZERO)
    }

    /// An episode that may be a stream's first. It is measured from the disruption when it began within the stable time behind
    /// it (another stream may have been disrupted first), else from its own start.
    fn joined(&self, episode: &Episode) -> Interval {
        let own = episode.length;
        let may_join = |start: &&Start| match (start.latest_ns, episode.start.after_ns) {
            (Some(latest), Some(after)) => latest.plus(self.stable_for_ns) >= after,
            _ => true,
        };
        let from_ns = self.starts.iter().filter(may_join).map(|s| s.after_ns).chain([episode.start.after_ns]).min();
        let upper_ns = match (episode.end.by_ns, from_ns.flatten()) {
            (Some(by), Some(from)) => Some(by.since(from)),
            _ => None,
        };
        Interval::new(own.lower_ns.max(self.certain(episode).unwrap_or_default()), upper_ns)
    }

    /// From the disruption at the latest to the episode's end at the earliest, when it certainly began in time.
    fn certain(&self, episode: &Episode) -> Option<Nanos> {
        let Disruption::Seen(Moment { by_ns: Some(disrupted_by), .. }) = self.disruption else { return None };
        let first = episode.outages.first()?;
        let seen_first = episode.blind.first().is_none_or(|b| first.start.after_ns.is_some_and(|a| a <= b.from_ns));
        let in_time = first.start.by_ns? <= self.after_ns?.plus(self.stable_for_ns);
        (seen_first && in_time).then_some(episode.end.after_ns?.since(disrupted_by))
    }
}

/// The recovery time when firedrill healed: from the beginning of the recovery, with the declared time added.
fn recovery_since(reading: &Reading, began_ns: Mono, declared_ns: Nanos, stable_for_ns: Nanos) -> Interval {
    let lengths = reading.episodes.iter().map(|episode| {
        if episode.start.after_ns.is_some_and(|after| after > began_ns.plus(stable_for_ns)) {
            return episode.length; // failed again long after: an episode of its own
        }
        let over = episode.end.since(Moment::exactly(began_ns));
        let lower_ns = if episode.seen() { over.lower_ns } else { Nanos::ZERO };
        let measured = Interval::new(lower_ns, over.upper_ns);
        if episode.seen() {
            measured.plus(declared_ns)
        } else {
            Interval::new(Nanos::ZERO, measured.plus(declared_ns).upper_ns)
        }
    });
    lengths.reduce(Interval::worst).unwrap_or(Interval::ZERO)
}

fn since_injection(reading: &Reading, watch: &Watch) -> Option<Interval> {
    let injection = watch.injection?;
    let injected = Moment::between(injection.request_ns, injection.reply_ns);
    let lengths = reading.episodes[..first_ones(reading)].iter().map(|episode| {
        let since = episode.end.since(injected);
        if episode.seen() { since } else { Interval { lower_ns: Nanos::ZERO, ..since } }
    });
    lengths.reduce(Interval::worst)
}

fn recovered<'a>(readings: impl Iterator<Item = &'a Reading>, watch: &Watch) -> Recovered {
    let mut all = Recovered::Yes;
    for reading in readings {
        match (reading.stable_ns, reading.last, watch.end) {
            (Some(_), _, _) => {}
            (None, Last::Failed, WatchEnd::Deadline) => return Recovered::No,
            (None, _, _) => all = Recovered::Unknown,
        }
    }
    all
}
