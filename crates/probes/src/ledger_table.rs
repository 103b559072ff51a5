//! The ledger's table: how it is made, what a role may do with it, what it holds, and how it is purged.

use crate::ledger::Evidence;
use sqlx::postgres::{PgConnection, PgDatabaseError};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use thiserror::Error;
use uuid::Uuid;

/// Rows of one `delete`: short transactions, so that replicas and vacuum keep up.
const PURGE_ROWS: u32 = 5_000;
/// Rows whose stream is this were written to prove that a node takes writes; they are no part of the ledger.
const PROOF_STREAM: i32 = -1;
/// Where [`create`] is serialised: two runners that create the same schema at once would collide.
const CREATE_LOCK: i64 = 0x6669_7265_6472_696c;

/// Something that was asked of the ledger's table did not work.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The database said no.
    #[error("the ledger: {doing} failed: {source}; {advice}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What to do about it.
        advice: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// A table of that name is there and is not durable.
    #[error("firedrill.ledger is an unlogged table, which a crash empties: drop it, or `alter table … set logged`")]
    Unlogged,
    /// The server answers and takes no writes.
    #[error("{node} is read-only or in recovery: what is read there need not be what the primary holds")]
    NotWritable {
        /// Its address.
        node: String,
    },
}

/// The SQL that makes the table, as it is printed, for a person to run who may. It changes nothing that is there.
///
/// The drill, the stream and the number are the token of a write; the primary key keeps a token from being written
/// twice. The table is an ordinary one: an unlogged one would not be replicated.
pub fn ddl() -> &'static str {
    "create schema if not exists firedrill;
create table if not exists firedrill.ledger (
    drill   uuid        not null,
    stream  integer     not null,
    seq     bigint      not null,
    written timestamptz not null default clock_timestamp(),
    primary key (drill, stream, seq)
);
"
}

/// What the ledger's role finds on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Whether the table is there.
    pub table: Table,
    /// Whether the server takes writes.
    pub writable: Writable,
    /// The session's `synchronous_commit`, as the application's role has it.
    pub synchronous_commit: String,
    /// The names in `synchronous_standby_names`; empty when nothing is waited for.
    pub synchronous_standby_names: String,
    /// What an acknowledgement can tell.
    pub evidence: Evidence,
    /// The server's address and port.
    pub node: String,
    /// The timeline, where it can be told.
    pub timeline: Option<u32>,
}

/// Whether the ledger's table is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// It is not.
    Missing,
    /// It is, and this role may insert into it and read it.
    Usable,
    /// It is, and this role may not.
    Forbidden,
}

/// Whether a server takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writable {
    /// It says so.
    Yes,
    /// It is in recovery, or sessions begin read-only.
    No,
}

fn failed(doing: &'static str, advice: &'static str) -> impl FnOnce(sqlx::Error) -> LedgerError {
    move |source| LedgerError::Database { doing, advice, source }
}

/// Looks; changes nothing.
pub async fn survey(connection: &mut PgConnection) -> Result<Survey, LedgerError> {
    let read = failed("looking at the server", "check the target's URL and role");
    // By the catalog, since `to_regclass` is an error for a role that may not look into the schema.
    let sql = "select case when t.oid is null then 'missing'
                           when has_schema_privilege(t.relnamespace, 'usage')
                            and has_table_privilege(t.oid, 'insert')
                            and has_table_privilege(t.oid, 'select') then 'usable'
                           else 'forbidden' end,
                      t.relpersistence::text,
                      pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool,
                      current_setting('synchronous_commit'),
                      current_setting('synchronous_standby_names', true)
               from (values (1)) one left join
                    (select c.oid, c.relnamespace, c.relpersistence
                     from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = 'firedrill' and c.relname = 'ledger') t on true";
    let row = sqlx::query(sql).persistent(false).fetch_one(&mut *connection).await.map_err(read)?;
    let word = |column: usize| row.try_get::<Option<String>, _>(column).ok().flatten().unwrap_or_default();
    if word(1) == "u" {
        return Err(LedgerError::Unlogged);
    }
    let read_only = row.try_get::<bool, _>(2).map_err(failed("looking at the server", "this is a bug"))?;
    let (node, timeline, evidence) = identity(connection).await?;
    Ok(Survey {
        table: match word(0).as_str() {
            "missing" => Table::Missing,
            "usable" => Table::Usable,
            _ => Table::Forbidden,
        },
        writable: if read_only { Writable::No } else { Writable::Yes },
        synchronous_commit: word(3),
        synchronous_standby_names: word(4),
        evidence,
        node,
        timeline,
    })
}

