//! The whole restore into a scratch: good dumps pass, everything else says what is wrong and leaves nothing.

use crate::support::bench::{Bench, all_checks, now_wall_ns, sql};
use crate::support::dumps::{SCHEMA, dumps};
use crate::support::postgres::Postgres;
use aws_sdk_s3::types::ChecksumAlgorithm;
use firedrill::faults::restore_backup::{Requirement, RestoreChecks};
use firedrill::spec::estate::Tuning;
use firedrill::works::restore::find::FindPlan;
use firedrill::works::restore::phase::Progress;
use firedrill::works::restore::run::{Into, RestoreJob, restore};
use firedrill_core::restore::{PhaseName, RestoreRecord, Stopped, judge};
use firedrill_core::time::{Known, Nanos};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn phases(record: &RestoreRecord) -> Vec<PhaseName> {
    record.phases.iter().map(|p| p.name).collect()
}

const ALL: [PhaseName; 6] =
    [PhaseName::Find, PhaseName::Fetch, PhaseName::Validate, PhaseName::Stage, PhaseName::Restore, PhaseName::Verify];

#[tokio::test]
async fn a_good_backup_is_proven_good() {
    for (bytes, tuning) in [(&dumps().file, Tuning::Throwaway), (&dumps().pipe, Tuning::Durable)] {
        let bench = Bench::with(bytes).await;
        let job = RestoreJob { checks: all_checks(), into: Into::Scratch { tuning }, ..bench.job() };
        let record = bench.restore(&job).await;
        let judged = judge(&record);
        assert!(judged.is_good(), "{judged:?}\n{record:#?}");
        assert_eq!(phases(&record), ALL);
        assert!(record.duration().unwrap() > record.until_first_answer().unwrap());
        let staged = record.staged.as_ref().unwrap();
        let tuned = staged.settings.iter().any(|s| s == "fsync = off");
        assert_eq!(tuned, tuning == Tuning::Throwaway, "what is tuned is said: {:?}", staged.settings);
        assert!(record.loaded.as_ref().unwrap().left_out.iter().any(|l| l.contains("EXTENSION")));
        let verified = record.verified.as_ref().unwrap();
        assert_eq!(verified.rows, [("audit.entries".to_owned(), 50), ("orders".to_owned(), 3_000)]);
        assert_eq!(verified.checks.len(), 8);
        // The canary was 30 s old when the dump was begun, so that much and more would have been lost.
        let loss = verified.recovery_point.loss;
        assert!(loss.upper_ns.unwrap() >= Nanos::from_secs(30), "{loss:?}");
        assert!(loss.upper_ns.unwrap().0 - loss.lower_ns.0 > 25_000_000_000, "{loss:?}");
    }
}

#[tokio::test]
async fn a_cut_backup_fails_before_anything_is_started() {
    let bytes = &dumps().file;
    let bench = Bench::with(&bytes[..bytes.len() * 2 / 3]).await;
    let record = bench.restore(&RestoreJob { checks: all_checks(), ..bench.job() }).await;
    let judged = judge(&record);
    assert_eq!(judged.defects.len(), 1, "{judged:?}");
    assert!(judged.defects[0].starts_with("the dump is cut: the data of TABLE DATA public.orders"), "{judged:?}");
    assert_eq!(phases(&record), ALL[..3]);
    assert!(record.phases[2].failure.is_some() && record.staged.is_none() && record.duration().is_none());
}

#[tokio::test]
async fn an_empty_backup_fails() {
    let bench = Bench::with(b"").await;
    let judged = judge(&bench.restore(&bench.job()).await);
    assert_eq!(judged.defects, ["the file is empty: 0 bytes, and a dump begins with PGDMP"]);
}

