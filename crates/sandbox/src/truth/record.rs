//! The lines of the truth's file. All times are `CLOCK_BOOTTIME` nanoseconds.

use serde::{Deserialize, Serialize};

/// The moment of an event lies within, ends included.
pub type Interval = [u64; 2];

/// How a view asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViewKind {
    /// Over a connection that stays, made again when it breaks.
    Kept,
    /// Over a new connection each time.
    Fresh,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Record {
    /// The first line: what the file's times mean.
    Begun {
        /// When it began.
        at_ns: u64,
        /// The same moment in UTC, for people.
        wall_clock: String,
        /// An answer later than this is none.
        timeout_ns: u64,
    },
    /// The first sample failed: the service does not serve yet, or is asked the wrong question.
    NotYetUp {
        /// The service.
        service: String,
        /// The view.
        view: ViewKind,
        /// The send time of the sample.
        at_ns: u64,
        /// What it met.
        why: String,
    },
    /// A service answered for the first time in this view.
    FirstUp {
        /// The service.
        service: String,
        /// The view.
        view: ViewKind,
        /// The send time of the sample.
        at_ns: u64,
    },
    /// It stopped: between the last correctly answered request and the first that was not.
    Down {
        /// The service.
        service: String,
        /// The view.
        view: ViewKind,
        /// Send times that enclose the edge.
        down_from: Interval,
        /// What the first failed request met.
        why: String,
    },
    /// It started again: between the last failed request and the first answered one.
    Up {
        /// The service.
        service: String,
        /// The view.
        view: ViewKind,
        /// Send times that enclose the edge.
        up_at: Interval,
    },
    /// The ready endpoints of a Service changed.
    Endpoints {
        /// The Service.
        service: String,
        /// How many are ready now.
        ready: usize,
        /// When the watch said so.
        seen_ns: u64,
    },
    /// A postmaster ended, or the poll that saw it had been held up since.
    PostmasterEnded {
        /// Its pod.
        pod: String,
        /// Its process id.
        pid: i32,
        /// From the poll before to the poll that saw it.
        ended: Interval,
    },
    /// The truth itself was not running for a while: edges within are wider.
    Starved {
        /// From when to when.
        between: Interval,
    },
    /// The last line.
    Ended {
        /// When.
        at_ns: u64,
        /// Samples taken.
        samples: u64,
        /// Processor time used, user and system.
        cpu_ns: u64,
    },
}
