//! The truth process against services whose death and return are known.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use firedrill_sandbox::{
    process::boottime_ns,
    truth::{Outage, Protocol, Record, ServiceSettings, TruthSettings, ViewKind, ViewSettings, read_outages},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::place::{Database, PROGRAM, Place, SOON};

fn view(slots: usize) -> ViewSettings {
    ViewSettings { calm_us: 10_000, dense_us: 2_000, slots }
}

const TIMEOUT_MS: u64 = 300;

/// The truth, running; ended with the test.
struct Truth {
    child: Child,
    file: std::path::PathBuf,
}

impl Truth {
    fn start(place: &Place, services: Vec<ServiceSettings>) -> Self {
        let file = place.path().join("truth.jsonl");
        let settings = TruthSettings {
            file: file.clone(),
            timeout_ms: TIMEOUT_MS,
            dense_for_ms: 1_000,
            services,
            kubeconfig: None,
            namespace: String::new(),
            control: None,
        };
        let path = place.path().join("settings.json");
        std::fs::write(&path, serde_json::to_vec(&settings).unwrap()).unwrap();
        let child =
            Command::new(PROGRAM).args(["sandbox-part", "truth"]).arg(path).stdin(Stdio::null()).spawn().unwrap();
        Self { child, file }
    }

    /// Waits until the file holds what `wanted` looks for.
    fn await_outages(&self, wanted: impl Fn(&[Outage]) -> bool) -> Vec<Outage> {
        let begun = Instant::now();
        loop {
            let outages = read_outages(&self.file).unwrap_or_default();
            if wanted(&outages) {
                return outages;
            }
            assert!(begun.elapsed() < SOON, "{outages:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn await_first_up(&self, views: usize) {
        let begun = Instant::now();
        let is_first = |line: &&str| matches!(serde_json::from_str(line), Ok(Record::FirstUp { .. }));
        while std::fs::read_to_string(&self.file).unwrap_or_default().lines().filter(is_first).count() < views {
            assert!(begun.elapsed() < SOON);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it in order; its last line.
    fn end(mut self) -> Record {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(std::fs::read_to_string(&self.file).unwrap().lines().last().unwrap()).unwrap()
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn both(outages: &[Outage], over: bool) -> bool {
    [ViewKind::Kept, ViewKind::Fresh]
        .iter()
        .all(|view| outages.iter().any(|one| one.view == *view && one.up_at.is_some() == over))
}

/// Asserts that the recorded start agrees with what the test did between `before` and `after`. A request that was under
/// way at that moment was sent before it, by at most the timeout, and down is counted by send times.
fn assert_down(outage: &Outage, before: u64, after: u64) {
    let [lo, hi] = outage.down_from;
    assert!(lo <= hi && lo <= after && hi + TIMEOUT_MS * 1_000_000 >= before, "{outage:?} against {before}..{after}");
}

/// Asserts that the recorded end encloses what the test did between `before` and `after`.
fn assert_up(outage: &Outage, before: u64, after: u64) {
    let [lo, hi] = outage.up_at.unwrap();
    assert!(lo <= hi && lo <= after && hi >= before, "{outage:?} against {before}..{after}");
}

#[test]
fn a_killed_and_restarted_http_service_is_down_exactly_in_between() {
    let place = Place::new("truth-http");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = |listener: TcpListener| async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    };
    let first = runtime.spawn(serve(listener));
    let protocol = Protocol::Http { path: "/".to_owned(), status: 200, contains: "good".to_owned() };
    let truth = Truth::start(
        &place,
        vec![ServiceSettings { name: "shop".to_owned(), address, protocol, kept: view(4), fresh: view(2) }],
    );
    truth.await_first_up(2);

    let down_before = boottime_ns();
    first.abort();
    let _ = runtime.block_on(first);
    let down_after = boottime_ns();
    truth.await_outages(|outages| both(outages, false));
    let up_before = boottime_ns();
    let again = runtime.block_on(TcpListener::bind(address)).unwrap();
    runtime.spawn(serve(again));
    let up_after = boottime_ns();
    let outages = truth.await_outages(|outages| both(outages, true));
    assert_eq!(outages.len(), 2, "{outages:?}");
    for outage in outages {
        assert_down(&outage, down_before, down_after);
        assert_up(&outage, up_before, up_after);
    }
    assert!(matches!(truth.end(), Record::Ended { samples, .. } if samples > 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postmaster_is_the_end_of_the_database_in_both_views() {
    let place = Place::new("truth-postgres");
    let database = Database::start(&place).await;
    let password_file = database.layout.credentials().join("truth");
    database.credentials.store(&database.layout.credentials()).unwrap();
    let protocol =
        Protocol::PostgresWrite { database: "ultramarket".to_owned(), role: "truth".to_owned(), password_file };
    let address = (database.server.fixed.address, database.server.fixed.port).into();
    let truth = Truth::start(
        &place,
        vec![ServiceSettings { name: "orders".to_owned(), address, protocol, kept: view(4), fresh: view(2) }],
    );
    truth.await_first_up(2);
    let before = boottime_ns();
    kill_process(database.postmaster(), Signal::QUIT).unwrap();
    let outages = truth.await_outages(|outages| both(outages, false));
    let after = boottime_ns();
    for outage in outages {
        assert_down(&outage, before, after);
        assert!(outage.up_at.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_is_down_though_it_answers() {
    use sqlx::{Connection as _, PgConnection};

    let place = Place::new("truth-read-only");
    let database = Database::start(&place).await;
    database.credentials.store(&database.layout.credentials()).unwrap();
    let protocol = Protocol::PostgresWrite {
        database: "ultramarket".to_owned(),
        role: "truth".to_owned(),
        password_file: database.layout.credentials().join("truth"),
    };
    let address = (database.server.fixed.address, database.server.fixed.port).into();
    let truth = Truth::start(
        &place,
        vec![ServiceSettings { name: "orders".to_owned(), address, protocol, kept: view(2), fresh: view(2) }],
    );
    truth.await_first_up(2);
    let mut superuser = PgConnection::connect_with(&database.server.superuser_login("ultramarket")).await.unwrap();
    sqlx::raw_sql("ALTER SYSTEM SET default_transaction_read_only = on").execute(&mut superuser).await.unwrap();
    let before = boottime_ns();
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut superuser).await.unwrap();
    let outages = truth.await_outages(|outages| both(outages, false));
    for outage in &outages {
        assert!(outage.why.starts_with("25006"), "{outage:?}");
        assert_down(outage, before, boottime_ns());
    }
    sqlx::raw_sql("ALTER SYSTEM RESET default_transaction_read_only").execute(&mut superuser).await.unwrap();
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut superuser).await.unwrap();
    truth.await_outages(|outages| both(outages, true));
}