#[tokio::test]
async fn rotten_bytes_fail_by_the_store_s_own_checksum() {
    let bench = Bench::with(&dumps().file).await;
    let mut rotten = dumps().file.clone();
    let middle = rotten.len() / 2;
    rotten[middle] ^= 1;
    std::fs::write(bench.server.file_of("postgresql/shop.dump"), rotten).unwrap();
    let record = bench.restore(&bench.job()).await;
    assert!(matches!(&record.stopped, Some(Stopped::Defect(why)) if why.contains("not those that were uploaded")));
    assert_eq!(judge(&record).defects.len(), 1);
    assert_eq!(phases(&record), ALL[..2]);
}

/// An uncompressed dump carries no checksum of its own: only the restore shows that a row is no row.
#[tokio::test]
async fn a_row_that_is_no_row_fails_in_the_restore() {
    let mut bytes = dumps().plain.clone();
    let row = b"1000\t1\t";
    let at = bytes.windows(row.len()).position(|w| w == row).unwrap();
    bytes[at + 5] = b'x';
    let bench = Bench::with(&bytes).await;
    let record = bench.restore(&bench.job()).await;
    let judged = judge(&record);
    assert!(judged.defects.iter().any(|d| d.contains("invalid input syntax")), "{judged:?}");
    assert_eq!(phases(&record), ALL[..5]);
    assert_eq!(record.loaded.unwrap().exit, Known::Known(1));
}

#[tokio::test]
async fn each_wrong_answer_is_a_defect_of_its_own() {
    let source = Postgres::start("wrong");
    source.sql("postgres", "create database shop");
    source.sql("shop", SCHEMA);
    source.sql("shop", "select setval('orders_id_seq', 10); delete from canary");
    let bench = Bench::with(&source.dump("shop", "w.dump", &[])).await;
    let mut checks = RestoreChecks { amcheck: Requirement::Off, ..all_checks() };
    checks.rows = BTreeMap::from([("orders".to_owned(), 3_001), ("products".to_owned(), 200)]);
    checks.sql.push(sql("nothing is free", "select count(*) from products where price < 2", "0"));
    checks.sql.push(sql("an error is an answer", "select 1 / 0", "1"));
    checks.sql.push(sql("it may not write", "delete from products", "x"));
    let record = bench.restore(&RestoreJob { checks, ..bench.job() }).await;
    let judged = judge(&record);
    let expected = [
        "rows of orders: expected at least 3001, found 3000",
        "newest canary: expected a time before the drill, found the query found no canary",
        "sequences: expected each beyond the values of the column it feeds, found 1 of 3 behind: public.orders_id_seq is at 10, public.orders.id at 3000",
        "nothing is free: expected 0, found 4",
        "an error is an answer: expected 1, found an error: division by zero",
        "it may not write: expected x, found an error: cannot execute DELETE in a read-only transaction",
    ];
    assert_eq!(judged.defects, expected);
    assert_eq!((judged.unknowns.len(), phases(&record).len()), (0, 6));
}

#[tokio::test]
async fn the_copy_is_owned_by_no_superuser_and_acts_on_nothing() {
    let source = Postgres::start("acts");
    source.sql("postgres", "create database shop");
    source.sql("shop", SCHEMA);
    source.sql(
        "shop",
        "create publication everything for all tables;
         create function boom() returns event_trigger language plpgsql as $$ begin raise exception 'ran'; end $$;
         create event trigger trap on ddl_command_start when tag in ('CREATE INDEX') execute function boom();
         alter event trigger trap disable",
    );
    let bench = Bench::with(&source.dump("shop", "acts.dump", &[])).await;
    let mut checks =
        RestoreChecks { sequences: Requirement::Off, amcheck: Requirement::Off, ..RestoreChecks::default() };
    checks.sql = vec![
        sql("who am I", "select rolsuper from pg_roles where rolname = current_user", "f"),
        sql(
            "who owns it",
            "select count(*) from pg_tables where schemaname = 'public' and tableowner <> current_user",
            "0",
        ),
        sql("it publishes nothing", "select count(*) from pg_publication", "0"),
        sql("it archives nothing", "show archive_mode", "off"),
        sql("it triggers nothing", "select count(*) from pg_event_trigger", "0"),
    ];
    let record = bench.restore(&RestoreJob { checks, ..bench.job() }).await;
    assert!(judge(&record).is_good(), "{:?}", judge(&record));
    let left_out = record.loaded.unwrap().left_out.join("; ");
    assert!(left_out.contains("EVENT TRIGGER") && left_out.contains("PUBLICATION"), "{left_out}");
}

