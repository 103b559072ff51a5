//! The right backup is chosen, with its age from its own header.

use crate::support::dumps::dumps;
use crate::support::s3::S3Server;
use aws_sdk_s3::types::ChecksumAlgorithm::Crc64Nvme;
use firedrill::targets::backups::StoreError;
use firedrill::works::restore::find::{Choice, FindError, FindPlan, find};
use firedrill_core::time::{Known, Nanos};

const SECOND: i64 = 1_000_000_000;

fn now_wall_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}

fn at(wall_ns: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(wall_ns)).unwrap()
}

/// Three good dumps, completed 20, 10 and 5 minutes after the dump was made, side files and folders between them.
async fn prefix_with_three(server: &S3Server) -> i64 {
    let reference = (now_wall_ns() / SECOND + 3_600) * SECOND;
    for (key, before_s) in [("postgresql/a.dump", 2_400), ("postgresql/b", 3_000), ("postgresql/c.dump", 3_300)] {
        server.put(key, &dumps().file, Crc64Nvme).await;
        server.completed(key, at(reference - before_s * SECOND));
    }
    for key in ["postgresql/c.dump.sha256", "postgresql/d.dump.partial", "postgresql/z.sql.gz", "other/new.dump"] {
        server.put(key, b"not a dump", Crc64Nvme).await;
    }
    reference
}

#[tokio::test]
async fn the_newest_is_chosen_whatever_its_name_and_side_files_are_not() {
    let server = S3Server::start().await;
    let reference = prefix_with_three(&server).await;
    let store = server.store("postgresql/").await;
    let found = find(&store, &FindPlan::newest(reference)).await.unwrap();
    assert_eq!(found.object.key, "postgresql/a.dump");
    assert_eq!((found.candidates, found.set_aside.count), (3, 3));
    assert_eq!(found.object.size_bytes, dumps().file.len() as u64);
    assert_eq!(found.object.checksum.known().unwrap().algorithm, "CRC64NVME");
    let started = *found.started_wall_ns.known().unwrap();
    assert!((dumps().before_wall_ns - 2 * SECOND..=now_wall_ns()).contains(&started), "{started}");
    assert!(found.age.contains(Nanos(u64::try_from(reference - started).unwrap())));
    assert_eq!(found.age.upper_ns.unwrap().0 - found.age.lower_ns.0, 1_000_000_000, "whole seconds in the header");
}

#[tokio::test]
async fn older_than_and_by_key() {
    let server = S3Server::start().await;
    let reference = prefix_with_three(&server).await;
    let store = server.store("postgresql/").await;
    let older = FindPlan { choice: Choice::OlderThan(Nanos::from_secs(2_700)), ..FindPlan::newest(reference) };
    assert_eq!(find(&store, &older).await.unwrap().object.key, "postgresql/b");
    let by_key = FindPlan { choice: Choice::Key("postgresql/c.dump".into()), ..FindPlan::newest(reference) };
    assert_eq!(find(&store, &by_key).await.unwrap().object.key, "postgresql/c.dump");
    let none = FindPlan { choice: Choice::OlderThan(Nanos::from_secs(9_000)), ..FindPlan::newest(reference) };
    let error = find(&store, &none).await.unwrap_err();
    assert!(error.is_proof() && error.to_string().contains("at least 2h 30m old"), "{error}");
    let missing = FindPlan { choice: Choice::Key("postgresql/q.dump".into()), ..FindPlan::newest(reference) };
    assert!(find(&store, &missing).await.unwrap_err().is_proof());
}

#[tokio::test]
async fn a_newest_dump_that_is_empty_is_chosen_and_not_passed_over() {
    let server = S3Server::start().await;
    let reference = prefix_with_three(&server).await;
    server.put("postgresql/e.dump", b"", Crc64Nvme).await;
    server.completed("postgresql/e.dump", at(reference - SECOND));
    let found = find(&server.store("postgresql/").await, &FindPlan::newest(reference)).await.unwrap();
    assert_eq!((found.object.key.as_str(), found.object.size_bytes), ("postgresql/e.dump", 0));
    assert!(found.started_wall_ns.known().is_none());
    assert_eq!(found.age.upper_ns, None, "its age has no upper bound: {:?}", found.age);
}

#[tokio::test]
async fn the_worst_case_is_the_largest_gap_from_a_start_to_the_next_completion() {
    let server = S3Server::start().await;
    let reference = prefix_with_three(&server).await;
    let store = server.store("postgresql/").await;
    let found = find(&store, &FindPlan::newest(reference)).await.unwrap();
    let Known::Known(worst) = &found.worst_case else { panic!("{:?}", found.worst_case) };
    assert_eq!((worst.backups, worst.starts_known), (3, 3));
    // All three hold the same dump, so the largest is from that dump's start to now.
    let started = *found.started_wall_ns.known().unwrap();
    assert_eq!(worst.gap.lower_ns, Nanos(u64::try_from(reference - started).unwrap()));
    assert_eq!(worst.gap.upper_ns, Some(worst.gap.lower_ns));
    let without_headers = FindPlan { headers_max: 0, ..FindPlan::newest(reference) };
    let found = find(&store, &without_headers).await.unwrap();
    let Known::Known(worst) = &found.worst_case else { panic!("{:?}", found.worst_case) };
    assert_eq!((worst.starts_known, worst.gap.upper_ns), (0, None));
    assert_eq!(worst.gap.lower_ns, Nanos::from_secs(2_400));
}

#[tokio::test]
async fn a_long_prefix_is_listed_page_by_page() {
    let server = S3Server::start().await;
    for number in 0..1_050 {
        std::fs::create_dir_all(server.file_of("postgresql")).unwrap();
        std::fs::write(server.file_of(&format!("postgresql/{number:04}.md5")), b"x").unwrap();
    }
    server.put("postgresql/zz.dump", &dumps().file, Crc64Nvme).await;
    let found = find(&server.store("postgresql/").await, &FindPlan::newest(now_wall_ns())).await.unwrap();
    assert_eq!(found.object.key, "postgresql/zz.dump");
    assert_eq!((found.set_aside.count, server.faults.lists()), (1_050, 2));
    assert_eq!(found.set_aside.examples.len(), 5, "examples are bounded");
}

#[tokio::test]
async fn a_wrong_secret_is_a_denial_and_proves_nothing_of_the_backup() {
    let server = S3Server::start().await;
    server.put("postgresql/a.dump", &dumps().file, Crc64Nvme).await;
    let store = server.store_with_wrong_secret("postgresql/").await;
    let error = find(&store, &FindPlan::newest(now_wall_ns())).await.unwrap_err();
    assert!(matches!(&error, FindError::Store(StoreError::Denied { .. })), "{error}");
    assert!(!error.is_proof() && !error.to_string().contains("not it"), "{error}");
}

#[tokio::test]
async fn nothing_in_the_prefix_is_proof() {
    let server = S3Server::start().await;
    server.put("postgresql/a.dump.md5", b"x", Crc64Nvme).await;
    let error = find(&server.store("postgresql/").await, &FindPlan::newest(now_wall_ns())).await.unwrap_err();
    assert!(error.is_proof() && error.to_string().contains("a side file by its name"), "{error}");
}
