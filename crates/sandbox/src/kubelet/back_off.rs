//! The pauses between restarts in place.

use std::time::Duration;

/// How long a container waits before it is started again. The kubelet's own figures are ten times these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// Before the second restart; the first is immediate. Doubles with each further one.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// After a run of this length the count begins again.
    pub reset_after: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(30), reset_after: Duration::from_mins(1) }
    }
}

impl BackOff {
    /// The pause before the next start after `failures` ends in a row (1 for the first).
    pub(super) fn pause(&self, failures: u32) -> Duration {
        match failures {
            0 | 1 => Duration::ZERO,
            more => self.first.saturating_mul(2_u32.saturating_pow(more - 2)).min(self.longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::BackOff;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let back_off = BackOff::default();
        let pauses: Vec<u64> = (1..9).map(|failures| back_off.pause(failures).as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(back_off.pause(u32::MAX), Duration::from_secs(30));
    }
}
