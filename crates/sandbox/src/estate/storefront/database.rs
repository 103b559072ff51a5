//! The services' small pool, with deadlines of their own: a stalled database must not stall its clients for ever.

use std::{
    future::Future,
    pin::Pin,
    str::FromStr as _,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sqlx::{
    PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use crate::estate::credentials::Password;

/// How long a request waits for a connection.
const ACQUIRE_WITHIN: Duration = Duration::from_millis(800);
/// How long a request's statements may take together.
const ANSWER_WITHIN: Duration = Duration::from_millis(800);
/// Connections a process keeps; ten processes share one small server.
const CONNECTIONS_MAX: u32 = 2;

/// Why a request got no answer from the database.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// Nothing within the deadline.
    #[error("the database did not answer within {0:?}")]
    Late(Duration),
    /// It refused.
    #[error("the database refused: {0}")]
    Sql(#[from] sqlx::Error),
}

/// A future over a borrowed connection.
pub(super) type OnConnection<'c, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'c>>;

/// A pool that connects when first asked.
pub(super) struct Database {
    pool: PgPool,
    answered: AtomicBool,
}

impl Database {
    pub(super) fn connect_lazily(url: &str, password: &Password) -> Result<Self, String> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| "DATABASE_URL is not a PostgreSQL URL".to_owned())?
            .password(password.reveal())
            .ssl_mode(sqlx::postgres::PgSslMode::Disable)
            .statement_cache_capacity(16);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_WITHIN)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self { pool, answered: AtomicBool::new(false) })
    }

    /// Whether it ever answered; asks once more if not.
    pub(super) async fn has_answered(&self) -> bool {
        if self.answered.load(Ordering::Relaxed) {
            return true;
        }
        let ok =
            self.run(|connection| Box::pin(async { sqlx::query("SELECT 1").execute(connection).await })).await.is_ok();
        self.answered.fetch_or(ok, Ordering::Relaxed);
        ok
    }

    /// Runs statements on one connection within the deadline. A connection that failed or was late is closed: what
    /// it would answer next is not known. Nothing is tried twice: a statement may have taken effect.
    pub(super) async fn run<T, F>(&self, statements: F) -> Result<T, DatabaseError>
    where
        F: for<'c> FnOnce(&'c mut PgConnection) -> OnConnection<'c, T>,
    {
        let mut connection = self.pool.acquire().await?;
        let outcome = match timeout(ANSWER_WITHIN, statements(&mut connection)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(DatabaseError::Sql(error)),
            Err(_) => Err(DatabaseError::Late(ANSWER_WITHIN)),
        };
        let reusable = match &outcome {
            Ok(_) | Err(DatabaseError::Sql(sqlx::Error::RowNotFound)) => true,
            // The server refused a statement in order: the session is still in step.
            Err(DatabaseError::Sql(sqlx::Error::Database(error))) => {
                error.code().is_none_or(|code| !code.starts_with("57"))
            }
            Err(_) => false,
        };
        if !reusable {
            connection.close_on_drop();
        }
        outcome
    }
}
