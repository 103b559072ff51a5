//! `tcp`: a port that accepts a connection.

use crate::probes::pace::{self, Pace};
use crate::spec::scalar::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Connects to a port. It says that something listens, no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tcp {
    /// `host:port`.
    pub address: String,
    /// The period of the kept view, over a connection that stays; 50 ms by default.
    pub every: Option<Span>,
    /// The period of the fresh view, over a new connection each time; 100 ms by default.
    pub fresh_every: Option<Span>,
    /// How long an answer may take; 500 ms by default, at most a twentieth of the RTO.
    pub timeout: Option<Span>,
}

impl Tcp {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str = "tcp: { address: \"orders.ultramarket.example:5432\" }";

    /// Its rates and its timeout.
    pub fn pace(&self) -> Pace {
        Pace {
            every: self.every.unwrap_or(pace::EVERY),
            fresh_every: Some(self.fresh_every.unwrap_or(pace::FRESH_EVERY)),
            timeout: self.timeout.unwrap_or(pace::TIMEOUT),
        }
    }
}
