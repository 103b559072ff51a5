//! The bounded set of connections of one stream.
//!
//! Neither HTTP/1 nor the PostgreSQL protocol answers two requests at once on one connection, so a stream that sends
//! every 10 ms and waits 500 ms needs several. While the service answers, one is in use; the others are opened only
//! when it stalls, and given up when they have been idle. Without a bound, a stalled database would be given a new
//! connection every period: the probe would add to the outage that it measures.
//!
//! For the same reason a connection that is being opened may outlive the request that wanted it: a stopped database
//! has every attempt in its queue, also those long given up, and must work them off before it serves anybody.

use firedrill_core::time::{Mono, Nanos};
use std::collections::VecDeque;

/// An idle connection beyond the first is given up after this.
const IDLE_MAX: Nanos = Nanos::from_secs(5);
/// An attempt to connect is not given up before it is this old, nor before two timeouts have passed.
const OPENING_MIN: Nanos = Nanos::from_secs(1);

/// Slots: busy ones, idle connections, the most recently used on top, and attempts to open one that nobody waits for
/// just now, the oldest first.
#[derive(Debug)]
pub(crate) struct Slots<C, O> {
    idle: Vec<(C, Mono)>,
    opening: VecDeque<(O, Mono)>,
    /// An attempt that is older is given up: its way may be gone, as that to a server that has lost its address.
    opening_max: Nanos,
    busy: usize,
    limit: usize,
    /// Between two requests while half of the slots are busy; zero when the slots suffice for the whole timeout.
    ration: Nanos,
    last_taken: Mono,
}

/// What is in a slot between two requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held<C, O> {
    /// Nothing: a connection is to be opened.
    Nothing,
    /// A connection.
    Open(C),
    /// An attempt to open one, begun then.
    Opening(O, Mono),
}

impl<C, O> Slots<C, O> {
    /// As many slots as requests can be under way (`timeout / period`, one more for rounding), at most `cap`.
    pub(crate) fn new(period: Nanos, timeout: Nanos, cap: usize) -> Self {
        let wanted = usize::try_from(timeout.0.div_ceil(period.0)).unwrap_or(usize::MAX).saturating_add(1);
        let limit = wanted.min(cap).max(1);
        // Spread over the timeout, the second half keeps asking through a stall, at even distances, where otherwise
        // all slots would be used up at its beginning and free again all at once.
        let ration = if limit < wanted { Nanos(timeout.0 * 2 / limit as u64) } else { Nanos::ZERO };
        let opening_max = OPENING_MIN.max(Nanos(timeout.0 * 2));
        Self { idle: Vec::new(), opening: VecDeque::new(), opening_max, busy: 0, limit, ration, last_taken: Mono(0) }
    }

    /// Takes a slot; `None` when all are busy, or the free ones are to last through a stall.
    pub(crate) fn take(&mut self, now: Mono) -> Option<Held<C, O>> {
        if self.busy >= self.limit || (self.busy * 2 >= self.limit && now < self.last_taken.plus(self.ration)) {
            return None;
        }
        self.busy += 1;
        self.last_taken = now;
        if let Some((connection, _)) = self.idle.pop() {
            return Some(Held::Open(connection));
        }
        self.expire(now);
        Some(self.opening.pop_front().map_or(Held::Nothing, |(opening, begun)| Held::Opening(opening, begun)))
    }

    /// Frees a slot, and keeps what it holds for the next request.
    pub(crate) fn free(&mut self, held: Held<C, O>, now: Mono) {
        assert!(self.busy > 0, "a slot was freed that nobody had taken");
        self.busy -= 1;
        match held {
            Held::Nothing => {}
            Held::Open(connection) => self.idle.push((connection, now)),
            Held::Opening(opening, begun) => {
                let index = self.opening.partition_point(|(_, other)| *other <= begun);
                self.opening.insert(index, (opening, begun));
            }
        }
    }

    /// Gives up a connection that has long been idle, except the last one, and attempts that are too old.
    pub(crate) fn retire(&mut self, now: Mono) -> Option<C> {
        self.expire(now);
        let oldest = self.idle.first()?;
        let surplus = self.idle.len() + self.busy > 1 && now.since(oldest.1) > IDLE_MAX;
        surplus.then(|| self.idle.remove(0).0)
    }

