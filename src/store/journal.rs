//! The journal in `SQLite`: write-ahead log, `synchronous=FULL`, one transaction a batch. When `append` returns, the batch
//! survives a power cut.

use crate::store::permit::InjectPermit;
use firedrill_core::assemble::Before;
use firedrill_core::chain::{GENESIS, Link};
use firedrill_core::digest::Digest;
use firedrill_core::drill::{Drill, Illegal};
use firedrill_core::effect::Epoch;
use firedrill_core::event::{Event, Record};
use firedrill_core::time::Stamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{Connection, Row};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Its directory cannot be made or entered.
    #[error("cannot use the state directory {path}: {source}. Make it writable, or name another with --state.")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `SQLite` refused.
    #[error(
        "the journal {path} cannot be used: {source}. Nothing is started without a journal: see its disk and its permissions."
    )]
    Database {
        /// The file.
        path: PathBuf,
        /// What `SQLite` said.
        source: sqlx::Error,
    },
    /// A record in it cannot be read.
    #[error(
        "the journal's record {seq} of drill {drill} cannot be read: {why}. Keep the file, and restore it from a copy."
    )]
    Corrupt {
        /// The drill.
        drill: String,
        /// The record.
        seq: u64,
        /// What is wrong.
        why: String,
    },
}

/// Why a record was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A newer runner took the drill over.
    #[error("another runner took this drill over (its epoch is {newest}, ours {ours}): this one stops")]
    Fenced {
        /// The newest epoch.
        newest: u64,
        /// This runner's.
        ours: u64,
    },
    /// The events contradict the drill: a bug of firedrill.
    #[error("bug: {0}")]
    Illegal(#[from] Illegal),
    /// It could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A drill as the journal lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillRow {
    /// Its id.
    pub drill: String,
    /// Its experiment.
    pub experiment: String,
    /// When it was opened, UTC, nanoseconds since 1970.
    pub opened_wall_ns: i64,
    /// Whether it is closed.
    pub closed: bool,
    /// The verdict in its filed report, when it has one.
    pub verdict: Option<String>,
}

/// One stored chunk of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleChunk {
    /// The epoch of the runner that took them.
    pub epoch: u64,
    /// The stream, by its position in that epoch's `ProbingBegan`.
    pub stream: u16,
    /// Its number.
    pub chunk: u32,
    /// The encoded samples.
    pub bytes: Vec<u8>,
}

/// The journal of one state directory.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    path: PathBuf,
    pub(super) connection: Mutex<SqliteConnection>,
}

const SCHEMA: &str = "
create table if not exists drills (
    drill text primary key, experiment text not null, opened_wall_ns integer not null,
    epoch integer not null, closed integer not null default 0, verdict text, report text) strict;
create table if not exists records (
    drill text not null, seq integer not null, epoch integer not null, record text not null, hash blob not null,
    primary key (drill, seq)) strict, without rowid;
create table if not exists samples (
    drill text not null, epoch integer not null, stream integer not null, chunk integer not null, bytes blob not null,
    primary key (drill, epoch, stream, chunk)) strict, without rowid;
";

/// How long somebody else may be busy with the file.
const BUSY_MAX: Duration = Duration::from_secs(10);
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Whoever finds another one opening the same file for the first time is told that it is busy, at once and whatever its time
/// limit: the two would wait for each other.
async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let began = Instant::now();
    loop {
        match SqliteConnection::connect_with(options).await {
            Err(e) if is_busy(&e) && began.elapsed() < BUSY_MAX => tokio::time::sleep(AGAIN_AFTER).await,
            other => return other,
        }
    }
}

/// `SQLITE_BUSY`, whatever else the code tells.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

impl Journal {
    /// Opens the journal of a state directory, making both where they are missing.
    ///
    /// # Errors
    /// When the directory or the file cannot be used; nothing may be started then.
    pub async fn open(dir: &Path) -> Result<Self, JournalError> {
        let directory = |source| JournalError::Directory { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(directory)?;
        let dir = dir.canonicalize().map_err(directory)?;
        let path = dir.join("journal.sqlite");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_MAX);
        let database = |source| JournalError::Database { path: path.clone(), source };
        let mut connection = connect(&options).await.map_err(database)?;
        sqlx::raw_sql(SCHEMA).execute(&mut connection).await.map_err(database)?;
        for more in [super::firings::SCHEMA, super::overview::SCHEMA] {
            sqlx::raw_sql(more).execute(&mut connection).await.map_err(database)?;
        }
        Ok(Self { dir, path, connection: Mutex::new(connection) })
    }

