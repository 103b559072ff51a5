//! A store with a backup in it, a scratch to restore into, and a job that joins the two.

use super::directory::Directory;
use super::s3::S3Server;
use aws_sdk_s3::types::ChecksumAlgorithm;
use firedrill::faults::restore_backup::{Requirement, RestoreChecks, SqlCheck};
use firedrill::scratch::Scratch;
use firedrill::scratch::handle::KeeperProgram;
use firedrill::spec::estate::Tuning;
use firedrill::works::restore::fetch::FetchPlan;
use firedrill::works::restore::find::FindPlan;
use firedrill::works::restore::phase::Progress;
use firedrill::works::restore::run::{Into, RestoreJob, restore};
use firedrill_core::restore::RestoreRecord;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

pub const DRILL: &str = "0193-test-drill";

/// The program under test, as its own keeper.
pub fn keeper() -> KeeperProgram {
    KeeperProgram { path: PathBuf::from(env!("CARGO_BIN_EXE_firedrill")), args: vec![OsString::from("scratch-keeper")] }
}

pub fn now_wall_ns() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}

pub struct Bench {
    pub server: S3Server,
    pub directory: Directory,
}

impl Bench {
    pub async fn with(bytes: &[u8]) -> Self {
        let server = S3Server::start().await;
        server.put("postgresql/shop.dump", bytes, ChecksumAlgorithm::Crc64Nvme).await;
        Self { server, directory: Directory::new("bench") }
    }

    pub fn scratch_directory(&self) -> PathBuf {
        self.directory.join("scratch")
    }

    pub async fn scratch(&self) -> Scratch {
        Scratch::make(&self.scratch_directory(), DRILL, &keeper()).await.unwrap()
    }

    /// A job with no checks.
    pub fn job(&self) -> RestoreJob {
        RestoreJob {
            access: self.server.access("postgresql/"),
            find: FindPlan::newest(now_wall_ns()),
            fetch: FetchPlan { range_bytes: 20_000, connections: 4, ..FetchPlan::default() },
            into: Into::Scratch { tuning: Tuning::Throwaway },
            binaries: None,
            jobs: Some(2),
            checks: RestoreChecks {
                sequences: Requirement::Off,
                amcheck: Requirement::Off,
                ..RestoreChecks::default()
            },
            drill: DRILL.to_owned(),
            within: None,
        }
    }

    /// Restores into a scratch of its own, ends that, and sees that nothing is left.
    pub async fn restore(&self, job: &RestoreJob) -> RestoreRecord {
        let mut scratch = self.scratch().await;
        let record = restore(job, &mut scratch, &Progress::unwatched(), &CancellationToken::new()).await;
        scratch.end().await.unwrap();
        assert!(!self.scratch_directory().exists());
        assert_eq!(firedrill::scratch::process::servers_inside(&self.scratch_directory()), []);
        record
    }
}

/// Everything that a shop's experiment would ask.
pub fn all_checks() -> RestoreChecks {
    RestoreChecks {
        rows: BTreeMap::from([("orders".to_owned(), 3_000), ("audit.entries".to_owned(), 50)]),
        canary: Some("select max(at) from canary;".to_owned()),
        sequences: Requirement::Required,
        amcheck: Requirement::Required,
        sql: vec![
            sql(
                "every order has a product",
                "select count(*) from orders o left join products p on p.id = o.product where p.id is null",
                "0",
            ),
            sql("prices", "select min(price), max(price) from products", "1"),
            sql("the view answers", "select count(*) > 0 from cheap", "t"),
        ],
    }
}

pub fn sql(name: &str, query: &str, expect: &str) -> SqlCheck {
    SqlCheck { name: name.to_owned(), query: query.to_owned(), expect: expect.to_owned() }
}
