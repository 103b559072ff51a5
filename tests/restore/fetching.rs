//! What arrives is what lies there, or an error with a type; never something in between.

use crate::support::directory::Directory;
use crate::support::dumps::dumps;
use crate::support::faults::Fault;
use crate::support::s3::S3Server;
use aws_sdk_s3::types::ChecksumAlgorithm;
use firedrill::targets::backups::StoreError;
use firedrill::works::restore::fetch::{FetchError, FetchPlan, fetch};
use firedrill::works::restore::phase::Progress;
use firedrill_core::restore::Fetched;
use firedrill_core::time::Known;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const KEY: &str = "postgresql/shop.dump";

fn plan() -> FetchPlan {
    FetchPlan { range_bytes: 10_000, connections: 4, pause: Duration::from_millis(1), ..FetchPlan::default() }
}

struct Bench {
    server: S3Server,
    directory: Directory,
}

impl Bench {
    async fn with(bytes: &[u8], algorithm: ChecksumAlgorithm) -> Self {
        let server = S3Server::start().await;
        server.put(KEY, bytes, algorithm).await;
        Self { server, directory: Directory::new("fetch") }
    }

    async fn fetch(&self, plan: &FetchPlan) -> Result<Fetched, FetchError> {
        let store = self.server.store("postgresql/").await;
        let object = store.describe(KEY).await.unwrap();
        let into = self.directory.join("shop.dump");
        fetch(&store, &object, &into, plan, &Progress::unwatched(), &CancellationToken::new()).await
    }

    fn fetched(&self) -> Vec<u8> {
        std::fs::read(self.directory.join("shop.dump")).unwrap()
    }
}

#[tokio::test]
async fn ranges_in_parallel_give_the_same_bytes_whatever_the_checksum() {
    for (algorithm, name) in [
        (ChecksumAlgorithm::Crc32, "CRC32"),
        (ChecksumAlgorithm::Crc32C, "CRC32C"),
        (ChecksumAlgorithm::Crc64Nvme, "CRC64NVME"),
        (ChecksumAlgorithm::Sha1, "SHA1"),
        (ChecksumAlgorithm::Sha256, "SHA256"),
    ] {
        let bench = Bench::with(&dumps().file, algorithm).await;
        let fetched = bench.fetch(&plan()).await.unwrap();
        assert!(bench.fetched() == dumps().file);
        assert_eq!(fetched.checksum_matches, Known::Known(true), "{}", fetched.checksum_note);
        assert_eq!(fetched.checksum_note, format!("{name} of the whole object: equal"));
        let ranges = dumps().file.len().div_ceil(10_000);
        assert_eq!((fetched.ranges, bench.server.faults.ranged_reads()), (ranges as u64, ranges));
        assert!(ranges > 8, "the dump is too small to show anything: {ranges} ranges");
    }
}

#[tokio::test]
async fn an_etag_that_is_an_md5_is_compared_when_nothing_better_is_kept() {
    let server = S3Server::start().await;
    std::fs::create_dir_all(server.file_of("postgresql")).unwrap();
    std::fs::write(server.file_of(KEY), &dumps().file).unwrap();
    let bench = Bench { server, directory: Directory::new("fetch") };
    let fetched = bench.fetch(&plan()).await.unwrap();
    assert_eq!(
        (fetched.checksum_matches, fetched.checksum_note.as_str()),
        (Known::Known(true), "MD5 of the whole object: equal")
    );
}

#[tokio::test]
async fn bytes_that_rotted_in_the_store_are_found_by_its_checksum() {
    let bench = Bench::with(&dumps().file, ChecksumAlgorithm::Crc64Nvme).await;
    let mut rotten = dumps().file.clone();
    let middle = rotten.len() / 2;
    rotten[middle] ^= 0x10;
    std::fs::write(bench.server.file_of(KEY), &rotten).unwrap();
    let fetched = bench.fetch(&plan()).await.unwrap();
    assert_eq!(fetched.checksum_matches, Known::Known(false));
    assert!(fetched.checksum_note.contains("not those that were uploaded"), "{}", fetched.checksum_note);
}

#[tokio::test]
async fn failed_ranges_are_asked_for_again_and_counted() {
    let bench = Bench::with(&dumps().file, ChecksumAlgorithm::Crc64Nvme).await;
    bench.server.faults.next([Fault::Status(503), Fault::Cut(123), Fault::None, Fault::Status(500), Fault::Cut(0)]);
    let fetched = bench.fetch(&plan()).await.unwrap();
    assert_eq!((fetched.retried, fetched.checksum_matches), (4, Known::Known(true)));
    assert!(bench.fetched() == dumps().file);
}

