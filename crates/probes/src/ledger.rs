//! `ledger`: writes a row with a token of its own, and remembers whether the write was acknowledged.

use crate::ask::{Answer, Ask, Condition, Miss, Opening};
use crate::pace::{self, Pace, Views};
use crate::postgres::{self, Login};
use crate::scalar::{Name, Span};
use firedrill_core::sample::Failure;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// Writes rows as the application does, and later reads back which of them survived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ledger {
    /// A `postgres` target.
    pub target: Name,
    /// The period of the kept view, over a connection that stays; 50 ms by default.
    pub every: Option<Span>,
    /// The period of the fresh view, over a new connection each time; 100 ms by default.
    pub fresh_every: Option<Span>,
    /// How long an answer may take; 500 ms by default, at most a twentieth of the RTO.
    pub timeout: Option<Span>,
    /// Where it writes; through the service by default.
    #[serde(default)]
    pub at: At,
}

/// Where a ledger writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// Through the service, as its users do.
    #[default]
    Service,
    /// At the own address of the member that is primary when the drill begins, whatever becomes of it: as a client does that
    /// never looks again where the service leads.
    Member,
}

impl Ledger {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str = "ledger: { target: orders-db, every: 10ms, timeout: 500ms }";

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

/// How a drill writes into the ledger.
#[derive(Clone, Debug)]
pub struct Entries {
    /// The connection URL, with the application's own role: its `synchronous_commit` is what is tested.
    pub url: SecretString,
    /// The drill. With the stream and the number of the request it is the row's token, unique for ever.
    pub drill: Uuid,
    /// The number of the set's first stream in the table; stream `i` of the set writes `first_stream + i`. A drill
    /// that starts its probes again begins behind those it had.
    pub first_stream: u32,
    /// What an acknowledgement can tell, as [`crate::ledger_table::survey`] found it.
    pub evidence: Evidence,
}

/// What an acknowledgement tells about the server that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its address and its timeline.
    Full,
    /// Its address only: the functions that tell the timeline are missing here, or not for this role.
    Address,
}

impl Evidence {
    /// Two columns of text: address and timeline (8 hexadecimal digits, or nothing).
    ///
    /// The timeline is read from the name of the WAL file being written. That costs some microseconds and needs no
    /// privilege that the role `public` has not; `pg_control_checkpoint()` would need reading a file each time, and
    /// tells the timeline of the last checkpoint, which is the old one for some seconds after a promotion.
    pub(crate) fn columns(self) -> &'static str {
        match self {
            Self::Full => {
                "coalesce(host(inet_server_addr()), 'local') || ':' || coalesce(inet_server_port()::text, \
                 current_setting('port')), left(pg_walfile_name(pg_current_wal_lsn()), 8)"
            }
            Self::Address => {
                "coalesce(host(inet_server_addr()), 'local') || ':' || coalesce(inet_server_port()::text, \
                 current_setting('port')), ''"
            }
        }
    }
}

/// Writes rows.
pub(crate) struct LedgerAsk {
    login: Login,
    /// The statement up to the number, and from there on.
    before: String,
    after: String,
}

impl LedgerAsk {
    /// Reads the URL; `index` is that of the stream in its set.
    ///
    /// # Errors
    /// A sentence without secrets.
    pub(crate) fn new(probe: &str, entries: &Entries, index: usize) -> Result<Self, String> {
        let stream = u32::try_from(index).ok().and_then(|i| entries.first_stream.checked_add(i));
        let stream = stream.filter(|s| i32::try_from(*s).is_ok());
        let stream =
            stream.ok_or_else(|| format!("stream number {} + {index} is out of range", entries.first_stream))?;
        // The token is made of numbers and a UUID, so that the statement needs no parameters: one message and one round
        // trip also on a new connection, and through a pooler that cannot keep prepared statements.
        Ok(Self {
            login: Login::new(probe, &entries.url)?,
            before: format!(
                "insert into firedrill.ledger (drill, stream, seq) values ('{}', {stream}, ",
                entries.drill
            ),
            after: format!(") returning {}", entries.evidence.columns()),
        })
    }
}

impl Ask for LedgerAsk {
    type Connection = PgConnection;
    const OPENING: Opening = Opening::Patient;

    async fn connect(&self) -> Result<PgConnection, Miss> {
        self.login.connect().await
    }

    fn condition(&self, _connection: &PgConnection) -> Condition {
        // A connection that was cut is noticed by the write that fails on it, as an application's pool would.
        Condition::Usable
    }

    async fn ask(&self, connection: &mut PgConnection, seq: u64) -> Result<Answer, Miss> {
        let row = postgres::first_row(connection, format!("{}{seq}{}", self.before, self.after)).await?;
        let Some(row) = row else {
            // A rule or a trigger swallowed the row.
            return Err(Miss::told(Failure::WrongAnswer, "the insert was acknowledged without its row"));
        };
        let timeline = postgres::text(&row, 1).and_then(|hex| u32::from_str_radix(&hex, 16).ok()).unwrap_or(0);
        Ok(Answer { node: postgres::text(&row, 0), timeline, connection: Condition::Usable })
    }

    async fn part(&self, connection: PgConnection) {
        postgres::part(connection).await;
    }
}
