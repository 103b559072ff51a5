//! Writes the heartbeat row through the database service, as the shop would: what a restored copy's age is read from.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How often a row is written while the database answers.
pub const BEAT_EVERY: Duration = Duration::from_millis(250);
/// Rows kept: more than half an hour of beats.
const KEEP_ROWS: i64 = 8_000;
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Beats until cancelled, connecting again after every failure.
pub async fn run(options: PgConnectOptions, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(BEAT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut connection = None;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        connection = match connection.take() {
            Some(open) => beat(open).await,
            None => match timeout(ANSWER_WITHIN, PgConnection::connect_with(&options)).await {
                Ok(Ok(open)) => beat(open).await,
                Ok(Err(_)) | Err(_) => None,
            },
        };
    }
}

/// Writes one beat; gives the connection back only while it is good.
async fn beat(mut connection: PgConnection) -> Option<PgConnection> {
    let write = sqlx::query("WITH beat AS (INSERT INTO heartbeat DEFAULT VALUES RETURNING id) DELETE FROM heartbeat USING beat WHERE heartbeat.id < beat.id - $1")
        .bind(KEEP_ROWS)
        .execute(&mut connection);
    match timeout(ANSWER_WITHIN, write).await {
        Ok(Ok(_)) => Some(connection),
        Ok(Err(_)) | Err(_) => None,
    }
}
