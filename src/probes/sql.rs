//! `sql`: a query whose answer is known.

use crate::probes::pace::{self, Pace};
use crate::spec::scalar::{Name, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks a database a question over the application's own path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sql {
    /// A `postgres` target.
    pub target: Name,
    /// The query; its first row's first column is the answer.
    pub query: String,
    /// The answer expected, as text; any answer by default.
    pub expect: Option<String>,
    /// The period of the kept view, over a connection that stays; 50 ms by default.
    pub every: Option<Span>,
    /// The period of the fresh view, over a new connection each time; 100 ms by default.
    pub fresh_every: Option<Span>,
    /// How long an answer may take; 500 ms by default, at most a twentieth of the RTO.
    pub timeout: Option<Span>,
}

impl Sql {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str =
        "sql: { target: orders-db, query: \"select count(*) > 0 from products\", expect: \"true\" }";

    /// Its rates and its timeout.
    pub fn pace(&self) -> Pace {
        Pace {
            every: self.every.unwrap_or(pace::EVERY),
            fresh_every: Some(self.fresh_every.unwrap_or(pace::FRESH_EVERY)),
            timeout: self.timeout.unwrap_or(pace::TIMEOUT),
        }
    }
}
