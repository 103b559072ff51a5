//! The open-loop schedule of one stream: every send time is fixed before the first request goes out.
//!
//! A closed loop (send, wait, sleep, send) asks less often just when the service is slow, and so hides the trouble it
//! was to measure. Here the due times never move. What could not be asked in time is counted, not left out.

use firedrill_core::time::{Mono, Nanos};
use std::ops::Range;

/// A request may be sent this late at least, and still for its due time.
const LATE_MIN: Nanos = Nanos::from_ms(2);
/// Late requests are sent together only when they are younger than this.
const LATE_MAX: Nanos = Nanos::from_ms(100);
/// How many periods late a request may be.
const LATE_PERIODS: u64 = 4;

/// Due times at `first + seq × period`.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    first: Mono,
    period: Nanos,
    next_seq: u64,
}

/// What became due since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Too late to be asked: the process was stopped or starved.
    pub(crate) missed: Range<u64>,
    /// To be sent now.
    pub(crate) send: Range<u64>,
}

impl Schedule {
    /// A schedule that begins at `first`; `period` is not zero.
    pub(crate) fn new(first: Mono, period: Nanos) -> Self {
        assert!(period > Nanos::ZERO, "a period of zero was let through");
        Self { first, period, next_seq: 0 }
    }

    /// When the request `seq` is due.
    pub(crate) fn due(&self, seq: u64) -> Mono {
        self.first.plus(Nanos(self.period.0.saturating_mul(seq)))
    }

    /// When the next request is due.
    pub(crate) fn next_due(&self) -> Mono {
        self.due(self.next_seq)
    }

    /// Takes every number due by `now`. A few late ones are still sent: a probe that the machine delayed for some
    /// milliseconds says so by their lateness. Older ones are missed.
    pub(crate) fn take(&mut self, now: Mono) -> Due {
        let from = self.next_seq;
        if now < self.next_due() {
            return Due { missed: from..from, send: from..from };
        }
        let until = now.since(self.first).0 / self.period.0 + 1;
        let late_ns = LATE_MIN.max(self.period).max(LATE_MAX.min(Nanos(self.period.0.saturating_mul(LATE_PERIODS))));
        // The first whose due time is not before now - late.
        let oldest_ns = now.minus(late_ns).since(self.first).0;
        let sendable = oldest_ns.div_ceil(self.period.0).clamp(from, until);
        self.next_seq = until;
        Due { missed: from..sendable, send: sendable..until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at_ms(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    #[test]
    fn in_time_each_is_sent_once() {
        let mut schedule = Schedule::new(at_ms(1_000), Nanos::from_ms(10));
        assert_eq!(schedule.take(at_ms(999)), Due { missed: 0..0, send: 0..0 });
        assert_eq!(schedule.take(at_ms(1_000)), Due { missed: 0..0, send: 0..1 });
        assert_eq!(schedule.take(at_ms(1_009)), Due { missed: 1..1, send: 1..1 });
        assert_eq!(schedule.take(at_ms(1_011)), Due { missed: 1..1, send: 1..2 });
        assert_eq!(schedule.next_due(), at_ms(1_020));
    }

    #[test]
    fn after_a_stop_the_old_ones_are_missed_and_the_young_ones_sent_late() {
        let mut schedule = Schedule::new(at_ms(1_000), Nanos::from_ms(10));
        schedule.take(at_ms(1_000));
        assert_eq!(schedule.take(at_ms(1_505)), Due { missed: 1..47, send: 47..51 });
        assert_eq!(schedule.next_due(), at_ms(1_510));
    }

    #[test]
    fn a_slow_stream_sends_no_bursts() {
        let mut schedule = Schedule::new(at_ms(0), Nanos::from_secs(1));
        schedule.take(at_ms(0));
        assert_eq!(schedule.take(at_ms(3_500)), Due { missed: 1..3, send: 3..4 });
    }

    proptest! {
        #[test]
        fn every_number_is_taken_once_in_order_and_never_early(
            period_us in 100_u64..2_000_000,
            waits_us in proptest::collection::vec(0_u64..5_000_000, 1..60),
        ) {
            let first = at_ms(5_000);
            let mut schedule = Schedule::new(first, Nanos(period_us * 1_000));
            let mut now = at_ms(4_000);
            let mut expected = 0;
            for wait_us in waits_us {
                now = now.plus(Nanos(wait_us * 1_000));
                let due = schedule.take(now);
                prop_assert_eq!(due.missed.start, expected);
                prop_assert_eq!(due.missed.end, due.send.start);
                expected = due.send.end;
                for seq in due.missed.start..due.send.end {
                    prop_assert!(schedule.due(seq) <= now);
                }
                prop_assert!(schedule.next_due() > now);
            }
        }
    }
}