/// The address and the timeline, and whether an acknowledgement can tell them.
async fn identity(connection: &mut PgConnection) -> Result<(String, Option<u32>, Evidence), LedgerError> {
    for evidence in [Evidence::Full, Evidence::Address] {
        let sql = format!("select {}", evidence.columns());
        match sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *connection).await {
            Ok(row) => {
                let node = row.try_get::<String, _>(0).unwrap_or_default();
                let hex = row.try_get::<String, _>(1).unwrap_or_default();
                return Ok((node, u32::from_str_radix(&hex, 16).ok(), evidence));
            }
            // No such function, no right to it, not built in here, or a standby, which has no WAL of its own.
            Err(error) if evidence == Evidence::Full && matches!(code(&error), Some("42883" | "42501" | "0A000")) => {}
            Err(error) if evidence == Evidence::Full && code(&error) == Some("55000") => {
                let sql = format!("select {}", Evidence::Address.columns());
                let row = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *connection).await;
                let row = row.map_err(failed("asking for the server's address", "check the target's URL and role"))?;
                return Ok((row.try_get::<String, _>(0).unwrap_or_default(), None, Evidence::Full));
            }
            Err(error) => return Err(failed("asking for the server's address", "check the target's URL")(error)),
        }
    }
    unreachable!("the address alone is an answer or an error")
}

fn code(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>()).map(PgDatabaseError::code)
}

/// Makes the table where it is missing, by [`ddl`].
pub async fn create(connection: &mut PgConnection) -> Result<(), LedgerError> {
    let create = failed("creating the table", "run the printed SQL as a role that may create a schema");
    // One message is one transaction: `if not exists` alone does not keep two sessions from colliding.
    let sql = format!("select pg_advisory_xact_lock({CREATE_LOCK});\n{}", ddl());
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map_err(create)?;
    Ok(())
}

/// Makes the table where it is missing, and says of the one made here whose it is, in its comment: both or neither. A table
/// that somebody else made meanwhile keeps its own.
pub async fn create_marked(connection: &mut PgConnection, mark: &str) -> Result<(), LedgerError> {
    let create = failed("creating the table", "run the printed SQL as a role that may create a schema");
    let mark = mark.replace('\'', "''");
    let sql = format!(
        "select pg_advisory_xact_lock({CREATE_LOCK});
        do $ledger$ begin
            if not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                           where n.nspname = 'firedrill' and c.relname = 'ledger') then
                {ddl}
                comment on table firedrill.ledger is '{mark}';
            end if;
        end $ledger$;",
        ddl = ddl()
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map_err(create)?;
    Ok(())
}

/// Waits until no session is making the table: one whose client died may still be.
pub async fn await_creation(connection: &mut PgConnection) -> Result<(), LedgerError> {
    let wait = failed("waiting for a session that makes the table", "end that session");
    let sql = format!("select pg_advisory_xact_lock({CREATE_LOCK})");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop).map_err(wait)
}

/// What is in the ledger of one drill: for each stream the numbers that are there, as runs without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// Ascending runs by the stream's number in the table.
    pub runs: BTreeMap<u32, Vec<RangeInclusive<u64>>>,
}

impl ReadBack {
    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.runs.values().flatten().map(|run| run.end() - run.start() + 1).sum()
    }

    /// Whether a token is there.
    pub fn holds(&self, stream: u32, seq: u64) -> bool {
        let runs = self.runs.get(&stream).map_or(&[][..], Vec::as_slice);
        let next = runs.partition_point(|run| *run.end() < seq);
        runs.get(next).is_some_and(|run| run.contains(&seq))
    }
}

