//! The truth: what the serving process says of itself. It knows nothing of probes, and imports nothing that measures.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, Write as _};

/// A moment that lies between two readings of `CLOCK_BOOTTIME`, in nanoseconds; their distance is the truth's own
/// resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Edge {
    pub(crate) after_ns: u64,
    pub(crate) by_ns: u64,
}

/// What was done to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Accepts and reads, never answers.
    BlackHole,
    /// 200 with another body.
    WrongAnswer,
    /// 500.
    Error,
    /// One of the failures of a burst.
    Flapping,
    /// Every process of a PostgreSQL killed, and started again.
    Killed,
    /// Every process of a PostgreSQL stopped, and continued.
    Stopped,
    /// A PostgreSQL that takes no writes.
    ReadOnly,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] =
        [Self::BlackHole, Self::WrongAnswer, Self::Error, Self::Flapping, Self::Killed, Self::Stopped, Self::ReadOnly];

    /// A service that stalls is known to be down only a timeout later.
    pub(crate) fn stalls(self) -> bool {
        matches!(self, Self::BlackHole | Self::Stopped)
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::BlackHole => "black hole",
            Self::WrongAnswer => "wrong answer with 200",
            Self::Error => "500",
            Self::Flapping => "flapping",
            Self::Killed => "PostgreSQL, SIGKILL",
            Self::Stopped => "PostgreSQL, SIGSTOP",
            Self::ReadOnly => "PostgreSQL, read-only",
        }
    }
}

/// The service was not answering from `down` to `up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "a service goes down and up")]
pub(crate) struct Down {
    pub(crate) kind: Kind,
    pub(crate) down: Edge,
    pub(crate) up: Edge,
}

/// What is to be done: how long to leave the service alone, and then how long to keep it down.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) calm_ms: u64,
    pub(crate) down_ms: u64,
}

/// The clock of the truth.
pub(crate) fn now_ns() -> u64 {
    let t = clock_gettime(ClockId::Boottime);
    t.tv_sec.cast_unsigned() * 1_000_000_000 + t.tv_nsec.cast_unsigned()
}

/// Says one line to who started this process.
pub(crate) fn tell<T: Serialize>(value: &T) {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value).expect("plain data");
    out.write_all(b"\n").and_then(|()| out.flush()).expect("somebody listens");
}

/// Hears one line; `None` when who started this process is gone or has no more to say.
pub(crate) fn hear<T: for<'de> Deserialize<'de>>() -> Option<T> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).ok()?;
    (read > 0).then(|| serde_json::from_str(&line).expect("a line that was told"))
}
