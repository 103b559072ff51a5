//! What one stream proves: its outages gathered into episodes that end in stability.
//!
//! An episode is a chain of troubles (outages, or blind stretches that may hide one) with less than the stable time
//! between them. It ends with the acknowledgement of the first correct answer that opens the stable time. Whether two
//! outages belong to one episode can be in doubt by as much as the outages' own bounds; then the episode's bounds
//! cover both.

use crate::outage::{Blind, Counts, Failing, Item, Outage, Piece, Record, Stable, is_ok, items, resolution};
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
            (Item::Outage(failing), Some(request_ns)) => {
                let failures = &record.known[failing.span.clone()];
                let late = failures.iter().any(|s| s.done_ns >= request_ns);
                if late {
                    failing_at_injection |= failures.iter().any(|s| s.done_ns < request_ns);
                    after.push(Event::Outage(since_injection(failing, failures, request_ns)));
                } else {
                    before.push(failing.outage);
                }
            }
            (Item::Outage(failing), None) => after.push(Event::Outage(failing)),
            (Item::Blind(blind), Some(at)) => {
                if blind.until_ns.is_none_or(|until| until > at) {
                    after.push(Event::Blind(Blind { from_ns: blind.from_ns.max(at), ..blind }));
                }
            }
            (Item::Blind(blind), None) => after.push(Event::Blind(blind)),
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
    Outage(Failing),
    Blind(Blind),
    Stable(Stable),
}

/// An outage counted from the injection on: a disruption is never older, though a request that was in flight may be,
/// and though the service may have been failing already.
fn since_injection(failing: Failing, failures: &[&Sample], request_ns: Mono) -> Failing {
    let Failing { outage, pieces, span } = failing;
    let seen_ns = failures.iter().filter(|s| s.done_ns >= request_ns).map(|s| s.done_ns).min();
    let before = failures.iter().any(|s| s.done_ns < request_ns);
    let by_ns = if before { seen_ns } else { outage.start.by_ns.map(|by| by.max(request_ns)) };
    let start = Moment { after_ns: outage.start.after_ns.map(|after| after.max(request_ns)), by_ns };
    let start = if before { Moment { after_ns: Some(request_ns), by_ns } } else { start };
    let pieces: Vec<Piece> = pieces
        .into_iter()
        .map(|p| Piece { down_by_ns: by_ns.map_or(p.down_by_ns, |by| p.down_by_ns.max(by)), ..p })
        .collect();
    let certain_ns = Nanos(pieces.iter().map(|p| p.certain_ns()).sum());
    let end = Moment { after_ns: outage.end.after_ns.map(|after| after.max(request_ns)), ..outage.end };
    let down = Interval::new(certain_ns, end.since(start).upper_ns);
    Failing { outage: Outage { start, end, down, ..outage }, pieces, span }
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
        Event::Outage(failing) => failing.outage.start.after_ns,
        Event::Blind(blind) => Some(blind.from_ns),
        Event::Stable(_) => None,
    };
    let troubles = troubles(&events, stable_for_ns);
    let over_from = |index: usize| troubles[index..].iter().find(|t| t.may_be_last).map(|t| t.over_ns);
    let lower_ns = (0..troubles.len())
        .filter_map(|i| Some(over_from(i)?.since(troubles[i].down_by_ns?)))
        .max()
        .unwrap_or(Nanos::ZERO);
    let end = Moment { after_ns: over_from(0), by_ns: stable.map(|s| s.acknowledged_ns) };
    let (mut outages, mut blind) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Outage(failing) => outages.push(failing.outage),
            Event::Blind(stretch) => blind.push(stretch),
            Event::Stable(_) => {}
        }
    }
    let start = Moment { after_ns, by_ns: outages.first().and_then(|o| o.start.by_ns) };
    let upper_ns = end.since(start).upper_ns;
    Some(Episode { outages, blind, start, end, length: Interval::new(lower_ns, upper_ns), stable })
}

/// One trouble of an episode: a watched piece of an outage, or a blind stretch.
struct Trouble {
    /// It was over here at the earliest.
    over_ns: Mono,
    /// The service was down here at the latest; `None` when nothing was seen.
    down_by_ns: Option<Mono>,
    /// Whether the stable time may have begun right behind it.
    may_be_last: bool,
}

fn troubles(events: &[Event], stable_for_ns: Nanos) -> Vec<Trouble> {
    let mut next_by_ns: Option<Mono> = None;
    let mut troubles = Vec::new();
    for event in events.iter().rev() {
        match event {
            Event::Outage(failing) => {
                for piece in failing.pieces.iter().rev() {
                    troubles.push(Trouble {
                        over_ns: piece.down_at_ns,
                        down_by_ns: Some(piece.down_by_ns),
                        may_be_last: may_be_stable(piece.down_at_ns, next_by_ns, stable_for_ns),
                    });
                    next_by_ns = Some(piece.known_by_ns);
                }
            }
            Event::Blind(blind) => troubles.push(Trouble {
                over_ns: blind.from_ns,
                down_by_ns: None,
                may_be_last: may_be_stable(blind.from_ns, next_by_ns, stable_for_ns),
            }),
            Event::Stable(_) => {}
        }
    }
    troubles.reverse();
    troubles
}

/// Whether the stable time may have passed between the end of one trouble and the next failure seen.
fn may_be_stable(over_ns: Mono, next_by_ns: Option<Mono>, stable_for_ns: Nanos) -> bool {
    next_by_ns.is_none_or(|next| next > over_ns.plus(stable_for_ns))
}

/// The lower bound sums what is certain; the upper bound measures the union of what is possible.
fn downtime(episodes: &[Episode]) -> Interval {
    let mut certain_ns = 0;
    let mut possible: Vec<(Option<Mono>, Option<Mono>)> = Vec::new();
    for episode in episodes {
        certain_ns += episode.outages.iter().map(|o| o.down.lower_ns.0).sum::<u64>();
        possible.extend(episode.outages.iter().map(|o| (o.start.after_ns, o.end.by_ns)));
        possible.extend(episode.blind.iter().map(|b| (Some(b.from_ns), b.answered_ns)));
    }
    possible.sort_unstable();
    let mut upper_ns = Some(0);
    let mut covered = Mono(0);
    for (after_ns, by_ns) in possible {
        upper_ns = match (upper_ns, after_ns, by_ns) {
            (Some(sum), Some(after), Some(by)) => {
                let more = by.since(after.max(covered)).0;
                covered = covered.max(by);
                Some(sum + more)
            }
            _ => None,
        };
    }
    Interval::new(Nanos(certain_ns), upper_ns.map(Nanos))
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