/// Reads the ledger of a drill. The server folds the rows into runs, so that a million rows without a loss are one.
///
/// Read twice, and only behind [`prove_writable`] on the same connection: a standby, or a primary that is not one any
/// longer, holds something else.
pub async fn read_back(connection: &mut PgConnection, drill: Uuid) -> Result<ReadBack, LedgerError> {
    let read = || failed("reading back", "keep the table; the read can be repeated");
    // Numbers minus their rank are equal within a run.
    let sql = format!(
        "select stream, min(seq), max(seq)
         from (select stream, seq, seq - row_number() over (partition by stream order by seq) as run
               from firedrill.ledger where drill = '{drill}' and stream >= 0) numbered
         group by stream, run order by stream, min(seq)"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut *connection).await.map_err(read())?;
    let mut back = ReadBack::default();
    for row in rows {
        let stream = u32::try_from(row.try_get::<i32, _>(0).map_err(read())?).unwrap_or(u32::MAX);
        let bound = |column: usize| row.try_get::<i64, _>(column).map(|n| u64::try_from(n).unwrap_or(u64::MAX));
        let run = bound(1).map_err(read())?..=bound(2).map_err(read())?;
        back.runs.entry(stream).or_default().push(run);
    }
    Ok(back)
}

/// A write that a node took: its address, and its timeline where it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteProof {
    /// Its address and port.
    pub node: String,
    /// Its timeline.
    pub timeline: Option<u32>,
}

/// Proves that the node behind a connection takes writes, by one that is committed and then removed.
pub async fn prove_writable(
    connection: &mut PgConnection,
    drill: Uuid,
    evidence: Evidence,
) -> Result<WriteProof, LedgerError> {
    let advice = "reading back needs a primary that takes writes";
    let proof = format!("drill = '{drill}' and stream = {PROOF_STREAM}");
    let seq = format!("(select coalesce(max(seq), -1) + 1 from firedrill.ledger where {proof})");
    let columns = evidence.columns();
    let sql = format!(
        "insert into firedrill.ledger (drill, stream, seq) values ('{drill}', {PROOF_STREAM}, {seq}) returning {columns}"
    );
    let wrote = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    let row = match wrote.fetch_one(&mut *connection).await {
        Ok(row) => row,
        Err(error) if code(&error) == Some("25006") => {
            let (node, _, _) = identity(connection).await?;
            return Err(LedgerError::NotWritable { node });
        }
        Err(error) => return Err(failed("proving that the server takes writes", advice)(error)),
    };
    let node = row.try_get::<String, _>(0).unwrap_or_default();
    let hex = row.try_get::<String, _>(1).unwrap_or_default();
    let remove = sqlx::query(AssertSqlSafe(format!("delete from firedrill.ledger where {proof}"))).persistent(false);
    remove.execute(&mut *connection).await.map_err(failed("removing the proof of writing", advice))?;
    Ok(WriteProof { node, timeline: u32::from_str_radix(&hex, 16).ok() })
}

/// Removes the rows of a drill, and says how many they were.
pub async fn purge(connection: &mut PgConnection, drill: Uuid) -> Result<u64, LedgerError> {
    let sql = format!(
        "delete from firedrill.ledger where ctid = any (array(
             select ctid from firedrill.ledger where drill = '{drill}' limit {PURGE_ROWS}))"
    );
    let mut removed = 0;
    loop {
        let delete = sqlx::query(AssertSqlSafe(sql.clone())).persistent(false).execute(&mut *connection).await;
        let rows = delete
            .map_err(failed("purging", "the role needs `delete` on firedrill.ledger; the rows stay until then"))?
            .rows_affected();
        removed += rows;
        if rows == 0 {
            return Ok(removed);
        }
    }
}

/// Drops the table, when it holds no rows of anybody; says whether it did. For a drill that created it.
pub async fn drop_if_empty(connection: &mut PgConnection) -> Result<Dropped, LedgerError> {
    let sql = "do $$
        begin
            lock table firedrill.ledger in access exclusive mode;
            if not exists (select from firedrill.ledger) then
                drop table firedrill.ledger;
                drop schema firedrill;
            end if;
        end $$";
    // What is in the way is told by the look afterwards, whoever put it there.
    let done = connection.execute(sqlx::raw_sql(sql)).await;
    if let Err(error) = done
        && !matches!(code(&error), Some("42P01" | "3F000"))
    {
        return Err(failed("dropping the table", "it stays; drop schema firedrill when nothing uses it")(error));
    }
    let gone = "select not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                                   where n.nspname = 'firedrill' and c.relname = 'ledger')";
    let look = sqlx::query(gone).persistent(false);
    let row = look.fetch_one(&mut *connection).await.map_err(failed("looking whether it is gone", "look again"))?;
    let gone = row.try_get::<bool, _>(0).unwrap_or(false);
    Ok(if gone { Dropped::Gone } else { Dropped::InUse })
}

/// Whether the table is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is.
    Gone,
    /// It holds rows of another drill, and stays.
    InUse,
}
