//! A service with a known truth, and an open-loop prober that asks it: what the measuring is held against in tests.
//!
//! Time is whole microseconds (kept in nanoseconds), chance is a hash of a seed: the same case always plays the same.

use crate::sample::{Failure, Outcome, Sample, Stream, StreamInfo, View};
use crate::time::{Mono, Nanos};

/// A microsecond.
pub(crate) const US: u64 = 1_000;
/// A millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// How the service behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Killed: what is in flight breaks, what comes is refused.
    Killed,
    /// Nothing gets through, and nothing in flight is answered.
    BlackHole,
    /// Stopped: everything is answered when it goes on.
    Stalled,
    /// Writes are refused.
    ReadOnly,
    /// Answers are wrong.
    Wrong,
    /// Answers take this long.
    Slow(u64),
}

/// A trouble from one point until another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) trouble: Trouble,
}

/// A service: well, but for its phases, which do not overlap and ascend.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) phases: Vec<Phase>,
    /// Answers take from this to twice this.
    pub(crate) latency: u64,
    pub(crate) timeout: u64,
    pub(crate) seed: u64,
}

/// A number from 0 below `below`, decided by seed and point.
pub(crate) fn chance(seed: u64, point: u64, below: u64) -> u64 {
    let mut x = seed ^ point.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) % below.max(1)
}

impl Service {
    /// What becomes of a request sent at a point, and when that is known.
    pub(crate) fn answer(&self, sent: u64) -> (u64, Outcome) {
        let latency = self.latency + chance(self.seed, sent, self.latency);
        // The last quarter is the way back, which nothing that happens to the service reaches.
        let way_back = latency / 4;
        let mut left = latency - way_back;
        let mut at = sent;
        for phase in self.phases.iter().filter(|p| p.until > sent) {
            if at + left <= phase.from {
                break;
            }
            // The request is under way when the phase begins, or comes within it.
            let here = at.max(phase.from);
            left -= here - at;
            at = here;
            match phase.trouble {
                Trouble::Killed => return self.fail(sent, at + latency / 4, Failure::Broken),
                Trouble::BlackHole => return self.fail(sent, u64::MAX, Failure::TimedOut),
                Trouble::ReadOnly => return self.fail(sent, at + latency / 2, Failure::ReadOnly),
                Trouble::Wrong => return self.fail(sent, at + latency / 2, Failure::WrongAnswer),
                Trouble::Stalled => at = phase.until,
                Trouble::Slow(by) => left += by,
            }
        }
        left += way_back;
        if at + left > sent + self.timeout {
            return self.fail(sent, u64::MAX, Failure::TimedOut);
        }
        (at + left, Outcome::Ok { node: 0, timeline: 1 })
    }

    fn fail(&self, sent: u64, done: u64, failure: Failure) -> (u64, Outcome) {
        if done >= sent + self.timeout {
            return (sent + self.timeout, Outcome::Failed(Failure::TimedOut));
        }
        (done, Outcome::Failed(failure))
    }

    /// Whether a request sent at a point fails: the definition of being down.
    pub(crate) fn down(&self, at: u64) -> bool {
        matches!(self.answer(at).1, Outcome::Failed(_))
    }
}

/// What happens to a prober that stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It sends late.
    Late,
    /// It says that it did not ask.
    Unknown,
    /// It died, and its record has a gap.
    Lost,
}

/// An open-loop prober.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    pub(crate) period: u64,
    /// How many requests may be under way.
    pub(crate) slots: usize,
    /// Requests are sent up to this late.
    pub(crate) late: u64,
    /// From, until, and what it does then.
    pub(crate) pauses: Vec<(u64, u64, Pause)>,
    pub(crate) seed: u64,
}

impl Prober {
    /// Asks from 0 until before `until`.
    pub(crate) fn probe(&self, service: &Service, until: u64) -> Vec<Sample> {
        let mut samples = Vec::new();
        let mut under_way: Vec<u64> = Vec::new();
        let mut free = 0; // the sender sends one after the other
        for seq in 0..until / self.period {
            let due = seq * self.period;
            let pause = self.pauses.iter().find(|p| p.0 <= due && due < p.1);
            let ready = match pause {
                Some((_, _, Pause::Lost)) => continue,
                Some((_, _, Pause::Unknown)) => {
                    samples.push(unknown(seq, due));
                    continue;
                }
                Some((_, until, Pause::Late)) => *until,
                None => due,
            };
            let sent = (ready + chance(self.seed, seq, self.late + 1)).max(free);
            free = sent + 1;
            under_way.retain(|done| *done > sent);
            if under_way.len() >= self.slots {
                samples.push(unknown(seq, due));
                continue;
            }
            let (done, outcome) = service.answer(sent);
            under_way.push(done);
            samples.push(Sample { seq, due_ns: Mono(due), sent_ns: Mono(sent), done_ns: Mono(done), outcome });
        }
        samples
    }
}

/// A sample of a request that was not asked.
pub(crate) fn unknown(seq: u64, due: u64) -> Sample {
    Sample { seq, due_ns: Mono(due), sent_ns: Mono(due), done_ns: Mono(due), outcome: Outcome::Unknown }
}

/// A stream for samples of these.
pub(crate) fn stream(service: &Service, prober: &Prober) -> StreamInfo {
    StreamInfo {
        stream: Stream { probe: "storefront".into(), view: View::Kept },
        kind: "http".into(),
        period_ns: Nanos(prober.period),
        timeout_ns: Nanos(service.timeout),
        asks: "http://shop.example/".into(),
        excluded: None,
    }
}

/// A length of time in which the service was down, by the definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Down {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// The truth from one point to another, as far as any prober that sampled so could tell: what hides between two
/// requests of the same outcome, with nothing missed between them and no silence beyond `resolution`, is not counted
/// (neither downtime between two answers, nor an answer between two failures).
pub(crate) fn truth(service: &Service, samples: &[Sample], span: (u64, u64), resolution: u64, step: u64) -> Vec<Down> {
    let mut known: Vec<&Sample> = samples.iter().filter(|s| s.outcome != Outcome::Unknown).collect();
    known.sort_by_key(|s| s.sent_ns);
    let mut downs: Vec<Down> = Vec::new();
    let mut next = 0;
    let mut at = span.0;
    while at < span.1 {
        while next < known.len() && known[next].sent_ns.0 < at {
            next += 1;
        }
        let (before, after) = (next.checked_sub(1).map(|i| known[i]), known.get(next));
        let hidden = match (before, after) {
            (Some(a), Some(b)) => {
                let alike = matches!(a.outcome, Outcome::Ok { .. }) == matches!(b.outcome, Outcome::Ok { .. });
                let close = b.sent_ns.0 - a.sent_ns.0 <= resolution && b.seq == a.seq + 1;
                (alike && close).then_some(matches!(a.outcome, Outcome::Failed(_)))
            }
            _ => None,
        };
        if hidden.unwrap_or_else(|| service.down(at)) {
            match downs.last_mut() {
                Some(down) if down.until == at => down.until = at + step,
                _ => downs.push(Down { from: at, until: at + step }),
            }
        }
        at += step;
    }
    downs
}

/// The truth's episodes: downtimes with less than `stable` between them.
pub(crate) fn true_episodes(downs: &[Down], stable: u64) -> Vec<Down> {
    let mut episodes: Vec<Down> = Vec::new();
    for down in downs {
        match episodes.last_mut() {
            Some(episode) if down.from < episode.until + stable => episode.until = down.until,
            _ => episodes.push(*down),
        }
    }
    episodes
}
