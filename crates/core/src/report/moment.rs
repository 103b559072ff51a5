//! Time inside a report: nanoseconds since the drill was opened, and the one wall clock they are shown by.
//!
//! A report is read elsewhere and later, so it does not carry boot clocks around: every point is an offset from the
//! opening of the drill, small enough for any JSON reader, and [`Clock`] turns it into UTC.

use crate::time::{Interval, Mono, Nanos, Stamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time of the drill: nanoseconds since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// `ms` milliseconds after the opening.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// The time from `earlier` to `self`; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// The signed distance from `origin`, in nanoseconds; negative when `self` came first.
    pub fn offset_ns(self, origin: Self) -> i64 {
        let distance = i128::from(self.0) - i128::from(origin.0);
        i64::try_from(distance).unwrap_or(if distance < 0 { i64::MIN } else { i64::MAX })
    }

    /// This point moved forward.
    #[must_use]
    pub fn plus(self, by: Nanos) -> Self {
        Self(self.0.saturating_add(by.0))
    }
}

/// Something that happened at a point of which only bounds are known: not before `earliest`, not after `latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bracket {
    /// It had not happened before this.
    pub earliest_ns: Moment,
    /// It had happened by this.
    pub latest_ns: Moment,
}

impl Bracket {
    /// A bracket of both bounds.
    ///
    /// # Panics
    /// When `earliest > latest`: that is a bug in the measuring.
    pub fn new(earliest_ns: Moment, latest_ns: Moment) -> Self {
        assert!(earliest_ns <= latest_ns, "a bracket's earliest {earliest_ns:?} is after its latest {latest_ns:?}");
        Self { earliest_ns, latest_ns }
    }

    /// A point known exactly.
    pub fn exact(at: Moment) -> Self {
        Self { earliest_ns: at, latest_ns: at }
    }

    /// The time from `earlier` to `self`, as an interval; zero is its least lower bound.
    pub fn since(self, earlier: Self) -> Interval {
        let lower = self.earliest_ns.since(earlier.latest_ns);
        let upper = self.latest_ns.since(earlier.earliest_ns);
        Interval::new(lower, Some(upper))
    }
}

/// From one point to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Where it begins.
    pub from_ns: Moment,
    /// Where it ends; never before it begins.
    pub to_ns: Moment,
}

impl Span {
    /// A span of two points.
    ///
    /// # Panics
    /// When it would end before it begins.
    pub fn new(from_ns: Moment, to_ns: Moment) -> Self {
        assert!(from_ns <= to_ns, "a span from {from_ns:?} cannot end at {to_ns:?}");
        Self { from_ns, to_ns }
    }

    /// How long it is.
    pub fn length(self) -> Nanos {
        self.to_ns.since(self.from_ns)
    }
}

/// A time zone in which people read the report, as an offset fixed when the report was made, so that rendering it
/// later does not depend on the time-zone data of another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Zone {
    /// Its IANA name, for people.
    pub name: String,
    /// Seconds east of UTC at the opening of the drill.
    pub offset_s: i32,
}

/// A step of the wall clock seen during the drill. Durations are not affected: they are monotonic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClockStep {
    /// When it was noticed.
    pub at_ns: Moment,
    /// By how much the wall clock jumped, in nanoseconds; negative means backwards.
    pub by_ns: i64,
}

/// The reference of all points in the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// The opening of the drill: point zero.
    pub opened: Stamp,
    /// The same, as RFC 3339 in UTC, for readers without a calendar library.
    pub opened_utc: String,
    /// When the drill was closed.
    pub closed_ns: Moment,
    /// The zone to show beside UTC, from the experiment's schedule or the estate's window.
    pub zone: Option<Zone>,
    /// Steps of the wall clock that were noticed.
    pub steps: Vec<ClockStep>,
}

impl Clock {
    /// The clock of a drill opened at `opened` and closed at `closed`. Add the zone and steps to the fields.
    pub fn new(opened: Stamp, closed_ns: Moment) -> Self {
        let opened_utc = opened.wall().to_string();
        Self { opened, opened_utc, closed_ns, zone: None, steps: Vec::new() }
    }

    /// A monotonic point of the same boot, as a point of the drill; points before the opening become zero.
    pub fn moment(&self, at: Mono) -> Moment {
        Moment(at.since(self.opened.mono_ns).0)
    }

    /// A stamp as a point of the drill: by the monotonic clock within a boot, by the wall clock across one (which
    /// the report must then list as a deviation).
    pub fn moment_of(&self, stamp: &Stamp) -> Moment {
        match stamp.since(&self.opened) {
            Some(since) => Moment(since.0),
            None => Moment(u64::try_from(stamp.wall_ns.saturating_sub(self.opened.wall_ns)).unwrap_or(0)),
        }
    }

    /// The wall-clock time of a point of the drill.
    pub fn utc(&self, at: Moment) -> jiff::Timestamp {
        let wall_ns = i128::from(self.opened.wall_ns) + i128::from(at.0);
        jiff::Timestamp::from_nanosecond(wall_ns).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot: &str, mono_ns: u64, wall_ns: i64) -> Stamp {
        Stamp { boot: boot.into(), mono_ns: Mono(mono_ns), wall_ns }
    }

    #[test]
    fn points_come_from_the_monotonic_clock_within_a_boot_and_from_the_wall_across_one() {
        let clock = Clock::new(stamp("a", 5_000, 1_000_000), Moment(0));
        assert_eq!(clock.moment(Mono(5_700)), Moment(700));
        assert_eq!(clock.moment(Mono(10)), Moment(0));
        // The wall clock was stepped by an hour meanwhile: within the boot that changes nothing.
        assert_eq!(clock.moment_of(&stamp("a", 5_700, 3_600_000_000_000)), Moment(700));
        assert_eq!(clock.moment_of(&stamp("b", 3, 1_000_900)), Moment(900));
        assert_eq!(clock.utc(Moment(500)).as_nanosecond(), 1_000_500);
    }

    #[test]
    fn the_time_between_two_brackets_is_as_wide_as_both() {
        let cause = Bracket::new(Moment(10), Moment(14));
        let effect = Bracket::new(Moment(20), Moment(25));
        assert_eq!(effect.since(cause), Interval::new(Nanos(6), Some(Nanos(15))));
        assert_eq!(Moment(4).offset_ns(Moment(10)), -6);
    }

    #[test]
    #[should_panic(expected = "earliest")]
    fn a_bracket_cannot_be_inside_out() {
        let _ = Bracket::new(Moment(2), Moment(1));
    }
}