    fn expire(&mut self, now: Mono) {
        while self.opening.front().is_some_and(|(_, begun)| now.since(*begun) > self.opening_max) {
            self.opening.pop_front();
        }
    }

    /// Gives up every idle connection and every attempt.
    pub(crate) fn drain(&mut self) -> Vec<C> {
        self.opening.clear();
        std::mem::take(&mut self.idle).into_iter().map(|(connection, _)| connection).collect()
    }

    /// How many requests are under way.
    pub(crate) fn busy(&self) -> usize {
        self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = Nanos::from_ms(1);

    fn ms(ms: u64) -> Mono {
        Mono(ms * 1_000_000)
    }

    type Slots = super::Slots<&'static str, &'static str>;

    #[test]
    fn a_healthy_stream_uses_one_connection() {
        let mut slots = Slots::new(Nanos::from_ms(10), Nanos::from_ms(500), 12);
        assert_eq!(slots.take(ms(0)), Some(Held::Nothing));
        slots.free(Held::Open("a"), ms(1));
        for t in 1..100 {
            let taken = slots.take(ms(t * 10)).unwrap();
            assert_eq!(taken, Held::Open("a"));
            slots.free(taken, ms(t * 10 + 1));
        }
        assert_eq!(slots.busy(), 0);
        assert_eq!(slots.retire(ms(1_000_000)), None, "the last one stays");
    }

    #[test]
    fn enough_slots_are_never_rationed() {
        let mut slots = Slots::new(Nanos::from_ms(10), Nanos::from_ms(100), 12);
        assert_eq!(slots.limit, 11);
        let taken = (0..20).filter(|t| slots.take(ms(t * 10)).is_some()).count();
        assert_eq!(taken, 11);
    }

    #[test]
    fn few_slots_last_through_a_stall() {
        let mut slots = Slots::new(Nanos::from_ms(10), Nanos::from_ms(500), 10);
        let taken: Vec<u64> = (0..50).filter(|t| slots.take(ms(t * 10)).is_some()).map(|t| t * 10).collect();
        assert_eq!(taken, [0, 10, 20, 30, 40, 140, 240, 340, 440], "the second half a tenth of the stall apart");
    }

    #[test]
    fn surplus_connections_are_given_up_when_idle() {
        let mut slots = Slots::new(MS, Nanos::from_ms(3), 64);
        for _ in 0..3 {
            slots.take(ms(0)).unwrap();
        }
        for name in ["a", "b", "c"] {
            slots.free(Held::Open(name), ms(1));
        }
        assert_eq!(slots.retire(ms(5_001)), None);
        assert_eq!(slots.take(ms(5_002)), Some(Held::Open("c")));
        slots.free(Held::Open("c"), ms(5_002));
        assert_eq!(slots.retire(ms(5_003)), Some("a"));
        assert_eq!(slots.retire(ms(5_003)), Some("b"));
        assert_eq!(slots.retire(ms(999_999)), None);
    }

    #[test]
    fn an_attempt_goes_on_for_the_next_request_until_it_is_too_old() {
        let mut slots = Slots::new(Nanos::from_ms(10), Nanos::from_ms(100), 12);
        for _ in 0..3 {
            slots.take(ms(0)).unwrap();
        }
        slots.free(Held::Opening("second", ms(20)), ms(120));
        slots.free(Held::Opening("first", ms(10)), ms(120));
        assert_eq!(slots.take(ms(130)), Some(Held::Opening("first", ms(10))), "the oldest is the next to be answered");
        slots.free(Held::Opening("first", ms(10)), ms(230));
        slots.free(Held::Open("open"), ms(300));
        assert_eq!(slots.take(ms(310)), Some(Held::Open("open")), "what is open comes first");
        assert_eq!(slots.take(ms(1_011)), Some(Held::Opening("second", ms(20))), "the first is given up");
        assert_eq!(slots.take(ms(1_012)), Some(Held::Nothing));
    }

    #[test]
    #[should_panic(expected = "nobody had taken")]
    fn freeing_twice_is_a_bug() {
        Slots::new(MS, MS, 1).free(Held::Nothing, ms(0));
    }
}