    /// The state directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn database(&self, source: sqlx::Error) -> JournalError {
        JournalError::Database { path: self.path.clone(), source }
    }

    /// Applies the events to the drill and makes them durable, all or none. On an error the drill is as it was.
    ///
    /// The permits are those of the intents among the events: from here on their effects may be performed, once.
    ///
    /// # Errors
    /// [`AppendError::Fenced`] when another runner took over; nothing may be done any more then.
    pub async fn append(
        &self,
        drill: &mut Drill,
        at: &Stamp,
        events: Vec<Event>,
    ) -> Result<Vec<InjectPermit>, AppendError> {
        let mut advanced = drill.clone();
        let mut records = Vec::with_capacity(events.len());
        for event in events {
            let epoch = match &event {
                Event::TookOver(take_over) => take_over.epoch,
                Event::Opened(_) => Epoch(1),
                _ => Epoch(advanced.epoch),
            };
            let record = Record { seq: advanced.next_seq, epoch, at: at.clone(), event };
            advanced.apply(&record)?;
            records.push(record);
        }
        self.write(&advanced, drill.epoch, &records).await?;
        *drill = advanced;
        let intents = records.into_iter().filter_map(|r| match r.event {
            Event::Intended(intents) => Some(intents),
            _ => None,
        });
        Ok(intents.flatten().map(|i| InjectPermit::of_durable_intent(i.step, i.version)).collect())
    }

    async fn write(&self, drill: &Drill, epoch_before: u64, records: &[Record]) -> Result<(), AppendError> {
        let opening = drill.opening.as_ref().expect("a record was applied, and the first is the opening");
        let mut connection = self.connection.lock().await;
        let mut tx = connection.begin_with("begin immediate").await.map_err(|e| self.database(e))?;
        let head: Option<(i64, Vec<u8>)> =
            sqlx::query_as("select d.epoch, r.hash from drills d join records r on r.drill = d.drill where d.drill = ? order by r.seq desc limit 1")
                .bind(&opening.drill)
                .fetch_optional(&mut *tx)
                .await
                .map_err(|e| self.database(e))?;
        let newest = head.as_ref().map_or(0, |(epoch, _)| u64::try_from(*epoch).unwrap_or(0));
        if newest != epoch_before {
            return Err(AppendError::Fenced { newest, ours: drill.epoch });
        }
        let mut link = head.and_then(|(_, hash)| link_of(records.first()?.seq.checked_sub(1)?, &hash));
        for record in records {
            let text = serde_json::to_string(record).expect("a record is always JSON");
            let next = link.map_or_else(|| Link::first(text.as_bytes()), |l| l.next(text.as_bytes()));
            if let Event::Opened(o) = &record.event {
                sqlx::query("insert into drills (drill, experiment, opened_wall_ns, epoch) values (?, ?, ?, 1)")
                    .bind(&o.drill)
                    .bind(&o.experiment)
                    .bind(record.at.wall_ns)
                    .execute(&mut *tx)
                    .await
                    .map_err(|e| self.database(e))?;
            }
            sqlx::query("insert into records (drill, seq, epoch, record, hash) values (?, ?, ?, ?, ?)")
                .bind(&opening.drill)
                .bind(signed(record.seq))
                .bind(signed(record.epoch.0))
                .bind(text)
                .bind(next.digest.0.as_slice())
                .execute(&mut *tx)
                .await
                .map_err(|e| self.database(e))?;
            link = Some(next);
        }
        sqlx::query("update drills set epoch = ?, closed = ? where drill = ?")
            .bind(signed(drill.epoch))
            .bind(i64::from(drill.closed))
            .bind(&opening.drill)
            .execute(&mut *tx)
            .await
            .map_err(|e| self.database(e))?;
        tx.commit().await.map_err(|e| self.database(e))?;
        Ok(())
    }

    /// Stores chunks of samples. Their hashes are sealed by an event afterwards.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn put_samples(&self, drill: &str, chunks: &[SampleChunk]) -> Result<(), JournalError> {
        let mut connection = self.connection.lock().await;
        let mut tx = connection.begin().await.map_err(|e| self.database(e))?;
        for chunk in chunks {
            sqlx::query("insert into samples (drill, epoch, stream, chunk, bytes) values (?, ?, ?, ?, ?)")
                .bind(drill)
                .bind(signed(chunk.epoch))
                .bind(i64::from(chunk.stream))
                .bind(i64::from(chunk.chunk))
                .bind(&chunk.bytes)
                .execute(&mut *tx)
                .await
                .map_err(|e| self.database(e))?;
        }
        tx.commit().await.map_err(|e| self.database(e))
    }

    /// One drill, when it was opened.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn drill(&self, drill: &str) -> Result<Option<DrillRow>, JournalError> {
        let mut connection = self.connection.lock().await;
        let row = sqlx::query("select drill, experiment, opened_wall_ns, closed, verdict from drills where drill = ?")
            .bind(drill)
            .fetch_optional(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        Ok(row.map(|r| drill_row(&r)))
    }

    /// All drills, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn drills(&self) -> Result<Vec<DrillRow>, JournalError> {
        let mut connection = self.connection.lock().await;
        let rows = sqlx::query("select drill, experiment, opened_wall_ns, closed, verdict from drills order by opened_wall_ns desc, drill desc")
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        Ok(rows.iter().map(drill_row).collect())
    }

    /// A drill's records, in order, with the hash of the last one.
    ///
    /// # Errors
    /// When they cannot be read, or one of them is not a record.
    pub async fn records(&self, drill: &str) -> Result<(Vec<Record>, String), JournalError> {
        let mut connection = self.connection.lock().await;
        let rows: Vec<(i64, String, Vec<u8>)> =
            sqlx::query_as("select seq, record, hash from records where drill = ? order by seq")
                .bind(drill)
                .fetch_all(&mut *connection)
                .await
                .map_err(|e| self.database(e))?;
        let mut link: Option<Link> = None;
        let mut records = Vec::with_capacity(rows.len());
        for (seq, text, hash) in rows {
            let corrupt = |why: String| JournalError::Corrupt { drill: drill.to_owned(), seq: unsigned(seq), why };
            let next = link.map_or_else(|| Link::first(text.as_bytes()), |l| l.next(text.as_bytes()));
            if next.seq != unsigned(seq) || next.digest.0.as_slice() != hash {
                return Err(corrupt("its digest does not follow from the record before it".to_owned()));
            }
            records.push(serde_json::from_str(&text).map_err(|e| corrupt(e.to_string()))?);
            link = Some(next);
        }
        Ok((records, link.map(|l| l.digest.to_string()).unwrap_or_default()))
    }

    /// A drill's stored samples, in order of epoch, stream and chunk.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn samples(&self, drill: &str) -> Result<Vec<SampleChunk>, JournalError> {
        let mut connection = self.connection.lock().await;
        let rows: Vec<(i64, i64, i64, Vec<u8>)> = sqlx::query_as(
            "select epoch, stream, chunk, bytes from samples where drill = ? order by epoch, stream, chunk",
        )
        .bind(drill)
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| self.database(e))?;
        Ok(rows
            .into_iter()
            .map(|(epoch, stream, chunk, bytes)| SampleChunk {
                epoch: unsigned(epoch),
                stream: u16::try_from(stream).unwrap_or(u16::MAX),
                chunk: u32::try_from(chunk).unwrap_or(u32::MAX),
                bytes,
            })
            .collect())
    }

    /// Keeps the report of a drill: its verdict's word and its JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn put_report(&self, drill: &str, verdict: &str, report: &str) -> Result<(), JournalError> {
        let mut connection = self.connection.lock().await;
        sqlx::query("update drills set verdict = ?, report = ? where drill = ?")
            .bind(verdict)
            .bind(report)
            .bind(drill)
            .execute(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        Ok(())
    }

    /// The kept report before a drill's, of any experiment, and the last pass of its own experiment: what ties reports
    /// together.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn report_before(&self, drill: &str) -> Result<Before, JournalError> {
        let mut connection = self.connection.lock().await;
        let previous: Option<(String,)> = sqlx::query_as(
            "select p.report from drills p join drills d on d.drill = ?
             where p.drill <> d.drill and p.report is not null
               and (p.opened_wall_ns, p.drill) < (d.opened_wall_ns, d.drill)
             order by p.opened_wall_ns desc, p.drill desc limit 1",
        )
        .bind(drill)
        .fetch_optional(&mut *connection)
        .await
        .map_err(|e| self.database(e))?;
        let passed: Option<(i64,)> = sqlx::query_as(
            "select max(p.opened_wall_ns) from drills p join drills d on d.drill = ?
             where p.experiment = d.experiment and p.verdict = 'PASS' and p.opened_wall_ns < d.opened_wall_ns
             having max(p.opened_wall_ns) is not null",
        )
        .bind(drill)
        .fetch_optional(&mut *connection)
        .await
        .map_err(|e| self.database(e))?;
        Ok(Before {
            report_sha256: previous.map(|(text,)| Digest::of(text.as_bytes()).to_string()),
            last_pass_wall_ns: passed.map(|(ns,)| ns),
        })
    }

    /// The kept report of a drill, as JSON.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn report(&self, drill: &str) -> Result<Option<String>, JournalError> {
        let mut connection = self.connection.lock().await;
        let row: Option<(Option<String>,)> = sqlx::query_as("select report from drills where drill = ?")
            .bind(drill)
            .fetch_optional(&mut *connection)
            .await
            .map_err(|e| self.database(e))?;
        Ok(row.and_then(|(report,)| report))
    }
}

fn drill_row(r: &SqliteRow) -> DrillRow {
    DrillRow {
        drill: r.get(0),
        experiment: r.get(1),
        opened_wall_ns: r.get(2),
        closed: r.get::<i64, _>(3) != 0,
        verdict: r.get(4),
    }
}

/// The last link of a stored chain; the one before it is not needed to go on.
fn link_of(seq: u64, digest: &[u8]) -> Option<Link> {
    Some(Link { seq, prev: GENESIS, digest: Digest(digest.try_into().ok()?) })
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).expect("journal numbers stay below 2^63")
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn several_may_open_it_for_the_first_time_at_once() {
        for _ in 0..20 {
            let dir = std::env::temp_dir().join(format!("firedrill-journal-{}", uuid::Uuid::now_v7()));
            let opening = (0..8).map(|_| {
                let dir = dir.clone();
                tokio::spawn(async move { Journal::open(&dir).await.map(drop) })
            });
            for opened in futures_util::future::join_all(opening).await {
                opened.unwrap().unwrap();
            }
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }
}
