//! Holds what was measured against the truth.

use crate::truth::{Down, Edge, Kind};
use firedrill_core::reading::{Episode, read};
use firedrill_core::sample::{Sample, StreamInfo};
use firedrill_core::time::{Moment, Mono, Nanos};
use firedrill_core::watch::{Watch, WatchEnd};
use serde::Serialize;

/// K of the benchmark: longer than the pauses within a burst, shorter than those between outages.
const STABLE_FOR: Nanos = Nanos::from_ms(250);

/// What became of one true outage.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Judged {
    pub(crate) kind: Kind,
    pub(crate) stream: String,
    /// From the middle of one edge to the middle of the other.
    pub(crate) truth_ms: f64,
    /// The truth's own resolution: both edges together.
    pub(crate) truth_resolution_ms: f64,
    pub(crate) lower_ms: f64,
    /// Open when no end was seen.
    pub(crate) upper_ms: Option<f64>,
    pub(crate) width_ms: Option<f64>,
    /// How much of the width each edge has.
    pub(crate) edges_ms: [Option<f64>; 2],
    /// How long the answer took that ended it: a login, too, where the sessions were lost. It is the service's own part of
    /// the width.
    pub(crate) answer_ms: Option<f64>,
    /// How many requests failed.
    pub(crate) failures: u64,
    pub(crate) verdict: Verdict,
}

/// Whether the measurement holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Verdict {
    /// The truth's start, end and length are within their bounds.
    Within,
    /// One of them is not: which, and by how much.
    Outside(String),
    /// No failure was seen.
    Missed,
    /// A stall shorter than the timeout, or hardly longer: no outage, or none that must be seen.
    StallBelowTimeout,
}

/// All of a stream.
pub(crate) struct Findings {
    pub(crate) judged: Vec<Judged>,
    /// Outages measured where there was none.
    pub(crate) invented: Vec<String>,
    pub(crate) unknown: u64,
}

/// Reads the samples as a drill would, and compares what a drill would report: episodes, which end when the service
/// has been well for the stable time.
pub(crate) fn judge(info: &StreamInfo, samples: &[Sample], truth: &[Down]) -> Findings {
    let ended_ns = samples.last().map_or(Mono(0), |s| s.done_ns);
    let watch = Watch { injection: None, ended_ns, end: WatchEnd::Satisfied };
    let reading = read(info, samples, STABLE_FOR, &watch);
    let mut invented = reading.episodes;
    let mut judged = Vec::new();
    for down in chained(truth) {
        let (of_it, rest) = invented.into_iter().partition(|episode| overlaps(episode, &down));
        invented = rest;
        judged.push(compare(info, samples, &down, &of_it));
    }
    let told = |e: &Episode| format!("{:?}: {:?}", e.length, e.outages.iter().map(|o| &o.failures).collect::<Vec<_>>());
    let invented = invented.iter().filter(|e| e.seen()).map(told).collect();
    Findings { judged, invented, unknown: reading.counts.unknown }
}

/// True outages with less than the stable time between them are one, as they are for a drill.
fn chained(truth: &[Down]) -> Vec<Down> {
    let mut chained: Vec<Down> = Vec::new();
    for down in truth {
        match chained.last_mut() {
            Some(last) if down.down.after_ns.saturating_sub(last.up.by_ns) < STABLE_FOR.0 => last.up = down.up,
            _ => chained.push(*down),
        }
    }
    chained
}

fn overlaps(episode: &Episode, down: &Down) -> bool {
    let from = episode.start.after_ns.unwrap_or(Mono(0));
    let until = episode.end.by_ns.unwrap_or(Mono(u64::MAX));
    from.0 <= down.up.by_ns && down.down.after_ns <= until.0
}

fn compare(info: &StreamInfo, samples: &[Sample], down: &Down, found: &[Episode]) -> Judged {
    let longest_ns = down.up.by_ns - down.down.after_ns;
    let shortest_ns = down.up.after_ns.saturating_sub(down.down.by_ns);
    let mut judged = Judged {
        kind: down.kind,
        stream: format!("{} {}", info.stream.probe, info.stream.view.word()),
        truth_ms: ms(u64::midpoint(longest_ns, shortest_ns)),
        truth_resolution_ms: ms(longest_ns - shortest_ns),
        lower_ms: 0.0,
        upper_ms: None,
        width_ms: None,
        edges_ms: [None, None],
        answer_ms: None,
        failures: 0,
        verdict: Verdict::Missed,
    };
    let seen: Vec<&Episode> = found.iter().filter(|e| e.seen()).collect();
    // A request that a stall delays by less than the timeout is answered. Only who asks in its first part, by which it is
    // longer than the timeout, finds the service down; and when that part is shorter than a period, nobody may ask in it.
    if down.kind == Kind::Stopped && shortest_ns < info.timeout_ns.0 + info.period_ns.0 {
        judged.verdict = Verdict::StallBelowTimeout;
        return judged;
    }
    let episode = match seen.as_slice() {
        [] => return judged,
        [episode] => episode,
        several => {
            judged.verdict = Verdict::Outside(format!("told as {} episodes", several.len()));
            return judged;
        }
    };
    judged.failures = episode.outages.iter().map(|o| o.failed).sum();
    judged.lower_ms = episode.length.lower_ns.as_ms_f64();
    judged.upper_ms = episode.length.upper_ns.map(Nanos::as_ms_f64);
    judged.width_ms = judged.upper_ms.map(|upper_ms| upper_ms - judged.lower_ms);
    judged.edges_ms = [episode.start, episode.end].map(width_ms);
    let ended_by = samples.iter().find(|s| Some(s.done_ns) == episode.end.by_ns);
    judged.answer_ms = ended_by.map(|s| ms(s.done_ns.since(s.sent_ns).0));
    let mut wrong = Vec::new();
    wrong.extend(outside("start", down.down, episode.start));
    wrong.extend(outside("end", down.up, episode.end));
    let length = Edge { after_ns: shortest_ns, by_ns: longest_ns };
    let upper = episode.length.upper_ns.map(|n| Mono(n.0));
    wrong.extend(outside("length", length, Moment { after_ns: Some(Mono(episode.length.lower_ns.0)), by_ns: upper }));
    judged.verdict = if wrong.is_empty() { Verdict::Within } else { Verdict::Outside(wrong.join(", ")) };
    judged
}

fn width_ms(moment: Moment) -> Option<f64> {
    Some(ms(moment.by_ns?.since(moment.after_ns?).0))
}

fn ms(ns: u64) -> f64 {
    Nanos(ns).as_ms_f64()
}

/// By how much a moment of the truth lies outside its bounds, where it does for certain.
fn outside(what: &str, truth: Edge, bounds: Moment) -> Option<String> {
    let after = bounds.after_ns.map_or(0, |n| n.0);
    let by = bounds.by_ns.map_or(u64::MAX, |n| n.0);
    if truth.by_ns < after {
        return Some(format!("{what} {:.3} ms before its bounds", ms(after - truth.by_ns)));
    }
    (truth.after_ns > by).then(|| format!("{what} {:.3} ms behind its bounds", ms(truth.after_ns - by)))
}
