//! The clock: `CLOCK_BOOTTIME` for durations, the wall clock for people, and the notice when the wall clock stepped.
//!
//! The one place of the product that reads a clock. `CLOCK_BOOTTIME` is the same for every process of one boot, counts
//! on while the machine sleeps, and nobody can set it.

use firedrill_core::time::{Mono, Nanos, Stamp};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::sync::OnceLock;

/// How often a pair of clocks is read for the tightest pair.
const PAIR_READS: usize = 5;
/// A change of the difference of both clocks below this is no step: reading them takes time, and NTP slews.
const STEP_MIN_NS: u64 = 20_000_000;
/// The kernel slews the wall clock by at most this share of the time that passes (`adjtimex`: 500 ppm, with margin).
const SLEW_PPM_MAX: u64 = 1_000;

/// The time now, on the clock of this boot.
pub fn now() -> Mono {
    Mono(nanos(clock_gettime(ClockId::Boottime)))
}

/// The time now, with all that makes it comparable later and elsewhere.
pub fn stamp() -> Stamp {
    let (mono_ns, wall_ns) = pair();
    Stamp { boot: boot_id().to_owned(), mono_ns, wall_ns }
}

/// The kernel's id of this boot; `unknown-boot-<boot time>` where the kernel does not tell it.
pub fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        if let Ok(id) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
            return id.trim().to_owned();
        }
        let (mono_ns, wall_ns) = pair();
        let booted_s = (wall_ns - i64::try_from(mono_ns.0).unwrap_or(i64::MAX)) / 1_000_000_000;
        format!("unknown-boot-{booted_s}")
    })
}

/// The wall clock was set, or stepped by NTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// When it was noticed.
    pub at: Stamp,
    /// By how much the wall clock moved against the time that passed; negative when it went back.
    pub by_ns: i64,
    /// The time since the check before: the step happened somewhere within.
    pub within_ns: Nanos,
}

/// Watches the difference between the wall clock and `CLOCK_BOOTTIME`.
#[derive(Clone, Debug)]
pub struct StepWatch {
    last: (Mono, i64),
}

impl Default for StepWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl StepWatch {
    /// Begins to watch.
    pub fn new() -> Self {
        Self { last: pair() }
    }

    /// Compares with the check before. Call it about once a second.
    pub fn check(&mut self) -> Option<ClockStep> {
        let step = self.compare(pair());
        step.map(|(by_ns, within_ns)| ClockStep {
            at: Stamp { boot: boot_id().to_owned(), mono_ns: self.last.0, wall_ns: self.last.1 },
            by_ns,
            within_ns,
        })
    }

    /// The rule, on given readings: what NTP may slew in the time that passed is no step.
    fn compare(&mut self, read: (Mono, i64)) -> Option<(i64, Nanos)> {
        let passed_ns = read.0.since(self.last.0);
        let wall_passed_ns = read.1.saturating_sub(self.last.1);
        let by_ns = wall_passed_ns.saturating_sub(i64::try_from(passed_ns.0).unwrap_or(i64::MAX));
        self.last = read;
        let slew_max_ns = passed_ns.0 / 1_000_000 * SLEW_PPM_MAX;
        (by_ns.unsigned_abs() > STEP_MIN_NS + slew_max_ns).then_some((by_ns, passed_ns))
    }
}

/// Both clocks at one moment: of several readings the one in which least time passed between them.
fn pair() -> (Mono, i64) {
    let mut best = (u64::MAX, Mono(0), 0);
    for _ in 0..PAIR_READS {
        let before = now();
        let wall = clock_gettime(ClockId::Realtime);
        let after = now();
        let spread_ns = after.since(before).0;
        if spread_ns < best.0 {
            let wall_ns = wall.tv_sec.saturating_mul(1_000_000_000).saturating_add(wall.tv_nsec);
            best = (spread_ns, Mono(before.0 + spread_ns / 2), wall_ns);
        }
    }
    (best.1, best.2)
}

/// A reading of a clock that is never negative.
fn nanos(t: Timespec) -> u64 {
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_stamps_of_one_boot_compare() {
        let a = stamp();
        let b = stamp();
        assert!(b.since(&a).is_some(), "both stamps are of this boot");
        assert!(a.mono_ns <= b.mono_ns);
        assert!(!boot_id().is_empty());
    }

    #[test]
    fn the_clock_of_this_boot_is_the_kernels_uptime() {
        let before = now();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let after = now();
        let uptime_s: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
        // /proc/uptime counts hundredths, rounded down, on CLOCK_BOOTTIME.
        assert!(uptime_s <= Nanos(after.0).as_secs_f64());
        assert!(uptime_s + 0.02 >= Nanos(before.0).as_secs_f64());
    }

    #[test]
    fn a_step_is_told_from_slewing() {
        let wall = 1_800_000_000_000_000_000;
        let mut watch = StepWatch { last: (Mono(10_000_000_000), wall) };
        let s = |n: u64| Mono(n * 1_000_000_000);
        assert_eq!(watch.compare((s(11), wall + 1_000_000_000)), None);
        // 500 ppm fast for a minute: 30 ms, which NTP may do.
        assert_eq!(watch.compare((s(71), wall + 61_030_000_000)), None);
        let back = watch.compare((s(72), wall + 61_030_000_000 - 2_000_000_000));
        assert_eq!(back, Some((-3_000_000_000, Nanos::from_secs(1))));
        // The step is told once.
        assert_eq!(watch.compare((s(73), wall + 60_030_000_000)), None);
        let forth = watch.compare((s(74), wall + 61_030_000_000 + 3_600_000_000_000));
        assert_eq!(forth, Some((3_600_000_000_000, Nanos::from_secs(1))));
    }
}
