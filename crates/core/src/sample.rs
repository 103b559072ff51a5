//! What a probe asked, when, and what came back: the raw evidence of every measured figure.

use crate::time::{Mono, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a probe asks over a connection that stays, or over a new one (DNS, pools, logins).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// One connection, kept for as long as it lives.
    Kept,
    /// A new connection for each request.
    Fresh,
}

impl View {
    /// The word in reports and files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Fresh => "fresh",
        }
    }
}

/// One stream of samples: a probe's name in the estate and one of its two views.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Stream {
    /// The probe's name in the estate.
    pub probe: String,
    /// Which of its views.
    pub view: View,
}

/// What a stream is and how it asked; needed to read its samples and to bound what they prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamInfo {
    /// Which stream.
    pub stream: Stream,
    /// The probe's kind by its registered word: `ledger`, `sql`, `http`, `tcp`.
    pub kind: String,
    /// The time between two intended send times.
    pub period_ns: Nanos,
    /// How long an answer may take before the sample counts as failed.
    pub timeout_ns: Nanos,
    /// For people: what is asked (a URL, a query, `host:port`), without secrets.
    pub asks: String,
    /// Why this stream does not count towards the recovery time, if it does not.
    pub excluded: Option<String>,
}

/// Why a request was not answered correctly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// The connection was refused or could not be routed.
    Refused,
    /// No correct answer within the timeout.
    TimedOut,
    /// The connection broke while in use.
    Broken,
    /// The name could not be resolved.
    Dns,
    /// TLS or login failed.
    Login,
    /// An answer that says it is an error (HTTP 4xx or 5xx, a SQL error).
    Error,
    /// An answer with the right status and the wrong content.
    WrongAnswer,
    /// A write was refused because the server is read-only or in recovery.
    ReadOnly,
    /// A correct answer, slower than the latency the probe allows.
    TooSlow,
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Answered correctly within the timeout. For a ledger write this is the acknowledgement.
    Ok {
        /// Which server answered: an index into the stream's table of nodes; 0 when the probe cannot tell.
        node: u16,
        /// The PostgreSQL timeline that acknowledged; 0 when the probe cannot tell.
        timeline: u32,
    },
    /// Not answered correctly. A ledger write may or may not have happened.
    Failed(Failure),
    /// Not asked: every slot was busy, or the probe itself stood still. It proves nothing, so it widens bounds.
    Unknown,
}

/// One request at its intended time. `due ≤ sent ≤ done` always holds; for [`Outcome::Unknown`] all three are `due`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The number of the request within its stream, from 0, without gaps. A ledger write's token is made of it.
    pub seq: u64,
    /// When it was to be sent, fixed in advance (open loop).
    pub due_ns: Mono,
    /// When it was sent. `sent - due` is the probe's own lateness.
    pub sent_ns: Mono,
    /// When its outcome was known.
    pub done_ns: Mono,
    /// What became of it.
    pub outcome: Outcome,
}
