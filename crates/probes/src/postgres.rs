//! What the ledger and the SQL probe share: logging in, one simple query, and what a PostgreSQL error means to a user.
//!
//! Everything is sent by the simple query protocol: one message, one round trip, also on a new connection, and also
//! through a pooler in transaction mode. All values come back as text.

use crate::ask::{Cause, Condition, Miss};
use firedrill_core::sample::Failure;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgRow, PgSeverity};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _, TypeInfo as _, ValueRef as _,
};
use std::str::FromStr as _;

/// How to log in.
#[derive(Clone)]
pub(crate) struct Login {
    options: PgConnectOptions,
}

impl Login {
    /// Reads a connection URL. The session says in `pg_stat_activity` whose it is.
    ///
    /// # Errors
    /// A sentence without the URL.
    pub(crate) fn new(probe: &str, url: &SecretString) -> Result<Self, String> {
        let wrong = || {
            "the target's URL is not one of PostgreSQL: expected `postgres://user:password@host:port/database`"
                .to_owned()
        };
        let url = url.expose_secret();
        // The parser takes any scheme.
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(wrong());
        }
        let options = PgConnectOptions::from_str(url).map_err(|_| wrong())?;
        let options = options
            .application_name(&format!("firedrill {probe}"))
            // Poolers refuse start-up parameters that they do not know.
            .extra_float_digits(None)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        Ok(Self { options })
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Miss> {
        PgConnection::connect_with(&self.options).await.map_err(|e| miss(&e, Failure::Login))
    }
}

/// The first row of what the text answers; it may hold several statements, which are one transaction.
pub(crate) async fn first_row(connection: &mut PgConnection, text: String) -> Result<Option<PgRow>, Miss> {
    let query = sqlx::raw_sql(AssertSqlSafe(text));
    // The first row is taken, and the rest is read: an acknowledgement is the end of the whole answer, the commit.
    let rows = connection.fetch_all(query).await.map_err(|e| miss(&e, Failure::Broken))?;
    Ok(rows.into_iter().next())
}

/// A column as text; `None` where it is NULL or not there. A boolean is `true` or `false`, as in SQL.
pub(crate) fn text(row: &PgRow, column: usize) -> Option<String> {
    let value = row.try_get_raw(column).ok()?;
    if value.is_null() {
        return None;
    }
    let text = value.as_str().ok()?;
    let boolean = value.type_info().name() == "BOOL";
    Some(match (boolean, text) {
        (true, "t") => "true".to_owned(),
        (true, "f") => "false".to_owned(),
        _ => text.to_owned(),
    })
}

/// Ends the session politely.
pub(crate) async fn part(connection: PgConnection) {
    // It may be cut already: then there is nobody to say goodbye to.
    let _ = connection.close().await;
}

/// What an error means to a user. `otherwise` is for what has no meaning of its own: at login another than in use.
fn miss(error: &sqlx::Error, otherwise: Failure) -> Miss {
    match error {
        sqlx::Error::Io(error) => Miss::from_io(error, otherwise),
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => told(error, otherwise),
            None => Miss::spent(otherwise, error.to_string()),
        },
        sqlx::Error::Tls(error) => Miss::spent(Failure::Login, format!("TLS: {error}")),
        // Configuration errors can quote the URL.
        sqlx::Error::Configuration(_) => Miss::spent(Failure::Login, "the connection's settings were refused"),
        other => Miss::spent(otherwise, other.to_string()),
    }
}

/// An error that the server told.
fn told(error: &PgDatabaseError, otherwise: Failure) -> Miss {
    let at_login = otherwise == Failure::Login;
    let detail = format!("{}: {}", error.code(), error.message());
    let fatal = matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    let connection = if fatal || at_login { Condition::Spent } else { Condition::Usable };
    Miss { cause: Cause::Service(failure(error.code(), at_login)), detail, connection }
}

/// What an SQLSTATE means to a user (PostgreSQL's documentation, appendix A).
fn failure(code: &str, at_login: bool) -> Failure {
    match code {
        // read_only_sql_transaction; object_not_in_prerequisite_state, as "recovery is in progress".
        "25006" | "55000" => Failure::ReadOnly,
        // cannot_connect_now: starting up, shutting down, no hot standby.
        "57P03" => Failure::Refused,
        // admin_shutdown, crash_shutdown, database_dropped, idle_session_timeout, and connection exceptions.
        "57P01" | "57P02" | "57P04" | "57P05" => Failure::Broken,
        _ if code.starts_with("08") => Failure::Broken,
        _ if at_login => Failure::Login,
        _ => Failure::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_meanings() {
        assert_eq!(failure("25006", false), Failure::ReadOnly);
        assert_eq!(failure("57P03", true), Failure::Refused);
        assert_eq!(failure("57P01", false), Failure::Broken);
        assert_eq!(failure("08006", false), Failure::Broken);
        assert_eq!(failure("28P01", true), Failure::Login);
        assert_eq!(failure("53300", true), Failure::Login);
        assert_eq!(failure("23505", false), Failure::Error);
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_printed() {
        for wrong in ["postgres://app:hunter2@host:notaport/db", "app:hunter2", ""] {
            let error = Login::new("p", &SecretString::from(wrong)).err().unwrap();
            assert!(!error.contains("hunter2") && error.contains("expected `postgres://"), "{error}");
        }
    }
}
