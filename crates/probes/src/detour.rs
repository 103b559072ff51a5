//! A detour: the way of a probe that cannot go as users do, but goes through something else that can fail (a port-forward
//! through a cluster's API). Whoever keeps the way open writes down here what is known of it, and a failure that may be the
//! way's own counts as unknown, never as an outage.

use firedrill_core::sample::Failure;
use firedrill_core::time::{Mono, Nanos};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// A failure that came at once is believed when the way answered this shortly before: whoever keeps it asks more often.
const FRESH: Nanos = Nanos::from_secs(1);
/// A time-out is believed when the way still answered this shortly before its end: it was open nearly all the while.
const TO_THE_END: Nanos = Nanos::from_ms(300);
/// Breaks that are remembered; one that is older than this many others has no request under way.
const BREAKS_MAX: usize = 256;

/// What is known of a way. Clones know the same.
#[derive(Clone, Debug, Default)]
pub struct Detour(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// When the newest question was asked that the way has answered.
    answered_ns: Option<Mono>,
    /// When the way was broken, and since when it is not any more.
    breaks: VecDeque<(Mono, Option<Mono>)>,
}

impl Detour {
    /// The way answered a question that was asked at `asked_ns`: what broke before is mended.
    pub fn answered(&self, asked_ns: Mono) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.answered_ns = known.answered_ns.max(Some(asked_ns));
        for (from, to) in &mut known.breaks {
            if to.is_none() && *from < asked_ns {
                *to = Some(asked_ns);
            }
        }
    }

    /// The way itself broke at `at_ns`, or was found broken by what was tried then.
    pub fn broke(&self, at_ns: Mono) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.breaks.back().is_some_and(|(from, to)| to.is_none() && *from <= at_ns) {
            return;
        }
        if known.breaks.len() == BREAKS_MAX {
            known.breaks.pop_front();
        }
        known.breaks.push_back((at_ns, None));
    }

    /// Why a failure of a request from `sent` to `done` proves nothing about the service; `None` when it does.
    ///
    /// A request that timed out is the service's only when the way has answered something asked after it was sent, and
    /// shortly before its end: a way that stands still looks the same as a service that does.
    pub(crate) fn doubt(&self, sent: Mono, done: Mono, failure: Failure) -> Option<&'static str> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.breaks.iter().any(|(from, to)| *from <= done && to.is_none_or(|to| to >= sent)) {
            return Some("the way to the service was broken");
        }
        let since = match failure {
            Failure::TimedOut => sent.max(Mono(done.0.saturating_sub(TO_THE_END.0))),
            _ => Mono(sent.0.saturating_sub(FRESH.0)),
        };
        match known.answered_ns {
            Some(answered) if answered >= since => None,
            _ => Some("the way to the service did not answer either"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono(Nanos::from_ms(ms).0)
    }

    #[test]
    fn a_failure_is_the_services_only_while_the_way_is_known_to_be_open() {
        let detour = Detour::default();
        assert!(detour.doubt(ms(5_000), ms(5_001), Failure::Refused).is_some(), "nothing is known of it");
        detour.answered(ms(5_000));
        assert_eq!(detour.doubt(ms(5_010), ms(5_011), Failure::Broken), None);
        assert!(detour.doubt(ms(5_010), ms(5_510), Failure::TimedOut).is_some(), "nothing was asked of it since");
        detour.answered(ms(5_150));
        assert!(detour.doubt(ms(5_010), ms(5_510), Failure::TimedOut).is_some(), "it may have stood still since");
        assert_eq!(detour.doubt(ms(5_010), ms(5_110), Failure::TimedOut), None);
        detour.answered(ms(5_250));
        assert_eq!(detour.doubt(ms(5_010), ms(5_510), Failure::TimedOut), None);
        assert!(detour.doubt(ms(6_300), ms(6_301), Failure::Refused).is_some(), "that was long ago");
    }

    #[test]
    fn what_was_under_way_while_it_was_broken_proves_nothing() {
        let detour = Detour::default();
        detour.answered(ms(900));
        detour.broke(ms(1_000));
        detour.broke(ms(1_100));
        assert!(detour.doubt(ms(990), ms(1_000), Failure::Broken).is_some());
        assert_eq!(detour.doubt(ms(980), ms(999), Failure::Broken), None, "it was over before");
        detour.answered(ms(950));
        assert!(detour.doubt(ms(1_200), ms(1_201), Failure::Broken).is_some(), "that was asked before the break");
        detour.answered(ms(2_000));
        assert!(detour.doubt(ms(1_990), ms(2_010), Failure::Broken).is_some());
        assert_eq!(detour.doubt(ms(2_001), ms(2_010), Failure::Broken), None);
    }
}
