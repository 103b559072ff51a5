//! What one stream proves: its outages gathered into episodes that end in stability.
//!
//! An episode is a chain of troubles (outages, or blind stretches that may hide one) with less than the stable time
//! between them. It ends with the acknowledgement of the first correct answer that opens the stable time. Whether two
//! outages belong to one episode can be in doubt by as much as the outages' own bounds; then the episode's bounds
//! cover both.

use crate::outage::{Blind, Counts, Item, Outage, Record, Stable, is_ok, items, resolution};
use crate::sample::{Sample, StreamInfo};
use crate::time::{Interval, Moment, Mono, Nanos};
use crate::watch::Watch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Outages and blind stretches with less than the stable time between them, until a stable run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Episode {
    /// The outages seen, also the short ones before the stable run. Empty when only blind stretches make it.
    pub outages: Vec<Outage>,
    /// The blind stretches.
    pub blind: Vec<Blind>,
    /// When it started. `by_ns` is open when no failure was seen.
    pub start: Moment,
    /// When the last outage before the stable run ended; open when no stable run was seen.
    pub end: Moment,
    /// From its start to its end.
    pub length: Interval,
    /// The run that ended it.
    pub stable: Option<Stable>,
}

impl Episode {
    /// Whether a failure was seen in it; otherwise it is only possible.
    pub fn seen(&self) -> bool {
        !self.outages.is_empty()
    }
}

/// A time without an acknowledged answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// The acknowledgement before it (or the injection).
    pub from_ns: Mono,
    /// The acknowledgement after it (or the end of observing).
    pub until_ns: Mono,
    /// Its length.
    pub length_ns: Nanos,
}

/// What the newest known sample of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Last {
    /// It was answered correctly.
    Ok,
    /// It failed.
    Failed,
    /// There is no sample after the injection.
    Nothing,
}

/// All that one stream proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// The counts over the whole record.
    pub counts: Counts,
    /// Between two correct answers an outage shorter than this may go unseen.
    pub resolution_ns: Nanos,
    /// Outages that were over before the injection.
    pub before: Vec<Outage>,
    /// The episodes after the injection, in order.
    pub episodes: Vec<Episode>,
    /// Whether the service was failing already when the fault was injected.
    pub failing_at_injection: bool,
    /// All downtime after the injection together; blind stretches count in the upper bound only.
    pub downtime: Interval,
    /// The longest time without an acknowledged answer after the injection; `None` without a sample.
    pub longest_gap: Option<Gap>,
    /// The newest known sample after the injection.
    pub last: Last,
    /// When every episode was over and the stable time had passed; `None` until then. The runner waits for this.
    pub stable_ns: Option<Mono>,
}

/// Reads the samples of one stream, in any order.
pub fn read(info: &StreamInfo, samples: &[Sample], stable_for_ns: Nanos, watch: &Watch) -> Reading {
    let record = Record::new(info, samples);
    let items = items(&record, stable_for_ns, watch);
    let injected_ns = watch.injection.map(|i| i.request_ns);
    let mut before = Vec::new();
    let mut after = Vec::new();
    let mut failing_at_injection = false;
    for item in items {
        match (item, injected_ns) {
            (Item::Outage(outage, span), Some(request_ns)) => {
                let failures = &record.known[span.0..span.1];
                let early = failures.iter().any(|s| s.done_ns < request_ns);
                let late = failures.iter().any(|s| s.done_ns >= request_ns);
                match (early, late) {
                    (_, false) => before.push(outage),
                    (false, true) => after.push(Event::Outage(outage)),
                    (true, true) => {
                        failing_at_injection = true;
                        after.push(Event::Outage(since_injection(&outage, failures, request_ns)));
                    }
                }
            }
            (Item::Outage(outage, _), None) => after.push(Event::Outage(outage)),
            (Item::Blind(blind), Some(at)) if blind.until_ns.is_some_and(|until| until <= at) => {}
            (Item::Blind(blind), _) => after.push(Event::Blind(blind)),
            (Item::Stable(stable), _) => after.push(Event::Stable(stable)),
        }
    }
    let episodes = episodes(after, stable_for_ns);
    let downtime = downtime(&episodes);
    let stable_ns = stable_at(&record, &episodes, stable_for_ns, watch);
    let last = match record.known.iter().rev().find(|s| injected_ns.is_none_or(|at| s.done_ns >= at)) {
        None => Last::Nothing,
        Some(s) if is_ok(s) => Last::Ok,
        Some(_) => Last::Failed,
    };
    Reading {
        counts: record.counts,
        resolution_ns: resolution(info),
        before,
        episodes,
        failing_at_injection,
        downtime,
        longest_gap: longest_gap(&record, watch),
        last,
        stable_ns,
    }
}

/// What matters after the injection.
enum Event {
    Outage(Outage),
    Blind(Blind),
    Stable(Stable),
}

fn episodes(events: Vec<Event>, stable_for_ns: Nanos) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut open: Vec<Event> = Vec::new();
    for event in events {
        match event {
            Event::Stable(stable) => {
                episodes.extend(episode(std::mem::take(&mut open), Some(stable), stable_for_ns));
            }
            trouble => open.push(trouble),
        }
    }
    episodes.extend(episode(open, None, stable_for_ns));
    episodes
}

