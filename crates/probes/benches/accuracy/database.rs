//! The process that owns a real PostgreSQL, kills, stops and closes it, and sees for itself when it answers.

use crate::gate::Gate;
use crate::postgres::Postgres;
use crate::truth::{Down, Edge, Kind, Step, hear, now_ns, tell};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::time::Duration;

/// Between two looks at what tells of itself nowhere else.
const LOOK: Duration = Duration::from_millis(1);
/// A small server: what takes long to die or to log in to blurs what happened when, for the truth as for the probe.
const SMALL: &[&str] = &["max_connections=40", "max_logical_replication_workers=0", "dynamic_shared_memory_type=mmap"];
/// How often a server that was started must answer before traffic comes its way.
const READINESS: usize = 3;
/// A commit of the truth's own.
const BEAT: &str = "update truth.beat set n = n + 1";

/// Serves until the steps are done, tells the truth, and serves on until nobody listens.
pub(crate) fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut server = Postgres::start_with(SMALL).await;
        let setup = "create schema truth; create table truth.beat (n bigint); insert into truth.beat values (0);
                     create schema firedrill;
                     create table firedrill.ledger (drill uuid not null, stream integer not null, seq bigint not null,
                         written timestamptz not null default clock_timestamp(), primary key (drill, stream, seq))";
        server.execute(setup).await;
        let gate = Gate::start(server.port);
        tell(&format!("postgres://admin@127.0.0.1:{}/postgres?sslmode=disable", gate.port));
        let steps: Vec<Step> = hear().expect("steps");
        let mut truth = Vec::new();
        for step in steps {
            tokio::time::sleep(Duration::from_millis(step.calm_ms)).await;
            let hold = Duration::from_millis(step.down_ms);
            truth.push(match step.kind {
                Kind::Killed => kill(&mut server, &gate, hold).await,
                Kind::Stopped => stop(&server, hold).await,
                _ => close(&server, hold).await,
            });
        }
        tell(&truth);
        let _end: Option<()> = hear();
    });
}

/// Kills every process. The truth is when the last of them was gone, by its pidfd, and when the gate opened again: behind
/// a readiness check, that is when the new server was ready and had answered.
async fn kill(server: &mut Postgres, gate: &Gate, hold: Duration) -> Down {
    let after_ns = now_ns();
    let processes = hold_still(server);
    let fds: Vec<OwnedFd> = processes.iter().filter_map(|pid| pidfd_open(*pid, PidfdFlags::empty()).ok()).collect();
    for pid in &processes {
        let _ = kill_process(*pid, Signal::KILL);
    }
    for fd in &fds {
        let _ = poll(&mut [PollFd::new(fd, PollFlags::IN)], None::<&Timespec>);
    }
    let down = Edge { after_ns, by_ns: now_ns() };
    server.buried();
    gate.close();
    tokio::time::sleep(hold).await;
    server.spawn();
    while !server.is_ready() {
        tokio::time::sleep(LOOK).await;
    }
    for _ in 0..READINESS {
        beat(&server.admin_url()).await.expect("a server that is ready takes writes");
    }
    Down { kind: Kind::Killed, down, up: gate.open() }
}

/// Stops every process. The truth is when the first was told and all stood still, and when the first was told to go on
/// and a commit over a session that was there and one over a new session had been answered: behind the new one there is
/// nothing left of what had queued up.
async fn stop(server: &Postgres, hold: Duration) -> Down {
    let mut connection = server.admin().await;
    let after_ns = now_ns();
    let processes = hold_still(server);
    for pid in &processes {
        let _ = kill_process(*pid, Signal::STOP);
    }
    for pid in &processes {
        stands_still(*pid);
    }
    let down = Edge { after_ns, by_ns: now_ns() };
    tokio::time::sleep(hold).await;
    let after_ns = now_ns();
    for pid in processes.iter().rev() {
        let _ = kill_process(*pid, Signal::CONT);
    }
    let beaten = connection.execute(BEAT).await;
    beaten.expect("a server that goes on answers");
    beat(&server.admin_url()).await.expect("a server that goes on takes sessions");
    let up = Edge { after_ns, by_ns: now_ns() };
    let _ = connection.close().await;
    Down { kind: Kind::Stopped, down, up }
}

/// Makes the server take no writes. Each session follows when it hears of it: the truth is when the first may have and
/// when all of some have.
async fn close(server: &Postgres, hold: Duration) -> Down {
    let mut admin = server.admin().await;
    let mut watchers = Vec::new();
    for _ in 0..2 {
        watchers.push(server.admin().await);
    }
    run(&mut admin, "set default_transaction_read_only = off").await;
    let down = switch(&mut admin, &mut watchers, "alter system set default_transaction_read_only = on", "on").await;
    tokio::time::sleep(hold).await;
    let up = switch(&mut admin, &mut watchers, "alter system reset default_transaction_read_only", "off").await;
    for connection in watchers.into_iter().chain([admin]) {
        let _ = connection.close().await;
    }
    Down { kind: Kind::ReadOnly, down, up }
}

async fn switch(admin: &mut PgConnection, watchers: &mut [PgConnection], change: &'static str, to: &str) -> Edge {
    run(admin, change).await;
    let after_ns = now_ns();
    run(admin, "select pg_reload_conf()").await;
    for watcher in watchers {
        loop {
            let shown: String = sqlx::query_scalar("show default_transaction_read_only")
                .fetch_one(&mut *watcher)
                .await
                .expect("a server");
            if shown == to {
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    Edge { after_ns, by_ns: now_ns() }
}

async fn run(connection: &mut PgConnection, sql: &'static str) {
    connection.execute(sql).await.expect("a server that answers");
}

/// One commit over a new session.
async fn beat(url: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute(BEAT).await?;
    connection.close().await
}

/// Stops the postmaster, so that it starts no more processes, and lists all there are, itself first.
fn hold_still(server: &Postgres) -> Vec<Pid> {
    let postmaster = server.processes()[0];
    let _ = kill_process(postmaster, Signal::STOP);
    stands_still(postmaster);
    server.processes()
}

/// Returns when a process is stopped or gone.
fn stands_still(pid: Pid) {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    while let Ok(stat) = std::fs::read_to_string(&path) {
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if matches!(state, Some('T' | 'Z' | 'X')) {
            return;
        }
        std::thread::yield_now();
    }
}
