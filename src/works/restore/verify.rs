//! The restored copy answers: row counts, the newest canary, sequences, indexes and heaps, and the experiment's own SQL.

use super::amcheck;
use super::phase::Progress;
use super::sequences;
use super::stage::Destination;
use crate::clock::now;
use crate::faults::restore_backup::{Requirement, RestoreChecks, SqlCheck};
use crate::scratch::account::Account;
use crate::scratch::binaries::Binaries;
use crate::targets::quote::{identifier, said};
use firedrill_core::restore::{Check, Found, PhaseName, RecoveryPoint, Verified};
use firedrill_core::time::{Interval, Known, Mono, Nanos};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row, ValueRef};
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// With what, and what is asked.
#[derive(Clone, Debug)]
pub struct VerifyPlan {
    /// The questions.
    pub checks: RestoreChecks,
    /// PostgreSQL's programs, for `pg_amcheck`.
    pub binaries: Binaries,
    /// As whom they run.
    pub account: Account,
    /// Where they run.
    pub directory: PathBuf,
    /// How many at once.
    pub jobs: u16,
    /// How long one question may take.
    pub within: Duration,
    /// The moment loss is counted to.
    pub reference_wall_ns: i64,
}

/// `schema.table`, in `public` when no schema is named.
pub fn schema_and_table(name: &str) -> (String, String) {
    match name.split_once('.') {
        Some((schema, table)) => (schema.to_owned(), table.to_owned()),
        None => ("public".to_owned(), name.to_owned()),
    }
}

/// Asks everything. What cannot be asked is unknown; nothing here fails the whole.
///
/// # Errors
/// Only when the copy does not let firedrill in, with what it said.
pub async fn verify(
    destination: &Destination,
    found: &Found,
    plan: &VerifyPlan,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<(Verified, Mono), String> {
    let milliseconds = plan.within.as_millis().max(1).to_string();
    // The questions are other people's SQL: they read, and no more.
    let login = destination
        .login
        .clone()
        .options([("default_transaction_read_only", "on"), ("statement_timeout", milliseconds.as_str())]);
    let mut copy = PgConnection::connect_with(&login)
        .await
        .map_err(|e| format!("the restored copy does not let firedrill in: {}", said(&e)))?;
    let first_answer_ns = first_answer(&mut copy, &plan.checks).await?;
    let tell = |done: u64, what: &str| progress.tell(PhaseName::Verify, done, None, what);
    let mut checks = Vec::new();
    let mut rows = Vec::new();
    for (table, least) in &plan.checks.rows {
        tell(checks.len() as u64, table);
        let (check, counted) = row_count(&mut copy, table, *least).await;
        rows.extend(counted.map(|count| (table.clone(), count)));
        checks.push(check);
    }
    tell(checks.len() as u64, "the newest canary");
    let (canary, canary_check) = canary(&mut copy, plan.checks.canary.as_deref(), plan.reference_wall_ns).await;
    checks.extend(canary_check);
    if plan.checks.sequences == Requirement::Required {
        tell(checks.len() as u64, "sequences");
        checks.push(sequences::check(&mut copy).await);
    }
    for question in &plan.checks.sql {
        tell(checks.len() as u64, &question.name);
        checks.push(answer(&mut copy, question).await);
    }
    // The connection is done with; how it closes decides nothing.
    let _ = copy.close().await;
    if plan.checks.amcheck == Requirement::Required {
        tell(checks.len() as u64, "indexes and heaps");
        checks.push(amcheck::check(destination, plan, cancel).await);
    }
    let recovery_point = recovery_point(canary, found, plan.reference_wall_ns);
    Ok((Verified { checks, recovery_point, rows }, first_answer_ns))
}

/// The first question is about data, where the experiment names a table.
async fn first_answer(copy: &mut PgConnection, checks: &RestoreChecks) -> Result<Mono, String> {
    let sql = match checks.rows.keys().next() {
        Some(name) => {
            let (schema, table) = schema_and_table(name);
            format!("select exists (select from {}.{})", identifier(&schema), identifier(&table))
        }
        None => "select 1".to_owned(),
    };
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(copy).await {
        // An error of the server is an answer: what is wrong shows in the check itself.
        Ok(_) | Err(sqlx::Error::Database(_)) => Ok(now()),
        Err(error) => Err(format!("the restored copy does not answer: {}", said(&error))),
    }
}

async fn row_count(copy: &mut PgConnection, name: &str, least: u64) -> (Check, Option<u64>) {
    let (schema, table) = schema_and_table(name);
    let title = format!("rows of {name}");
    let expected = format!("at least {least}");
    let sql = format!("select count(*) from {}.{}", identifier(&schema), identifier(&table));
    match sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql)).fetch_one(copy).await {
        Ok(count) => {
            let count = u64::try_from(count).unwrap_or(0);
            (Check::answered(title, expected, count.to_string(), count >= least), Some(count))
        }
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42P01") => {
            (Check::answered(title, expected, "no such table", false), None)
        }
        Err(error) => (Check::unknown(title, expected, said(&error)), None),
    }
}

