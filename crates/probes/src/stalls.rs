//! The probe's own stalls: stretches in which its thread should have run and did not (stopped, starved, swapped).
//!
//! A request that got no answer in time proves an outage only when somebody was there to take the answer.

use firedrill_core::time::{Mono, Nanos};
use std::collections::VecDeque;

/// A thread that wakes up this late was not stalled, only scheduled.
const STALL_MIN: Nanos = Nanos::from_ms(2);

/// The recent stalls of one thread.
#[derive(Debug)]
pub(crate) struct Stalls {
    recent: VecDeque<(Mono, Mono)>,
    /// When the thread is to wake next.
    wanted: Mono,
    keep: Nanos,
}

impl Stalls {
    /// Remembers stalls for `keep` after their end: longer than any request lasts.
    pub(crate) fn new(keep: Nanos) -> Self {
        Self { recent: VecDeque::new(), wanted: Mono(u64::MAX), keep }
    }

    /// The thread is to wake at `wanted`.
    pub(crate) fn sleeps_until(&mut self, wanted: Mono) {
        self.wanted = wanted;
    }

    /// The thread woke, because it was time.
    pub(crate) fn woke(&mut self, woke: Mono) {
        let wanted = std::mem::replace(&mut self.wanted, Mono(u64::MAX));
        while self.recent.front().is_some_and(|(_, end)| woke.since(*end) > self.keep) {
            self.recent.pop_front();
        }
        if woke.since(wanted) > STALL_MIN {
            self.recent.push_back((wanted, woke));
        }
    }

    /// How much of the time between two points the thread was stalled. A stall that has just ended counts too, although
    /// [`Stalls::woke`] was not called yet: of all that wakes with the thread, an answer may be looked at first.
    pub(crate) fn within(&self, from: Mono, until: Mono) -> Nanos {
        let overlap = |start: Mono, end: Mono| end.min(until).since(start.max(from));
        let past_ns: u64 = self.recent.iter().map(|(start, end)| overlap(*start, *end).0).sum();
        let ending_ns = overlap(self.wanted, until);
        let ending_ns = if until.since(self.wanted) > STALL_MIN { ending_ns } else { Nanos::ZERO };
        Nanos(past_ns + ending_ns.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    fn sleep(stalls: &mut Stalls, wanted: Mono, woke: Mono) {
        stalls.sleeps_until(wanted);
        stalls.woke(woke);
    }

    #[test]
    fn only_the_overlap_counts() {
        let mut stalls = Stalls::new(Nanos::from_secs(10));
        sleep(&mut stalls, ms(100), ms(101));
        assert_eq!(stalls.within(ms(0), ms(1_000)), Nanos::ZERO);
        sleep(&mut stalls, ms(200), ms(500));
        sleep(&mut stalls, ms(510), ms(520));
        assert_eq!(stalls.within(ms(0), ms(1_000)), Nanos::from_ms(310));
        assert_eq!(stalls.within(ms(300), ms(515)), Nanos::from_ms(205));
        assert_eq!(stalls.within(ms(600), ms(900)), Nanos::ZERO);
    }

    #[test]
    fn a_stall_counts_before_the_thread_has_noticed_it() {
        let mut stalls = Stalls::new(Nanos::from_secs(10));
        stalls.sleeps_until(ms(100));
        assert_eq!(stalls.within(ms(90), ms(102)), Nanos::ZERO);
        assert_eq!(stalls.within(ms(90), ms(800)), Nanos::from_ms(700));
        stalls.woke(ms(800));
        assert_eq!(stalls.within(ms(90), ms(801)), Nanos::from_ms(700), "and not twice");
    }

    #[test]
    fn old_ones_are_forgotten() {
        let mut stalls = Stalls::new(Nanos::from_ms(100));
        sleep(&mut stalls, ms(0), ms(50));
        sleep(&mut stalls, ms(151), ms(151));
        assert_eq!(stalls.within(ms(0), ms(50)), Nanos::ZERO);
    }
}
