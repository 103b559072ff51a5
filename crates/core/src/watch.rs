//! The time in which a drill watched: from before its injection until nobody looked any longer.

use crate::time::Mono;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The injection of the (first) fault, bracketed by its request and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Injection {
    /// When the request that injects was about to be sent.
    pub request_ns: Mono,
    /// When its reply had arrived.
    pub reply_ns: Mono,
}

/// Why nobody looked any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WatchEnd {
    /// All that was waited for had been seen.
    Satisfied,
    /// The deadline was reached.
    Deadline,
    /// A guard, a person or a crash ended it.
    Cut,
}

/// The time in which a drill watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Watch {
    /// The injection; `None` when nothing was injected (a restore drill), and the whole record counts.
    pub injection: Option<Injection>,
    /// When observing ended.
    pub ended_ns: Mono,
    /// Why it ended.
    pub end: WatchEnd,
}
