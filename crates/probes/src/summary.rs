//! What a stream looks like right now, for those who decide while a drill runs: baseline, stability, guards, progress.
//!
//! It is made from the samples in their order and never looks further back than a second; what a drill is judged by
//! are the samples themselves.

use firedrill_core::sample::{Failure, Outcome, Sample};
use firedrill_core::time::{Mono, Nanos};
use std::collections::{BTreeMap, VecDeque};

/// The window of the percentiles.
const WINDOW: Nanos = Nanos::from_secs(1);
/// A limit on what the window keeps, whatever the rate.
const WINDOW_SAMPLES_MAX: usize = 4_096;

/// What the newest sample of a known outcome says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// There is none yet.
    #[default]
    Silent,
    /// It was answered correctly.
    Up,
    /// It failed, in this way.
    Down(Failure),
}

/// A run of correct answers without a failure between them. Requests that were not asked do not end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OkRun {
    /// When the first correct answer of the run had arrived.
    pub acknowledged_ns: Mono,
    /// When the newest request of the run was sent.
    pub last_sent_ns: Mono,
    /// How many requests in it were not asked.
    pub unknown: u64,
}

impl OkRun {
    /// How long the service has been seen to be up without a failure: from the first acknowledgement to the newest
    /// request that was answered. It does not grow while nobody asks.
    pub fn length(&self) -> Nanos {
        self.last_sent_ns.since(self.acknowledged_ns)
    }
}

/// One stream, as of its newest sample. Counts only grow, so that two summaries can be subtracted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Answered correctly.
    pub ok: u64,
    /// Not answered correctly.
    pub failed: u64,
    /// Of these, by kind.
    pub failures: BTreeMap<Failure, u64>,
    /// Not asked.
    pub unknown: u64,
    /// Up or down.
    pub health: Health,
    /// The arrival of the newest correct answer.
    pub last_ok_ns: Option<Mono>,
    /// When the newest failure was known.
    pub last_failed_ns: Option<Mono>,
    /// What the newest failure was, in words, without secrets.
    pub last_detail: Option<String>,
    /// The run of correct answers that is going on.
    pub ok_run: Option<OkRun>,
    /// The node and the timeline of the newest correct answer (see [`Outcome::Ok`]).
    pub answered_by: Option<(u16, u32)>,
    /// 99 of 100 correct answers of the last second took no longer than this.
    pub latency_p99_ns: Option<Nanos>,
    /// 99 of 100 requests of the last second were sent no later than this after they were due.
    pub lateness_p99_ns: Option<Nanos>,
    /// Requests under way.
    pub in_flight: usize,
    /// When the stream's thread last looked after it. When this stands still, the probe is stuck, not the service.
    pub alive_ns: Mono,
}

impl Summary {
    /// How many failures there were since an earlier summary of the same stream.
    pub fn failed_since(&self, earlier: &Self) -> u64 {
        self.failed.saturating_sub(earlier.failed)
    }

    /// How many correct answers there were since an earlier summary of the same stream.
    pub fn ok_since(&self, earlier: &Self) -> u64 {
        self.ok.saturating_sub(earlier.ok)
    }
}

/// Keeps a summary up to date.
#[derive(Debug, Default)]
pub(crate) struct Live {
    summary: Summary,
    /// Of the last second: when it was done, its latency if it was ok, its lateness.
    window: VecDeque<(Mono, Option<Nanos>, Nanos)>,
}

impl Live {
    /// Takes the next sample in the order of the stream.
    pub(crate) fn take(&mut self, sample: &Sample) {
        let s = &mut self.summary;
        let mut latency_ns = None;
        match sample.outcome {
            Outcome::Ok { node, timeline } => {
                s.ok += 1;
                s.health = Health::Up;
                s.last_ok_ns = s.last_ok_ns.max(Some(sample.done_ns));
                s.answered_by = Some((node, timeline));
                latency_ns = Some(sample.done_ns.since(sample.sent_ns));
                let fresh = OkRun { acknowledged_ns: sample.done_ns, last_sent_ns: sample.sent_ns, unknown: 0 };
                let run = s.ok_run.get_or_insert(fresh);
                run.last_sent_ns = run.last_sent_ns.max(sample.sent_ns);
            }
            Outcome::Failed(failure) => {
                s.failed += 1;
                *s.failures.entry(failure).or_default() += 1;
                s.health = Health::Down(failure);
                s.last_failed_ns = s.last_failed_ns.max(Some(sample.done_ns));
                s.ok_run = None;
            }
            Outcome::Unknown => {
                s.unknown += 1;
                if let Some(run) = &mut s.ok_run {
                    run.unknown += 1;
                }
                return;
            }
        }
        if self.window.len() == WINDOW_SAMPLES_MAX {
            self.window.pop_front();
        }
        self.window.push_back((sample.done_ns, latency_ns, sample.sent_ns.since(sample.due_ns)));
    }