/// The newest canary, in nanoseconds since 1970. A canary that is declared and not there fails; one that cannot be read
/// is unknown.
async fn canary(copy: &mut PgConnection, query: Option<&str>, reference_wall_ns: i64) -> (Known<i64>, Option<Check>) {
    const NAME: &str = "newest canary";
    const EXPECTED: &str = "a time before the drill";
    let Some(query) = query else {
        return (Known::Unknown("the experiment declares no canary".to_owned()), None);
    };
    let query = query.trim().trim_end_matches(';');
    let sql = format!("select (extract(epoch from c.newest) * 1000000)::bigint from ({query}) as c (newest)");
    let unknown = |why: String| (Known::Unknown(why.clone()), Some(Check::unknown(NAME, EXPECTED, why)));
    let micros = match sqlx::query_scalar::<_, Option<i64>>(AssertSqlSafe(sql)).fetch_optional(copy).await {
        Ok(Some(Some(micros))) => micros,
        Ok(_) => {
            let why = "the query found no canary".to_owned();
            return (Known::Unknown(why.clone()), Some(Check::answered(NAME, EXPECTED, why, false)));
        }
        Err(error) => return unknown(said(&error)),
    };
    let wall_ns = micros.saturating_mul(1_000);
    let shown = jiff::Timestamp::from_microsecond(micros).map_or_else(|e| e.to_string(), |t| t.to_string());
    // A later canary was not written by the past: the clock of the writer, or the query, is wrong.
    let is_past = wall_ns <= reference_wall_ns;
    (Known::Known(wall_ns), Some(Check::answered(NAME, EXPECTED, shown, is_past)))
}

async fn answer(copy: &mut PgConnection, question: &SqlCheck) -> Check {
    let SqlCheck { name, query, expect } = question;
    let row = sqlx::raw_sql(AssertSqlSafe(query.clone())).fetch_optional(copy).await;
    let text = match row {
        Ok(None) => "no row".to_owned(),
        Ok(Some(row)) => match row.try_get_raw(0) {
            Ok(value) if value.is_null() => "null".to_owned(),
            // The simple protocol answers in text, whatever the type.
            Ok(value) => match value.as_str() {
                Ok(text) => text.to_owned(),
                Err(error) => return Check::unknown(name, expect, error.to_string()),
            },
            Err(error) => return Check::unknown(name, expect, said(&error)),
        },
        Err(sqlx::Error::Database(error)) if error.code().as_deref() != Some("57014") => {
            return Check::answered(name, expect, format!("an error: {}", error.message()), false);
        }
        Err(error) => return Check::unknown(name, expect, said(&error)),
    };
    let holds = text == *expect;
    Check::answered(name, expect, text, holds)
}

/// How far back the copy is.
fn recovery_point(newest_canary_wall_ns: Known<i64>, found: &Found, reference_wall_ns: i64) -> RecoveryPoint {
    let until = |from: i64| Nanos(u64::try_from(reference_wall_ns.saturating_sub(from)).unwrap_or(0));
    let (loss, method) = match (&newest_canary_wall_ns, &found.started_wall_ns) {
        (Known::Known(canary), Known::Known(started)) => {
            // The header has whole seconds.
            let latest = (*canary).max(started.saturating_add(1_000_000_000));
            let loss = Interval::new(until(latest), Some(until(*canary)));
            (loss, "from the newest canary, or at best from the start of the dump, to the opening of the drill")
        }
        (Known::Known(canary), Known::Unknown(_)) => {
            let latest = (*canary).max(found.object.completed_wall_ns.saturating_add(1_000_000_000));
            let loss = Interval::new(until(latest), Some(until(*canary)));
            (loss, "from the newest canary, or at best from the end of the upload, to the opening of the drill")
        }
        (Known::Unknown(_), _) => {
            (found.age, "without a canary: from the start of the dump to the opening of the drill")
        }
    };
    RecoveryPoint { newest_canary_wall_ns, loss, method: method.to_owned() }
}
