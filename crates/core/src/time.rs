//! Points in time and intervals. A point is comparable only within one boot; an interval says what is known.
//!
//! `std::time::Instant` does not cross processes, and a drill does: it may be begun by one runner and closed by
//! another. A [`Stamp`] therefore carries the boot it belongs to, `CLOCK_BOOTTIME`, and the wall clock for display.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A length of time, in nanoseconds. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The same length for calendars; the longest they know where it is longer.
    pub fn signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_nanos(i64::try_from(self.0).unwrap_or(i64::MAX))
    }

    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// `s` seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(s * 1_000_000_000)
    }

    /// In seconds, for display and for JSON that people read.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// In milliseconds, for display.
    pub fn as_ms_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl From<std::time::Duration> for Nanos {
    fn from(d: std::time::Duration) -> Self {
        Self(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for std::time::Duration {
    fn from(n: Nanos) -> Self {
        Self::from_nanos(n.0)
    }
}

/// A point on `CLOCK_BOOTTIME`, in nanoseconds since the boot. It goes on while the machine sleeps and never steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Mono(pub u64);

impl Mono {
    /// The time from `earlier` to `self`; zero when `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// This point moved forward.
    #[must_use]
    pub fn plus(self, by: Nanos) -> Self {
        Self(self.0.saturating_add(by.0))
    }

    /// This point moved back, not before the boot.
    #[must_use]
    pub fn minus(self, by: Nanos) -> Self {
        Self(self.0.saturating_sub(by.0))
    }
}

/// A point in time that survives the process that took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    /// The kernel's boot id (a UUID in text). Two stamps are comparable by `mono_ns` only when theirs are equal.
    pub boot: String,
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub mono_ns: Mono,
    /// The wall clock at the same moment, UTC, nanoseconds since 1970. For people, never for durations.
    pub wall_ns: i64,
}

impl Stamp {
    /// The time from `earlier` to `self`, or `None` across a reboot, where only the wall clock would know.
    pub fn since(&self, earlier: &Self) -> Option<Nanos> {
        (self.boot == earlier.boot).then(|| self.mono_ns.since(earlier.mono_ns))
    }

    /// The wall clock as a timestamp for display.
    pub fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.wall_ns)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// The wall-clock time of a monotonic point of the same boot, by this stamp as the reference.
    pub fn wall_of(&self, at: Mono) -> jiff::Timestamp {
        let delta_ns = i128::from(at.0) - i128::from(self.mono_ns.0);
        jiff::Timestamp::from_nanosecond(i128::from(self.wall_ns) + delta_ns).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// A length of time of which only bounds are known: the truth is within, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// It was at least this long.
    pub lower_ns: Nanos,
    /// It was at most this long; `None` when nobody knows ("at least `lower`").
    pub upper_ns: Option<Nanos>,
}

impl Interval {
    /// Known exactly to be nothing.
    pub const ZERO: Self = Self { lower_ns: Nanos::ZERO, upper_ns: Some(Nanos::ZERO) };

    /// An interval of both bounds.
    ///
    /// # Panics
    /// When `lower > upper`: that is a bug in the measuring, not in the measured.
    pub fn new(lower_ns: Nanos, upper_ns: Option<Nanos>) -> Self {
        if let Some(upper) = upper_ns {
            assert!(lower_ns <= upper, "an interval's lower bound {lower_ns:?} is above its upper bound {upper:?}");
        }
        Self { lower_ns, upper_ns }
    }

    /// The worse of two, bound by bound: an open upper bound stays open.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let upper_ns = match (self.upper_ns, other.upper_ns) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
        Self { lower_ns: self.lower_ns.max(other.lower_ns), upper_ns }
    }

    /// Both bounds moved up by a known length.
    #[must_use]
    pub fn plus(self, by: Nanos) -> Self {
        Self { lower_ns: Nanos(self.lower_ns.0 + by.0), upper_ns: self.upper_ns.map(|u| Nanos(u.0 + by.0)) }
    }

    /// The sum of two lengths, bound by bound: an open upper bound stays open.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let upper_ns = match (self.upper_ns, other.upper_ns) {
            (Some(a), Some(b)) => Some(Nanos(a.0.saturating_add(b.0))),
            _ => None,
        };
        Self { lower_ns: Nanos(self.lower_ns.0.saturating_add(other.lower_ns.0)), upper_ns }
    }

    /// Whether a length lies within.
    pub fn contains(self, length: Nanos) -> bool {
        self.lower_ns <= length && self.upper_ns.is_none_or(|u| length <= u)
    }
}

/// A point in time of which only bounds are known: it lies after `after_ns` and at `by_ns` at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// It came after this; `None` when the record does not reach back far enough.
    pub after_ns: Option<Mono>,
    /// It came at this point at the latest; `None` when it had not been seen when the record ended.
    pub by_ns: Option<Mono>,
}

impl Moment {
    /// A moment with both bounds.
    ///
    /// # Panics
    /// When `after` is later than `by`: that is a bug in the measuring.
    pub fn between(after_ns: Mono, by_ns: Mono) -> Self {
        assert!(after_ns <= by_ns, "a moment cannot come after {after_ns:?} and by {by_ns:?}");
        Self { after_ns: Some(after_ns), by_ns: Some(by_ns) }
    }

    /// A moment known exactly.
    pub fn exactly(at_ns: Mono) -> Self {
        Self { after_ns: Some(at_ns), by_ns: Some(at_ns) }
    }

    /// Whether a point lies within the bounds, both included.
    pub fn contains(self, at: Mono) -> bool {
        self.after_ns.is_none_or(|after| after <= at) && self.by_ns.is_none_or(|by| at <= by)
    }

    /// The time from `earlier` to this moment. A bound that is missing on either side leaves that bound open.
    pub fn since(self, earlier: Self) -> Interval {
        let lower_ns = match (self.after_ns, earlier.by_ns) {
            (Some(after), Some(by)) => after.since(by),
            _ => Nanos::ZERO,
        };
        let upper_ns = match (self.by_ns, earlier.after_ns) {
            (Some(by), Some(after)) => Some(by.since(after)),
            _ => None,
        };
        Interval::new(lower_ns, upper_ns)
    }

    /// The earlier of two moments of which each is known only within bounds.
    #[must_use]
    pub fn earliest(self, other: Self) -> Self {
        let after_ns = match (self.after_ns, other.after_ns) {
            (Some(a), Some(b)) => Some(a.min(b)),
            _ => None,
        };
        let by_ns = match (self.by_ns, other.by_ns) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, None) | (None, one) => one,
        };
        Self { after_ns, by_ns }
    }
}

/// Something that may not be known. Evidence that is missing is `Unknown`, never a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Known<T> {
    /// It was seen.
    Known(T),
    /// It was not seen, and why.
    Unknown(String),
}

impl<T> Known<T> {
    /// The value, when it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}
