//! Takes real dumps of the database every few seconds and puts them into the store, the newest few kept.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use aws_sdk_s3::{error::DisplayErrorContext, primitives::ByteStream, types::ChecksumAlgorithm};
use jiff::{Timestamp, tz::TimeZone};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{
    catalogue::DATABASE,
    credentials::{Password, write_private},
    store::{BUCKET, PREFIX, Store},
};

/// What went wrong with a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// `pg_dump` ended badly.
    #[error("pg_dump failed: {0}")]
    Dump(String),
    /// The store refused.
    #[error("the store refused to {what}: {why}")]
    Store {
        /// What was asked of it.
        what: &'static str,
        /// What it answered.
        why: String,
    },
    /// There is no backup yet.
    #[error("there is no backup under {PREFIX} to take from yet; wait for the first")]
    None,
}

/// Where dumps come from.
#[derive(Debug, Clone)]
pub struct Source {
    /// Directory of PostgreSQL's programs.
    pub programs: PathBuf,
    /// The database Service's address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The password of `backup`.
    pub password: Password,
    /// Where dumps lie until they are uploaded.
    pub dumps: PathBuf,
}

/// When dumps are taken and how many are kept.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// From the start of one to the start of the next.
    pub every: Duration,
    /// How many stay in the store.
    pub keep: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { every: Duration::from_secs(5), keep: 12 }
    }
}

/// Dumps and uploads.
#[derive(Debug, Clone)]
pub struct Backups {
    source: Source,
    store: Store,
}

impl Backups {
    /// Backups from `source` into `store`.
    pub fn new(source: Source, store: Store) -> io::Result<Self> {
        let line = format!("*:*:*:backup:{}\n", source.password.reveal());
        write_private(&source.dumps.join("passfile"), &line)?;
        Ok(Self { source, store })
    }

    /// Takes backups until cancelled. One that fails (the primary just died) is not repeated: the next is.
    pub async fn run(self, pace: Pace, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(pace.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let work = async {
                let key = self.take().await?;
                self.keep_newest(pace.keep).await?;
                Ok::<_, BackupError>(key)
            };
            let outcome = tokio::select! {
                () = cancel.cancelled() => return,
                outcome = work => outcome,
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, "a backup failed");
            }
        }
    }

    /// Takes one backup now; returns its key. The key tells when the dump *began*, as archives do.
    pub async fn take(&self) -> Result<String, BackupError> {
        let began = Timestamp::now().to_zoned(TimeZone::UTC);
        let name = format!("orders-{}.dump", began.strftime("%Y%m%dT%H%M%S%3fZ"));
        let file = self.source.dumps.join(&name);
        let outcome = async {
            self.dump(&file).await?;
            let key = format!("{PREFIX}{name}");
            let body = ByteStream::from_path(&file)
                .await
                .map_err(|error| BackupError::Io { what: "reading the dump", source: io::Error::other(error) })?;
            self.put(&key, body).await?;
            Ok(key)
        }
        .await;
        // A dump that failed half-way has left half a file.
        let _ = std::fs::remove_file(&file);
        outcome
    }

    /// Everything but what the truth writes, which is no part of the shop.
    async fn dump(&self, file: &Path) -> Result<(), BackupError> {
        let output = Command::new(self.source.programs.join("pg_dump"))
            .env_clear()
            .env("LC_ALL", "C")
            .env("PGPASSFILE", self.source.dumps.join("passfile"))
            .env("PGCONNECT_TIMEOUT", "2")
            .args([
                "--format=custom",
                "--no-password",
                "--username=backup",
                "--exclude-schema=truth",
                "--lock-wait-timeout=2000",
            ])
            .arg(format!("--host={}", self.source.host))
            .arg(format!("--port={}", self.source.port))
            .arg("--file")
            .arg(file)
            .arg(DATABASE)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| BackupError::Io { what: "starting pg_dump", source })?;
        if output.status.success() {
            Ok(())
        } else {
            Err(BackupError::Dump(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
        }
    }

    async fn put(&self, key: &str, body: ByteStream) -> Result<(), BackupError> {
        self.store
            .client()
            .put_object()
            .bucket(BUCKET)
            .key(key)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(body)
            .send()
            .await
            .map_err(|error| refused("put an object", &error))?;
        Ok(())
    }

    /// The keys under [`PREFIX`], oldest first.
    pub async fn keys(&self) -> Result<Vec<String>, BackupError> {
        let listed = self
            .store
            .client()
            .list_objects_v2()
            .bucket(BUCKET)
            .prefix(PREFIX)
            .send()
            .await
            .map_err(|error| refused("list", &error))?;
        // Names begin with the same letters and then the time, so their order is that of time.
        Ok(listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect())
    }

    async fn keep_newest(&self, keep: usize) -> Result<(), BackupError> {
        let keys = self.keys().await?;
        for key in keys.iter().take(keys.len().saturating_sub(keep)) {
            self.store
                .client()
                .delete_object()
                .bucket(BUCKET)
                .key(key)
                .send()
                .await
                .map_err(|error| refused("delete an object", &error))?;
        }
        Ok(())
    }

    /// Uploads the first `percent` of the newest dump under `prefix`, with the checksum of what was uploaded, as a
    /// broken pipe between a dump and its upload would. Returns the key.
    pub async fn upload_cut(&self, prefix: &str, percent: u8) -> Result<String, BackupError> {
        let newest = self.keys().await?.pop().ok_or(BackupError::None)?;
        let whole = self
            .store
            .client()
            .get_object()
            .bucket(BUCKET)
            .key(&newest)
            .send()
            .await
            .map_err(|error| refused("get an object", &error))?
            .body
            .collect()
            .await
            .map_err(|error| BackupError::Store { what: "get an object", why: error.to_string() })?
            .into_bytes();
        let cut = whole.slice(..whole.len() * usize::from(percent.min(100)) / 100);
        let key = format!("{prefix}{}", newest.trim_start_matches(PREFIX));
        self.put(&key, ByteStream::from(cut)).await?;
        Ok(key)
    }
}

fn refused<E>(what: &'static str, error: &E) -> BackupError
where
    E: std::error::Error + Send + Sync + 'static,
{
    BackupError::Store { what, why: DisplayErrorContext(error).to_string() }
}