/// Closes an episode: see [`Episode`].
fn episode(events: Vec<Event>, stable: Option<Stable>, stable_for_ns: Nanos) -> Option<Episode> {
    let after_ns = match events.first()? {
        Event::Outage(outage) => outage.start.after_ns,
        Event::Blind(blind) => Some(blind.from_ns),
        Event::Stable(_) => None,
    };
    // When each trouble was over at the earliest, and by when the next failure after it had begun.
    let mut next_by_ns: Option<Mono> = None;
    let mut troubles: Vec<(Mono, Option<Mono>, bool)> = Vec::new();
    for event in events.iter().rev() {
        match event {
            Event::Outage(outage) => {
                let over_ns = outage.end.after_ns.unwrap_or_default();
                troubles.push((over_ns, outage.start.by_ns, may_be_stable(over_ns, next_by_ns, stable_for_ns)));
                next_by_ns = outage.start.by_ns;
            }
            Event::Blind(blind) => {
                troubles.push((blind.from_ns, None, may_be_stable(blind.from_ns, next_by_ns, stable_for_ns)));
            }
            Event::Stable(_) => {}
        }
    }
    troubles.reverse();
    let over_from = |index: usize| troubles[index..].iter().find(|(_, _, last)| *last).map(|(over, _, _)| *over);
    let lower_ns =
        (0..troubles.len()).filter_map(|i| Some(over_from(i)?.since(troubles[i].1?))).max().unwrap_or(Nanos::ZERO);
    let end = Moment { after_ns: over_from(0), by_ns: stable.map(|s| s.acknowledged_ns) };
    let (mut outages, mut blind) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Outage(outage) => outages.push(outage),
            Event::Blind(stretch) => blind.push(stretch),
            Event::Stable(_) => {}
        }
    }
    let start = Moment { after_ns, by_ns: outages.first().and_then(|o| o.start.by_ns) };
    let upper_ns = end.since(start).upper_ns;
    Some(Episode { outages, blind, start, end, length: Interval::new(lower_ns, upper_ns), stable })
}

/// Whether the stable time may have passed between the end of one trouble and the next failure seen.
fn may_be_stable(over_ns: Mono, next_by_ns: Option<Mono>, stable_for_ns: Nanos) -> bool {
    next_by_ns.is_none_or(|next| next > over_ns.plus(stable_for_ns))
}

fn downtime(episodes: &[Episode]) -> Interval {
    let mut total = Interval::ZERO;
    for episode in episodes {
        for outage in &episode.outages {
            total = total.and(outage.down);
        }
        for blind in &episode.blind {
            let upper_ns = blind.answered_ns.map(|answered| answered.since(blind.from_ns));
            total = total.and(Interval { lower_ns: Nanos::ZERO, upper_ns });
        }
    }
    total
}

/// When everything after the injection was over and stable, for the runner to wait for.
fn stable_at(record: &Record<'_>, episodes: &[Episode], stable_for_ns: Nanos, watch: &Watch) -> Option<Mono> {
    match (episodes.last(), watch.injection) {
        (Some(episode), _) => episode.stable.map(|s| s.held_ns),
        (None, Some(injection)) => {
            let held_ns = injection.reply_ns.plus(stable_for_ns);
            record.known.iter().map(|s| s.sent_ns).find(|sent| *sent >= held_ns)
        }
        (None, None) => {
            let first = record.known.first()?;
            let held_ns = first.done_ns.plus(stable_for_ns);
            record.known.iter().map(|s| s.sent_ns).find(|sent| *sent >= held_ns)
        }
    }
}

fn longest_gap(record: &Record<'_>, watch: &Watch) -> Option<Gap> {
    let first_ns = record.known.first()?.sent_ns;
    let from_ns = watch.injection.map_or(first_ns, |i| i.request_ns);
    let mut acknowledged: Vec<Mono> = record.known.iter().filter(|s| is_ok(s)).map(|s| s.done_ns).collect();
    acknowledged.sort_unstable();
    let begin_ns = acknowledged.iter().copied().take_while(|at| *at <= from_ns).last().unwrap_or(from_ns);
    let mut points = vec![begin_ns];
    points.extend(acknowledged.into_iter().filter(|at| *at > from_ns && *at <= watch.ended_ns));
    points.push(watch.ended_ns.max(begin_ns));
    let gaps = points.windows(2).map(|p| Gap { from_ns: p[0], until_ns: p[1], length_ns: p[1].since(p[0]) });
    gaps.max_by_key(|gap| gap.length_ns)
}

/// An outage that was under way at the injection, counted from the injection on.
fn since_injection(outage: &Outage, failures: &[&Sample], request_ns: Mono) -> Outage {
    let by_ns = failures.iter().map(|s| s.done_ns).filter(|done| *done >= request_ns).min();
    let start = Moment { after_ns: Some(request_ns), by_ns };
    let whole = outage.end.since(start);
    let lower_ns = whole.lower_ns.min(outage.down.lower_ns);
    Outage { start, down: Interval::new(lower_ns, whole.upper_ns), ..outage.clone() }
}