#[tokio::test]
async fn nothing_to_restore_is_a_defect_and_no_store_is_unknown() {
    let bench = Bench::with(&dumps().file).await;
    let mut job = bench.job();
    job.access.prefix = "nothing-here/".to_owned();
    let judged = judge(&bench.restore(&job).await);
    assert_eq!((judged.defects.len(), judged.unknowns.len()), (1, 0), "{judged:?}");
    job.access.endpoint = Some("http://127.0.0.1:1".to_owned());
    let judged = judge(&bench.restore(&job).await);
    assert_eq!((judged.defects.len(), judged.unknowns.len()), (0, 1), "{judged:?}");
}

#[tokio::test]
async fn the_newest_is_restored_and_not_an_older_good_one() {
    let bench = Bench::with(&dumps().file).await;
    let cut = &dumps().file[..5_000];
    bench.server.put("postgresql/shop-later.dump", cut, ChecksumAlgorithm::Crc32).await;
    let hour = jiff::SignedDuration::from_hours(1);
    bench.server.completed("postgresql/shop.dump", jiff::Timestamp::now() - hour);
    let record = bench.restore(&bench.job()).await;
    assert_eq!(record.found.as_ref().unwrap().object.key, "postgresql/shop-later.dump");
    assert_eq!(judge(&record).defects.len(), 1);
}

#[tokio::test]
async fn the_deadline_is_a_failure_that_names_the_phase() {
    let bench = Bench::with(&dumps().file).await;
    let record = bench.restore(&RestoreJob { within: Some(Duration::ZERO), ..bench.job() }).await;
    let Some(Stopped::Deadline(why)) = &record.stopped else { panic!("{:?}", record.stopped) };
    assert!(why.contains("phase find"), "{why}");
}

/// Stopped in the middle of each phase in turn, it stops, says so, and leaves nothing.
#[tokio::test]
async fn a_stop_in_any_phase_stops_and_leaves_nothing() {
    for (index, phase) in ALL.into_iter().enumerate() {
        let bench = Bench::with(&dumps().file).await;
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let progress = Progress::new(move |update| {
            if update.phase == phase {
                stop.cancel();
            }
        });
        let mut scratch = bench.scratch().await;
        let job = RestoreJob { checks: all_checks(), ..bench.job() };
        // On a task of its own, as the runner does it.
        let working = tokio::spawn(async move {
            let record = restore(&job, &mut scratch, &progress, &cancel).await;
            (record, scratch)
        });
        let (record, scratch) = working.await.unwrap();
        assert_eq!(record.stopped, Some(Stopped::Cancelled), "{phase:?}");
        assert!(judge(&record).cancelled);
        assert_eq!(phases(&record), ALL[..=index], "{phase:?}");
        scratch.end().await.unwrap();
        assert!(!bench.scratch_directory().exists());
        assert_eq!(firedrill::scratch::process::servers_inside(&bench.scratch_directory()), []);
    }
}

#[tokio::test]
async fn a_canary_from_the_future_is_wrong() {
    let bench = Bench::with(&dumps().file).await;
    let mut job = bench.job();
    job.find = FindPlan::newest(now_wall_ns() - 3_600_000_000_000);
    job.checks.canary = Some("select max(at) from canary".to_owned());
    let judged = judge(&bench.restore(&job).await);
    assert!(judged.defects.iter().any(|d| d.starts_with("newest canary")), "{judged:?}");
}
