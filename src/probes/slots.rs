//! The bounded set of connections of one stream.
//!
//! Neither HTTP/1 nor the PostgreSQL protocol answers two requests at once on one connection, so a stream that sends
//! every 10 ms and waits 500 ms needs several. While the service answers, one is in use; the others are opened only
//! when it stalls, and given up when they have been idle. Without a bound, a stalled database would be given a new
//! connection every period: the probe would add to the outage that it measures.

use firedrill_core::time::{Mono, Nanos};

/// An idle connection beyond the first is given up after this.
const IDLE_MAX: Nanos = Nanos::from_secs(5);

/// Slots: busy ones, and idle connections, the most recently used on top.
#[derive(Debug)]
pub(crate) struct Slots<C> {
    idle: Vec<(C, Mono)>,
    busy: usize,
    limit: usize,
    /// Between two requests while half of the slots are busy; zero when the slots suffice for the whole timeout.
    ration: Nanos,
    last_taken: Mono,
}

/// A slot, taken. With the connection to use, when one is open.
#[derive(Debug)]
pub(crate) struct Taken<C> {
    /// The connection that was used last; `None` means to open one.
    pub(crate) connection: Option<C>,
}

impl<C> Slots<C> {
    /// As many slots as requests can be under way (`timeout / period`, one more for rounding), at most `cap`.
    pub(crate) fn new(period: Nanos, timeout: Nanos, cap: usize) -> Self {
        let wanted = usize::try_from(timeout.0.div_ceil(period.0)).unwrap_or(usize::MAX).saturating_add(1);
        let limit = wanted.min(cap).max(1);
        // Spread over the timeout, the second half keeps asking through a stall, at even distances, where otherwise
        // all slots would be used up at its beginning and free again all at once.
        let ration = if limit < wanted { Nanos(timeout.0 * 2 / limit as u64) } else { Nanos::ZERO };
        Self { idle: Vec::new(), busy: 0, limit, ration, last_taken: Mono(0) }
    }

    /// Takes a slot; `None` when all are busy, or the free ones are to last through a stall.
    pub(crate) fn take(&mut self, now: Mono) -> Option<Taken<C>> {
        if self.busy >= self.limit || (self.busy * 2 >= self.limit && now < self.last_taken.plus(self.ration)) {
            return None;
        }
        self.busy += 1;
        self.last_taken = now;
        Some(Taken { connection: self.idle.pop().map(|(connection, _)| connection) })
    }

    /// Frees a slot; `connection` stays open for the next request.
    pub(crate) fn free(&mut self, connection: Option<C>, now: Mono) {
        assert!(self.busy > 0, "a slot was freed that nobody had taken");
        self.busy -= 1;
        self.idle.extend(connection.map(|c| (c, now)));
    }

    /// Gives up a connection that has long been idle, except the last one.
    pub(crate) fn retire(&mut self, now: Mono) -> Option<C> {
        let oldest = self.idle.first()?;
        let surplus = self.idle.len() + self.busy > 1 && now.since(oldest.1) > IDLE_MAX;
        surplus.then(|| self.idle.remove(0).0)
    }

    /// Gives up every idle connection.
    pub(crate) fn drain(&mut self) -> Vec<C> {
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

    #[test]
    fn a_healthy_stream_uses_one_connection() {
        let mut slots = Slots::new(Nanos::from_ms(10), Nanos::from_ms(500), 12);
        assert!(slots.take(ms(0)).unwrap().connection.is_none());
        slots.free(Some("a"), ms(1));
        for t in 1..100 {
            let taken = slots.take(ms(t * 10)).unwrap();
            assert_eq!(taken.connection, Some("a"));
            slots.free(taken.connection, ms(t * 10 + 1));
        }
        assert_eq!(slots.busy(), 0);
        assert_eq!(slots.retire(ms(1_000_000)), None, "the last one stays");
    }

    #[test]
    fn enough_slots_are_never_rationed() {
        let mut slots = Slots::<()>::new(Nanos::from_ms(10), Nanos::from_ms(100), 12);
        assert_eq!(slots.limit, 11);
        let taken = (0..20).filter(|t| slots.take(ms(t * 10)).is_some()).count();
        assert_eq!(taken, 11);
    }

    #[test]
    fn few_slots_last_through_a_stall() {
        let mut slots = Slots::<()>::new(Nanos::from_ms(10), Nanos::from_ms(500), 10);
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
            slots.free(Some(name), ms(1));
        }
        assert_eq!(slots.retire(ms(5_001)), None);
        assert_eq!(slots.take(ms(5_002)).unwrap().connection, Some("c"));
        slots.free(Some("c"), ms(5_002));
        assert_eq!(slots.retire(ms(5_003)), Some("a"));
        assert_eq!(slots.retire(ms(5_003)), Some("b"));
        assert_eq!(slots.retire(ms(999_999)), None);
    }

    #[test]
    #[should_panic(expected = "nobody had taken")]
    fn freeing_twice_is_a_bug() {
        Slots::<()>::new(MS, MS, 1).free(None, ms(0));
    }
}
