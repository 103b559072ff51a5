//! What became of every time at which an experiment was due: one row each, made once, whoever finds it due.

use crate::store::journal::{Journal, JournalError};
use sqlx::{Connection as _, Row as _};
use std::collections::BTreeMap;

pub(super) const SCHEMA: &str = "
create table if not exists firings (
    key text not null, planned_ns integer not null, due_ns integer not null, experiment text not null,
    environment text not null, state text not null, why text not null default '', drill text,
    decided_ns integer not null, primary key (key, planned_ns)) strict, without rowid;
create index if not exists firings_by_time on firings (planned_ns);
create table if not exists considered (key text primary key, until_ns integer not null) strict, without rowid;
";

/// Where a firing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FiringState {
    /// It has a drill's id, and is to begin or under way: whether that drill was opened is the journal's to say.
    Begun,
    /// Its drill was closed and reported.
    Executed,
    /// It did not begin, for a reason that was known before.
    Skipped,
    /// Nobody was there to begin it in time.
    Missed,
    /// Its drill could not even be opened.
    Failed,
}

impl FiringState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Begun, Self::Executed, Self::Skipped, Self::Missed, Self::Failed];

    /// The word in the store and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Executed => "executed",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Failed => "failed",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// One firing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiringRow {
    /// Whose: the experiment, and where it runs.
    pub key: String,
    /// The time in the schedule, UTC, nanoseconds since 1970.
    pub planned_ns: i64,
    /// When it was to begin.
    pub due_ns: i64,
    /// The experiment.
    pub experiment: String,
    /// The environment.
    pub environment: String,
    /// Where it stands.
    pub state: FiringState,
    /// Why it was not executed; empty otherwise.
    pub why: String,
    /// The id of its drill.
    pub drill: Option<String>,
    /// When that was decided.
    pub decided_ns: i64,
}

impl Journal {
    /// Records what becomes of firings, and that all of `key` that were due until a time have been considered; both or
    /// neither. Those that were recorded before, here or by another runner, are left as they are: only the ones that are
    /// new come back.
    ///
    /// # Errors
    /// When it cannot be written; then nothing of it counts.
    pub async fn consider(
        &self,
        key: &str,
        until_ns: i64,
        firings: Vec<FiringRow>,
    ) -> Result<Vec<FiringRow>, JournalError> {
        let mut connection = self.connection.lock().await;
        let mut tx = connection.begin_with("begin immediate").await.map_err(|e| self.database(e))?;
        let mut fresh = Vec::with_capacity(firings.len());
        for row in firings {
            let inserted = sqlx::query(
                "insert into firings (key, planned_ns, due_ns, experiment, environment, state, why, drill, decided_ns)
                 values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
            )
            .bind(&row.key)
            .bind(row.planned_ns)
            .bind(row.due_ns)
            .bind(&row.experiment)
            .bind(&row.environment)
            .bind(row.state.word())
            .bind(&row.why)
            .bind(&row.drill)
            .bind(row.decided_ns)
            .execute(&mut *tx)
            .await
            .map_err(|e| self.database(e))?;
            if inserted.rows_affected() == 1 {
                fresh.push(row);
            }
        }
        sqlx::query(
            "insert into considered (key, until_ns) values (?, ?)
             on conflict (key) do update set until_ns = max(until_ns, excluded.until_ns)",
        )
        .bind(key)
        .bind(until_ns)
        .execute(&mut *tx)
        .await
        .map_err(|e| self.database(e))?;
        tx.commit().await.map_err(|e| self.database(e))?;
        Ok(fresh)
    }

    /// Until when the firings of each key have been considered, UTC, nanoseconds since 1970.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn considered(&self) -> Result<BTreeMap<String, i64>, JournalError> {
        let mut connection = self.connection.lock().await;
        let rows = sqlx::query("select key, until_ns from considered")
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        Ok(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Records how a firing that was begun has ended.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn end_firing(
        &self,
        key: &str,
        planned_ns: i64,
        state: FiringState,
        why: &str,
    ) -> Result<(), JournalError> {
        let mut connection = self.connection.lock().await;
        sqlx::query("update firings set state = ?, why = ? where key = ? and planned_ns = ? and state = 'begun'")
            .bind(state.word())
            .bind(why)
            .bind(key)
            .bind(planned_ns)
            .execute(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        Ok(())
    }

    /// The firings that were begun and of which no end is recorded, the oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn begun_firings(&self) -> Result<Vec<FiringRow>, JournalError> {
        self.firing_rows("where state = 'begun' order by planned_ns, key", i64::MAX).await
    }

    /// The newest firings, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn firings(&self, most: usize) -> Result<Vec<FiringRow>, JournalError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.firing_rows("order by planned_ns desc, key", most).await
    }

    async fn firing_rows(&self, which: &'static str, most: i64) -> Result<Vec<FiringRow>, JournalError> {
        let columns = "key, planned_ns, due_ns, experiment, environment, state, why, drill, decided_ns";
        let mut connection = self.connection.lock().await;
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("select {columns} from firings {which} limit ?")))
            .bind(most)
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        let row = |row: sqlx::sqlite::SqliteRow| FiringRow {
            key: row.get(0),
            planned_ns: row.get(1),
            due_ns: row.get(2),
            experiment: row.get(3),
            environment: row.get(4),
            // A word of a newer version is at least not under way.
            state: FiringState::of(row.get(5)).unwrap_or(FiringState::Failed),
            why: row.get(6),
            drill: row.get(7),
            decided_ns: row.get(8),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// When each experiment passed last, UTC, nanoseconds since 1970.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn last_passes(&self) -> Result<BTreeMap<String, i64>, JournalError> {
        let mut connection = self.connection.lock().await;
        let rows = sqlx::query(
            "select experiment, max(opened_wall_ns) from drills where verdict = 'PASS' group by experiment",
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| self.database(e))?;
        Ok(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