    /// Remembers what a failure was in words.
    pub(crate) fn detail(&mut self, detail: String) {
        self.summary.last_detail = Some(detail);
    }

    /// The summary as of now.
    pub(crate) fn summary(&mut self, now: Mono, in_flight: usize) -> Summary {
        while self.window.front().is_some_and(|(done, _, _)| now.since(*done) > WINDOW) {
            self.window.pop_front();
        }
        let s = &mut self.summary;
        s.latency_p99_ns = p99(self.window.iter().filter_map(|(_, latency, _)| *latency).collect());
        s.lateness_p99_ns = p99(self.window.iter().map(|(_, _, lateness)| *lateness).collect());
        s.in_flight = in_flight;
        s.alive_ns = now;
        s.clone()
    }
}

/// The value that 99 of 100 do not exceed (nearest rank).
fn p99(mut values: Vec<Nanos>) -> Option<Nanos> {
    let rank = (values.len() * 99).div_ceil(100).checked_sub(1)?;
    let (_, value, _) = values.select_nth_unstable(rank);
    Some(*value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seq: u64, sent_ms: u64, took_ms: u64, outcome: Outcome) -> Sample {
        let at = |ms: u64| Mono(ms * 1_000_000);
        Sample { seq, due_ns: at(seq * 10), sent_ns: at(sent_ms), done_ns: at(sent_ms + took_ms), outcome }
    }

    const OK: Outcome = Outcome::Ok { node: 1, timeline: 3 };

    #[test]
    fn a_failure_ends_the_run_and_the_next_answer_begins_one() {
        let mut live = Live::default();
        live.take(&sample(0, 0, 1, OK));
        live.take(&sample(1, 10, 1, OK));
        let before = live.summary(Mono(20_000_000), 0);
        assert_eq!(before.ok_run.unwrap().length(), Nanos::from_ms(9));
        assert_eq!((before.health, before.answered_by), (Health::Up, Some((1, 3))));
        live.take(&sample(2, 20, 5, Outcome::Failed(Failure::Broken)));
        let down = live.summary(Mono(25_000_000), 1);
        assert_eq!((down.health, down.ok_run), (Health::Down(Failure::Broken), None));
        live.take(&sample(3, 30, 2, OK));
        live.take(&sample(4, 40, 0, Outcome::Unknown));
        let up = live.summary(Mono(45_000_000), 0);
        let run = OkRun { acknowledged_ns: Mono(32_000_000), last_sent_ns: Mono(30_000_000), unknown: 1 };
        assert_eq!(up.ok_run, Some(run));
        assert_eq!(run.length(), Nanos::ZERO, "one answer is no run");
        assert_eq!((up.failed_since(&before), up.ok_since(&before), up.unknown), (1, 1, 1));
        assert_eq!(up.failures, BTreeMap::from([(Failure::Broken, 1)]));
        assert_eq!((up.last_ok_ns, up.last_failed_ns), (Some(Mono(32_000_000)), Some(Mono(25_000_000))));
    }

    #[test]
    fn percentiles_are_of_the_last_second() {
        let mut live = Live::default();
        live.take(&sample(0, 0, 900, OK));
        for seq in 1..=200 {
            live.take(&sample(seq, seq * 10 + u64::from(seq == 150) * 3, 2, OK));
        }
        let summary = live.summary(Mono(2_002_000_000), 0);
        assert_eq!(summary.latency_p99_ns, Some(Nanos::from_ms(2)));
        assert_eq!(summary.lateness_p99_ns, Some(Nanos::ZERO));
        let silent = live.summary(Mono(9_000_000_000), 0);
        assert_eq!((silent.latency_p99_ns, silent.lateness_p99_ns), (None, None));
    }

    #[test]
    fn the_nearest_rank() {
        assert_eq!(p99(vec![]), None);
        assert_eq!(p99(vec![Nanos(7)]), Some(Nanos(7)));
        assert_eq!(p99((1..=100).map(Nanos).collect()), Some(Nanos(99)));
        assert_eq!(p99((1..=1_000).rev().map(Nanos).collect()), Some(Nanos(990)));
    }
}
