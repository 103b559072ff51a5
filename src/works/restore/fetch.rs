//! The backup is brought here: parallel ranged reads into a file of its full size, pinned to one version, each range
//! asked for again a bounded number of times, hashed in order while it comes. Memory does not grow with the backup.

use super::checksum::{Hashed, Hashing};
use super::phase::Progress;
use crate::targets::backups::{BackupStore, StoreError, chain};
use firedrill_core::restore::{BackupObject, Fetched, PhaseName};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchPlan {
    /// How large a range is; 8 to 16 MiB is what S3 serves best.
    pub range_bytes: u64,
    /// How many connections at once.
    pub connections: u16,
    /// How often one range is asked for before the fetch is given up.
    pub tries: u32,
    /// How long a body may stand still.
    pub stall: Duration,
    /// The pause before the second try; it doubles with each, up to two seconds.
    pub pause: Duration,
}

impl Default for FetchPlan {
    fn default() -> Self {
        Self {
            range_bytes: 8 << 20,
            connections: 8,
            tries: 5,
            stall: Duration::from_secs(15),
            pause: Duration::from_millis(100),
        }
    }
}

/// Why the bytes are not here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The object is no longer the one that was chosen.
    #[error("{0}: it was replaced or deleted during the download; choose again")]
    Changed(StoreError),
    /// A range did not come, however often it was asked for.
    #[error("{error} (tried {tries} times)")]
    Range {
        /// How often.
        tries: u32,
        /// What was seen last.
        error: StoreError,
    },
    /// The file could not be written.
    #[error("could not write {path}: {why}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Not enough room.
    #[error("{path} has {free} bytes free, and {needed} are needed for the download (twice its size)")]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// What is free.
        free: u64,
        /// What is needed.
        needed: u64,
    },
    /// Stopped from outside.
    #[error("the download was stopped")]
    Cancelled,
}

impl FetchError {
    fn disk(path: &Path, why: &dyn std::fmt::Display) -> Self {
        Self::Disk { path: path.to_owned(), why: why.to_string() }
    }
}

/// The free room for an ordinary user where `path` lies, in bytes.
///
/// # Errors
/// What the system said.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let seen = rustix::fs::statvfs(path)?;
    Ok(seen.f_bavail.saturating_mul(seen.f_frsize))
}

/// What the workers of one download share.
struct Download {
    store: BackupStore,
    object: BackupObject,
    plan: FetchPlan,
    file: Arc<File>,
    path: PathBuf,
    next: AtomicU64,
    done_bytes: AtomicU64,
    retried: AtomicU64,
    progress: Progress,
}

/// How much is gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;

/// Fetches `object` into a new file at `into`.
///
/// # Errors
/// See [`FetchError`]. A checksum that differs is no error here: it is a finding, in [`Fetched::checksum_matches`].
pub async fn fetch(
    store: &BackupStore,
    object: &BackupObject,
    into: &Path,
    plan: &FetchPlan,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Fetched, FetchError> {
    let path = into.to_owned();
    let directory = into.parent().unwrap_or(Path::new(".")).to_owned();
    let free = free_bytes(&directory).map_err(|e| FetchError::disk(&directory, &e))?;
    let needed = object.size_bytes.saturating_mul(2);
    if free < needed {
        return Err(FetchError::NoRoom { path: directory, free, needed });
    }
    let file = Arc::new(preallocate(into, object.size_bytes).map_err(|e| FetchError::disk(into, &e))?);
    let (finished, mut ranges_done) = mpsc::unbounded_channel();
    let hashing = Hashing::new(&object.checksum);
    let (hash_file, size_bytes) = (file.clone(), object.size_bytes);
    // It ends by itself when the last sender is gone: nothing waits for it on a failed download.
    let hasher = tokio::task::spawn_blocking(move || hash_in_order(hashing, &hash_file, &mut ranges_done, size_bytes));
    let download = Arc::new(Download {
        store: store.clone(),
        object: object.clone(),
        plan: FetchPlan { range_bytes: plan.range_bytes.max(1), ..plan.clone() },
        file,
        path,
        next: AtomicU64::new(0),
        done_bytes: AtomicU64::new(0),
        retried: AtomicU64::new(0),
        progress: progress.clone(),
    });
    let mut workers = JoinSet::new();
    for _ in 0..plan.connections.max(1) {
        workers.spawn(work(download.clone(), finished.clone()));
    }
    drop(finished);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Err(FetchError::Cancelled),
            ended = workers.join_next() => match ended {
                None => break,
                Some(Ok(result)) => result?,
                Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            },
        }
    }
    let sums: Hashed = match hasher.await {
        Ok(sums) => sums.map_err(|e| FetchError::disk(into, &e))?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    Ok(Fetched {
        size_bytes,
        ranges: size_bytes.div_ceil(download.plan.range_bytes),
        range_bytes: download.plan.range_bytes,
        connections: plan.connections.max(1),
        retried: download.retried.load(Ordering::Relaxed),
        sha256: sums.sha256,
        checksum_matches: sums.matches,
        checksum_note: sums.note,
    })
}

