//! `http`: a request whose answer is known.

use crate::probes::pace::{self, Pace};
use crate::spec::scalar::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks a web service what a user would ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// The URL.
    pub url: String,
    /// The status expected; 200 by default.
    pub status: Option<u16>,
    /// A JSON pointer into the body and the value expected there.
    #[serde(default)]
    pub json: std::collections::BTreeMap<String, serde_json::Value>,
    /// Text that the body must hold.
    pub body: Option<String>,
    /// The slowest answer that still counts as right.
    pub latency: Option<Span>,
    /// The period of the kept view, over a connection that stays; 50 ms by default.
    pub every: Option<Span>,
    /// The period of the fresh view, over a new connection each time; 100 ms by default.
    pub fresh_every: Option<Span>,
    /// How long an answer may take; 500 ms by default, at most a twentieth of the RTO.
    pub timeout: Option<Span>,
}

impl Http {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str =
        "http: { url: \"https://shop.ultramarket.example/v2/products?limit=10\", status: 200, every: 50ms }";

    /// Its rates and its timeout.
    pub fn pace(&self) -> Pace {
        Pace {
            every: self.every.unwrap_or(pace::EVERY),
            fresh_every: Some(self.fresh_every.unwrap_or(pace::FRESH_EVERY)),
            timeout: self.timeout.unwrap_or(pace::TIMEOUT),
        }
    }
}
