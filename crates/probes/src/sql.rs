//! `sql`: a query whose answer is known.

use crate::ask::{Answer, Ask, Condition, Miss, Opening};
use crate::pace::{self, Pace, Views};
use crate::postgres::{self, Login};
use crate::scalar::{Name, Span};
use firedrill_core::sample::Failure;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

/// Asks a database a question over the application's own path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sql {
    /// A `postgres` target.
    pub target: Name,
    /// The query; its first row's first column is the answer. It runs in a read-only transaction.
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

    /// The target it asks, when it names one of the estate.
    pub fn target(&self) -> Option<&Name> {
        Some(&self.target)
    }

    /// Its rates and its timeout.
    pub fn pace(&self) -> Pace {
        Pace {
            every: self.every.unwrap_or(pace::EVERY),
            fresh_every: Some(self.fresh_every.unwrap_or(pace::FRESH_EVERY)),
            timeout: self.timeout.unwrap_or(pace::TIMEOUT),
            views: Views::KeptAndFresh,
        }
    }
}

/// Asks a database a question.
pub(crate) struct SqlAsk {
    login: Login,
    text: String,
    expect: Option<String>,
}

impl SqlAsk {
    /// Reads the URL.
    ///
    /// # Errors
    /// A sentence without secrets.
    pub(crate) fn new(probe: &str, url: &SecretString, spec: &Sql) -> Result<Self, String> {
        if spec.query.trim().is_empty() {
            return Err("the query is empty".to_owned());
        }
        // Several statements in one message are one transaction and one round trip, and the first makes it read-only:
        // a probe that asks must not be able to change anything, whatever its query says or calls.
        let text = format!("set transaction read only;\n{}", spec.query);
        Ok(Self { login: Login::new(probe, url)?, text, expect: spec.expect.clone() })
    }

    /// Holds the answer against what is expected.
    fn judge(&self, found: Option<&str>) -> Result<(), String> {
        match (found, self.expect.as_deref()) {
            (_, None) => Ok(()),
            (Some(found), Some(expected)) if found == expected => Ok(()),
            (Some(_), Some(expected)) => Err(format!("the answer is not `{expected}`")),
            (None, Some(expected)) => Err(format!("no row or NULL; expected `{expected}`")),
        }
    }
}

impl Ask for SqlAsk {
    type Connection = PgConnection;
    const OPENING: Opening = Opening::Patient;

    async fn connect(&self) -> Result<PgConnection, Miss> {
        self.login.connect().await
    }

    fn condition(&self, _connection: &PgConnection) -> Condition {
        Condition::Usable
    }

    async fn ask(&self, connection: &mut PgConnection, _seq: u64) -> Result<Answer, Miss> {
        let row = postgres::first_row(connection, self.text.clone()).await?;
        let found = row.as_ref().and_then(|row| postgres::text(row, 0));
        self.judge(found.as_deref()).map_err(|detail| Miss::told(Failure::WrongAnswer, detail))?;
        Ok(Answer { node: None, timeline: 0, connection: Condition::Usable })
    }

    async fn part(&self, connection: PgConnection) {
        postgres::part(connection).await;
    }
}
