//! Indexes and heaps, by `pg_amcheck` with every heap tuple looked up in its indexes.

use super::program::{self, Program};
use super::stage::Destination;
use super::verify::VerifyPlan;
use crate::targets::quote::said;
use firedrill_core::restore::Check;
use secrecy::ExposeSecret;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio_util::sync::CancellationToken;

const NAME: &str = "amcheck";
const EXPECTED: &str = "no corruption in any index or heap";
/// How much of what it says goes into the check, in characters.
const SAID_MAX: usize = 2_000;

/// One check over the whole database.
pub async fn check(destination: &Destination, plan: &VerifyPlan, cancel: &CancellationToken) -> Check {
    let unknown = |why: String| Check::unknown(NAME, EXPECTED, why);
    if let Err(why) = ready(destination).await {
        return unknown(why);
    }
    let (connection, password) = match &destination.superuser_connection {
        Some((connection, password)) => (connection, password),
        None => (&destination.connection, &destination.password),
    };
    let path = plan.binaries.program("pg_amcheck");
    if !path.is_file() {
        return unknown(format!("there is no {} (it comes with PostgreSQL 14)", path.display()));
    }
    let jobs = format!("--jobs={}", plan.jobs.max(1));
    let flags: [&(dyn AsRef<std::ffi::OsStr> + Sync); 4] = [&"--heapallindexed", &"--parent-check", &jobs, connection];
    let mut amcheck = Program::new(path, &flags, &plan.account, &plan.directory);
    amcheck.env = vec![
        ("PGPASSWORD".to_owned(), password.expose_secret().to_owned()),
        ("PGAPPNAME".to_owned(), "firedrill".to_owned()),
    ];
    let ended = match program::run(amcheck, Some(plan.within), cancel, |_| {}).await {
        Ok(ended) => ended,
        Err(error) => return unknown(error.to_string()),
    };
    let said: String = format!("{}\n{}", ended.stdout, ended.said).trim().chars().take(SAID_MAX).collect();
    match ended.status {
        Ok(0) => Check::answered(NAME, EXPECTED, "none, every heap tuple found in its indexes", true),
        // pg_amcheck keeps 2 for corruption, and 1 for what kept it from looking.
        Ok(2) => Check::answered(NAME, EXPECTED, said, false),
        _ => unknown(format!("pg_amcheck ended with {}: {said}", ended.how())),
    }
}

/// The extension must be in the database. A scratch's superuser makes it; elsewhere it has to be there.
async fn ready(destination: &Destination) -> Result<(), String> {
    let login = destination.superuser.as_ref().unwrap_or(&destination.login);
    let mut connection = PgConnection::connect_with(login).await.map_err(|e| said(&e))?;
    let there = sqlx::query_scalar::<_, bool>("select exists (select from pg_extension where extname = 'amcheck')");
    let is_there = there.fetch_one(&mut connection).await.map_err(|e| said(&e))?;
    if !is_there {
        if destination.superuser.is_none() {
            return Err(
                "the extension amcheck is not in the staging database, and only a superuser makes it".to_owned()
            );
        }
        sqlx::raw_sql("create extension amcheck")
            .execute(&mut connection)
            .await
            .map_err(|e| format!("the extension amcheck cannot be made: {}", said(&e)))?;
    }
    // The connection is done with; how it closes decides nothing.
    let _ = connection.close().await;
    Ok(())
}