fn preallocate(path: &Path, size_bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    file.set_len(size_bytes)?;
    if size_bytes > 0 {
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size_bytes) {
            // Some file systems cannot reserve: the room was looked at, and a write says so when it is gone.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(file)
}

/// One connection: it takes the next range until none is left.
async fn work(download: Arc<Download>, finished: mpsc::UnboundedSender<(u64, u64)>) -> Result<(), FetchError> {
    let size = download.object.size_bytes;
    loop {
        let number = download.next.fetch_add(1, Ordering::Relaxed);
        let first = number.saturating_mul(download.plan.range_bytes);
        if first >= size {
            return Ok(());
        }
        let last = first.saturating_add(download.plan.range_bytes).min(size) - 1;
        let mut tries = 1;
        while let Err(error) = download.range(first, last).await {
            let error = match error {
                RangeError::Store(error @ (StoreError::Replaced { .. } | StoreError::Missing { .. })) => {
                    return Err(FetchError::Changed(error));
                }
                RangeError::Store(error) => error,
                RangeError::Disk(why) => return Err(FetchError::disk(&download.path, &why)),
            };
            if !error.is_transient() || tries >= download.plan.tries {
                return Err(FetchError::Range { tries, error });
            }
            download.retried.fetch_add(1, Ordering::Relaxed);
            let pause = download.plan.pause.saturating_mul(1 << (tries - 1).min(16)).min(Duration::from_secs(2));
            tokio::time::sleep(pause).await;
            tries += 1;
        }
        // The hasher is gone only when it failed to read; its own error is reported then.
        let _ = finished.send((first, last + 1));
    }
}

enum RangeError {
    Store(StoreError),
    Disk(io::Error),
}

impl Download {
    /// One try of one range. Progress counts only whole ranges' bytes as they come, and takes back those of a failed try.
    async fn range(&self, first: u64, last: u64) -> Result<(), RangeError> {
        let mut came = 0;
        let result = self.range_body(first, last, &mut came).await;
        if result.is_err() {
            self.done_bytes.fetch_sub(came, Ordering::Relaxed);
        }
        result
    }

    async fn range_body(&self, first: u64, last: u64, came: &mut u64) -> Result<(), RangeError> {
        let transient = |detail: String| {
            let doing = format!("read bytes {first}-{last} of s3://{}/{}", self.object.bucket, self.object.key);
            RangeError::Store(StoreError::Transient { doing, detail })
        };
        let expected = last + 1 - first;
        let mut answer = self.store.range(&self.object, first, last).await.map_err(RangeError::Store)?;
        let mut gathered: Vec<u8> = Vec::with_capacity(WRITE_BYTES);
        let mut written = first;
        loop {
            let chunk = match tokio::time::timeout(self.plan.stall, answer.body.next()).await {
                Err(_) => return Err(transient(format!("nothing came for {} s", self.plan.stall.as_secs_f64()))),
                Ok(Some(Err(error))) => return Err(transient(chain(&error))),
                Ok(Some(Ok(chunk))) => Some(chunk),
                Ok(None) => None,
            };
            if let Some(chunk) = &chunk {
                gathered.extend_from_slice(chunk);
                let length = chunk.len() as u64;
                *came += length;
                let done = self.done_bytes.fetch_add(length, Ordering::Relaxed) + length;
                if *came > expected {
                    return Err(transient(format!("{came} bytes came, expected {expected}")));
                }
                self.progress.tell(PhaseName::Fetch, done, Some(self.object.size_bytes), self.object.key.as_str());
            }
            if gathered.len() >= WRITE_BYTES || (chunk.is_none() && !gathered.is_empty()) {
                let length = gathered.len() as u64;
                gathered = self.write(gathered, written).await.map_err(RangeError::Disk)?;
                written += length;
            }
            if chunk.is_none() {
                break;
            }
        }
        if *came != expected {
            return Err(transient(format!("the body ended after {came} of {expected} bytes")));
        }
        Ok(())
    }

    async fn write(&self, bytes: Vec<u8>, at: u64) -> io::Result<Vec<u8>> {
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || {
            file.write_all_at(&bytes, at)?;
            let mut bytes = bytes;
            bytes.clear();
            Ok(bytes)
        });
        match written.await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// Reads back each range when all before it are there, so that one pass hashes the file in order.
fn hash_in_order(
    mut hashing: Hashing,
    file: &File,
    ranges_done: &mut mpsc::UnboundedReceiver<(u64, u64)>,
    size_bytes: u64,
) -> io::Result<Hashed> {
    let mut waiting: BTreeMap<u64, u64> = BTreeMap::new();
    let mut at = 0;
    let mut buffer = vec![0_u8; WRITE_BYTES];
    while at < size_bytes {
        let Some((begin, end)) = ranges_done.blocking_recv() else {
            return Err(io::Error::other("the download ended before its last range"));
        };
        waiting.insert(begin, end);
        while let Some(end) = waiting.remove(&at) {
            while at < end {
                let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
                file.read_exact_at(&mut buffer[..length], at)?;
                hashing.update(&buffer[..length]);
                at += length as u64;
            }
        }
    }
    Ok(hashing.finish())
}
