//! The journal at a glance: counts, and each experiment's newest drill.

use crate::store::firings::FiringState;
use crate::store::journal::{Journal, JournalError};
use sqlx::Row as _;
use std::collections::BTreeMap;

pub(super) const SCHEMA: &str = "
create index if not exists drills_by_experiment on drills (experiment, opened_wall_ns);
create index if not exists drills_open on drills (closed) where closed = 0;
";

/// An experiment's newest reported drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The drill.
    pub drill: String,
    /// When it was opened, UTC, nanoseconds since 1970.
    pub opened_wall_ns: i64,
    /// Its verdict.
    pub verdict: String,
    /// When the newest drill that passed was opened.
    pub last_pass_ns: Option<i64>,
}

/// What the journal holds, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// By experiment.
    pub newest: BTreeMap<String, Newest>,
    /// How many drills came to each verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// How many firings came to each end.
    pub firings: BTreeMap<String, u64>,
    /// Drills that are open: under way, or left behind.
    pub open: u64,
}

impl Journal {
    /// Counts it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn overview(&self) -> Result<Overview, JournalError> {
        let mut connection = self.connection.lock().await;
        let newest = sqlx::query(
            "select d.experiment, d.drill, max(d.opened_wall_ns), d.verdict,
                (select max(p.opened_wall_ns) from drills p where p.experiment = d.experiment and p.verdict = 'PASS')
             from drills d where d.verdict is not null group by d.experiment",
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| self.database(e))?;
        let verdicts = sqlx::query("select verdict, count(*) from drills where verdict is not null group by verdict")
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        let firings = sqlx::query("select state, count(*) from firings group by state")
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        let open: (i64,) = sqlx::query_as("select count(*) from drills where closed = 0")
            .fetch_one(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let mut counted: BTreeMap<String, u64> =
            FiringState::ALL.iter().map(|state| (state.word().to_owned(), 0)).collect();
        counted.extend(firings.into_iter().map(|row| (row.get(0), count(row.get(1)))));
        let row = |row: sqlx::sqlite::SqliteRow| {
            let newest =
                Newest { drill: row.get(1), opened_wall_ns: row.get(2), verdict: row.get(3), last_pass_ns: row.get(4) };
            (row.get(0), newest)
        };
        Ok(Overview {
            newest: newest.into_iter().map(row).collect(),
            verdicts: verdicts.into_iter().map(|row| (row.get(0), count(row.get(1)))).collect(),
            firings: counted,
            open: count(open.0),
        })
    }
}