#[tokio::test]
async fn a_range_that_never_comes_ends_the_fetch_after_its_tries() {
    let bench = Bench::with(&dumps().file, ChecksumAlgorithm::Crc64Nvme).await;
    bench.server.faults.always(503);
    let error = bench.fetch(&FetchPlan { connections: 1, tries: 3, ..plan() }).await.unwrap_err();
    assert!(matches!(&error, FetchError::Range { tries: 3, error: StoreError::Transient { .. } }), "{error}");
    assert_eq!(bench.server.faults.ranged_reads(), 3);
}

#[tokio::test]
async fn a_refusal_is_not_asked_for_again() {
    let bench = Bench::with(&dumps().file, ChecksumAlgorithm::Crc64Nvme).await;
    bench.server.faults.always(403);
    let error = bench.fetch(&FetchPlan { connections: 1, ..plan() }).await.unwrap_err();
    assert!(matches!(&error, FetchError::Range { tries: 1, error: StoreError::Denied { .. } }), "{error}");
}

/// With a store that answers 412, and with one that ignores `If-Match` and serves the new bytes.
#[tokio::test]
async fn an_object_replaced_during_the_download_is_an_error_and_no_mixture() {
    for ignores in [false, true] {
        let bench = Bench::with(&dumps().file, ChecksumAlgorithm::Crc64Nvme).await;
        if ignores {
            bench.server.faults.ignore_if_match();
        }
        let file = bench.server.file_of(KEY);
        let replace = move || {
            // Another dump of the same size, with the ETag that goes with it.
            let info = file.parent().unwrap().parent().unwrap().parent().unwrap().to_owned();
            let mut other = dumps().file.clone();
            other.reverse();
            std::fs::write(&file, other).unwrap();
            for entry in std::fs::read_dir(info).unwrap().flatten() {
                if entry.file_name().to_string_lossy().ends_with(".internal.json") {
                    std::fs::remove_file(entry.path()).unwrap();
                }
            }
        };
        bench.server.faults.next([Fault::None, Fault::None, Fault::Before(Box::new(replace))]);
        let error = bench.fetch(&FetchPlan { connections: 1, ..plan() }).await.unwrap_err();
        assert!(matches!(&error, FetchError::Changed(StoreError::Replaced { .. })), "{error}");
        assert_eq!(bench.server.faults.ranged_reads(), 3, "no further range is asked for");
    }
}

#[tokio::test]
async fn an_object_deleted_during_the_download_is_named() {
    let bench = Bench::with(&dumps().file, ChecksumAlgorithm::Crc64Nvme).await;
    let file = bench.server.file_of(KEY);
    bench.server.faults.next([Fault::None, Fault::Before(Box::new(move || std::fs::remove_file(file).unwrap()))]);
    let error = bench.fetch(&FetchPlan { connections: 1, ..plan() }).await.unwrap_err();
    assert!(matches!(&error, FetchError::Changed(StoreError::Missing { .. })), "{error}");
}

#[tokio::test]
async fn progress_ends_at_the_whole_and_a_failed_try_is_taken_back() {
    let bench = Bench::with(&dumps().file, ChecksumAlgorithm::Crc64Nvme).await;
    bench.server.faults.next([Fault::Cut(500), Fault::Cut(700)]);
    let most = Arc::new(AtomicU64::new(0));
    let last = Arc::new(Mutex::new(0));
    let (seen_most, seen_last) = (most.clone(), last.clone());
    let progress = Progress::new(move |update| {
        seen_most.fetch_max(update.done, Ordering::SeqCst);
        *seen_last.lock().unwrap() = update.done;
        assert_eq!(update.total, Some(dumps().file.len() as u64));
    });
    let store = bench.server.store("postgresql/").await;
    let object = store.describe(KEY).await.unwrap();
    let into = bench.directory.join("shop.dump");
    let serial = FetchPlan { connections: 1, ..plan() };
    fetch(&store, &object, &into, &serial, &progress, &CancellationToken::new()).await.unwrap();
    assert_eq!((most.load(Ordering::SeqCst), *last.lock().unwrap()), (object.size_bytes, object.size_bytes));
}

#[tokio::test]
async fn a_stop_stops_it() {
    let bench = Bench::with(&dumps().file, ChecksumAlgorithm::Crc64Nvme).await;
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    bench.server.faults.next([Fault::None, Fault::Before(Box::new(move || stop.cancel()))]);
    let store = bench.server.store("postgresql/").await;
    let object = store.describe(KEY).await.unwrap();
    let into = bench.directory.join("shop.dump");
    let slow = FetchPlan { connections: 1, range_bytes: 1_000, ..plan() };
    let error = fetch(&store, &object, &into, &slow, &Progress::unwatched(), &cancel).await.unwrap_err();
    assert!(matches!(error, FetchError::Cancelled), "{error}");
    assert!(bench.server.faults.ranged_reads() < 10);
}
