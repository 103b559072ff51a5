//! `ledger` against a real PostgreSQL: what is acknowledged is there, and every way of not acknowledging has its name.

use crate::support::harvest::Harvest;
use crate::support::postgres::Postgres;
use firedrill_core::sample::{Failure, Outcome, View};
use firedrill_probes::config::{ProbeConfig, Question};
use firedrill_probes::ledger::{Entries, Evidence};
use firedrill_probes::ledger_table::{self, Dropped, LedgerError, Table, Writable};
use firedrill_probes::pace::{Pace, Views};
use firedrill_probes::scalar::Span;
use secrecy::SecretString;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::collections::BTreeSet;
use uuid::Uuid;

fn probe(url: SecretString, drill: Uuid, timeout_ms: u64) -> ProbeConfig {
    let entries = Entries { url, drill, first_stream: 4, evidence: Evidence::Full };
    ProbeConfig {
        name: "orders-write".to_owned(),
        question: Question::Ledger(entries),
        pace: Pace {
            every: Span::ms(10),
            fresh_every: Some(Span::ms(50)),
            timeout: Span::ms(timeout_ms),
            views: Views::KeptAndFresh,
        },
        excluded: None,
        detour: None,
    }
}

/// A server with the ledger's table, and in it the backend that wrote each row.
async fn server() -> Postgres {
    let server = Postgres::start().await;
    ledger_table::create(&mut server.admin().await).await.unwrap();
    server.execute("alter table firedrill.ledger add column backend integer default pg_backend_pid()").await;
    server
}

async fn backends(server: &Postgres, stream: i32) -> Vec<i32> {
    let sql = "select backend from firedrill.ledger where stream = $1 order by seq";
    sqlx::query_scalar(sql).bind(stream).fetch_all(&mut server.admin().await).await.unwrap()
}

#[tokio::test]
async fn what_is_acknowledged_is_there_by_kept_and_fresh_sessions() {
    let server = server().await;
    let drill = Uuid::now_v7();
    let mut harvest = Harvest::start(&[probe(server.url("admin"), drill, 10_000)]);
    harvest.until_ok(1, 8).await;
    harvest.until_ok(0, 20).await;
    let (finished, samples) = harvest.stop().await;
    assert_eq!([View::Kept, View::Fresh], [finished[0].info.stream.view, finished[1].info.stream.view]);

    // Each acknowledgement names the server and the timeline.
    for (done, samples) in finished.iter().zip(&samples) {
        assert_eq!(done.nodes, [String::new(), format!("127.0.0.1:{}", server.port)]);
        for sample in samples {
            assert!(matches!(sample.outcome, Outcome::Ok { node: 1, timeline: 1 } | Outcome::Unknown), "{sample:?}");
        }
    }
    // A session of its own for each row, or the same few for all.
    let fresh = backends(&server, 5).await;
    assert_eq!(fresh.iter().collect::<BTreeSet<_>>().len(), fresh.len(), "each in its own session");
    let kept = backends(&server, 4).await;
    let sessions = kept.iter().collect::<BTreeSet<_>>().len();
    let overlapping = |one: u64| samples[0].iter().filter(|s| s.sent_ns.0 <= one && one <= s.done_ns.0).count();
    let most = samples[0].iter().map(|s| overlapping(s.sent_ns.0)).max().unwrap();
    assert!(sessions <= most && sessions < kept.len(), "{sessions} sessions for {} rows", kept.len());

    // What was acknowledged is read back, and nothing else.
    let mut admin = server.admin().await;
    let proof = ledger_table::prove_writable(&mut admin, drill, Evidence::Full).await.unwrap();
    assert_eq!((proof.node, proof.timeline), (format!("127.0.0.1:{}", server.port), Some(1)));
    let back = ledger_table::read_back(&mut admin, drill).await.unwrap();
    for (index, samples) in samples.iter().enumerate() {
        let stream = 4 + u32::try_from(index).unwrap();
        for sample in samples {
            let acknowledged = matches!(sample.outcome, Outcome::Ok { .. });
            assert!(!acknowledged || back.holds(stream, sample.seq), "{sample:?} of stream {stream} is lost");
        }
        assert!(!back.holds(stream, samples.len() as u64));
    }
    assert_eq!(back.rows(), (fresh.len() + kept.len()) as u64);
}

#[tokio::test]
async fn a_gap_is_read_back_as_a_gap_and_a_purge_leaves_other_drills_alone() {
    let server = server().await;
    let (drill, other) = (Uuid::now_v7(), Uuid::now_v7());
    server
        .execute(&format!(
            "insert into firedrill.ledger (drill, stream, seq) select '{drill}', 0, n from generate_series(0, 12000) n;
             insert into firedrill.ledger (drill, stream, seq) select '{drill}', 3, n from generate_series(5, 9) n;
             insert into firedrill.ledger (drill, stream, seq) values ('{other}', 0, 0);
             delete from firedrill.ledger where drill = '{drill}' and stream = 0 and seq in (77, 78, 900)"
        ))
        .await;
    let mut admin = server.admin().await;
    let back = ledger_table::read_back(&mut admin, drill).await.unwrap();
    assert_eq!(back.runs[&0], [0..=76, 79..=899, 901..=12_000]);
    assert_eq!(back.runs[&3], [5..=9]);
    assert_eq!(back.rows(), 12_001 - 3 + 5);
    assert!(back.holds(0, 76) && !back.holds(0, 77) && back.holds(0, 12_000) && !back.holds(9, 0));

    assert_eq!(ledger_table::purge(&mut admin, drill).await.unwrap(), back.rows());
    assert_eq!(ledger_table::read_back(&mut admin, drill).await.unwrap().rows(), 0);
    assert_eq!(ledger_table::drop_if_empty(&mut admin).await.unwrap(), Dropped::InUse);
    assert_eq!(ledger_table::purge(&mut admin, other).await.unwrap(), 1);
    assert_eq!(ledger_table::drop_if_empty(&mut admin).await.unwrap(), Dropped::Gone);
    assert_eq!(ledger_table::drop_if_empty(&mut admin).await.unwrap(), Dropped::Gone, "twice changes nothing");
    assert_eq!(ledger_table::survey(&mut admin).await.unwrap().table, Table::Missing);
}

#[tokio::test]
async fn a_frozen_server_times_out_and_a_killed_one_breaks_and_refuses() {
    let mut server = server().await;
    let drill = Uuid::now_v7();
    let mut harvest = Harvest::start(&[probe(server.url("admin"), drill, 400)]);
    for stream in 0..2 {
        harvest.until_ok(stream, 2).await;
    }
    server.freeze();
    for stream in 0..2 {
        harvest.until_failed(stream, Failure::TimedOut).await;
    }
    server.thaw();
    for stream in 0..2 {
        harvest.until_ok(stream, 2).await;
    }
    server.kill();
    for stream in 0..2 {
        harvest.until_failed(stream, Failure::Refused).await;
    }
    server.launch().await;
    for stream in 0..2 {
        harvest.until_ok(stream, 2).await;
    }
    let (_, samples) = harvest.stop().await;
    let back = ledger_table::read_back(&mut server.admin().await, drill).await.unwrap();
    for (stream, samples) in (4..).zip(&samples) {
        for sample in samples {
            let acknowledged = matches!(sample.outcome, Outcome::Ok { .. });
            assert!(!acknowledged || back.holds(stream, sample.seq), "{sample:?} was acknowledged and is lost");
        }
    }
}

#[tokio::test]
async fn a_read_only_server_is_told_from_one_that_is_down() {
    let server = server().await;
    let mut harvest = Harvest::start(&[probe(server.url("admin"), Uuid::now_v7(), 10_000)]);
    harvest.until_ok(0, 1).await;
    server.execute("alter system set default_transaction_read_only = on").await;
    server.execute("select pg_reload_conf()").await;
    for stream in 0..2 {
        harvest.until_failed(stream, Failure::ReadOnly).await;
    }
    let mut admin = server.admin().await;
    assert_eq!(ledger_table::survey(&mut admin).await.unwrap().writable, Writable::No);
    let proof = ledger_table::prove_writable(&mut admin, Uuid::now_v7(), Evidence::Full).await;
    assert!(matches!(proof, Err(LedgerError::NotWritable { .. })), "{proof:?}");
    // What a session may do it may also switch back on for itself.
    for sql in ["set default_transaction_read_only = off", "alter system reset default_transaction_read_only"] {
        admin.execute(sql).await.unwrap();
    }
    admin.execute("select pg_reload_conf()").await.unwrap();
    for stream in 0..2 {
        harvest.until_ok(stream, 1).await;
    }
    harvest.stop().await;
}

#[tokio::test]
async fn a_session_that_is_cut_breaks_once_and_is_replaced() {
    let server = server().await;
    let mut harvest = Harvest::start(&[probe(server.url("admin"), Uuid::now_v7(), 10_000)]);
    harvest.until_ok(0, 5).await;
    let cut =
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'firedrill orders-write'";
    server.execute(cut).await;
    harvest.until_failed(0, Failure::Broken).await;
    harvest.until_ok(0, 5).await;
    harvest.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_a_failed_login_and_is_not_told() {
    let server = server().await;
    server.execute("create role locked login password 'right'").await;
    let url = SecretString::from(format!("postgres://locked:hunter2@127.0.0.1:{}/postgres", server.port));
    let mut harvest = Harvest::start(&[probe(url, Uuid::now_v7(), 10_000)]);
    for stream in 0..2 {
        harvest.until_failed(stream, Failure::Login).await;
    }
    let detail = harvest.set.summaries()[0].last_detail.clone().unwrap();
    assert!(detail.contains("28P01") && !detail.contains("hunter2"), "{detail}");
    harvest.stop().await;
}

#[tokio::test]
async fn the_survey_says_what_the_applications_role_finds() {
    let server = Postgres::start().await;
    server
        .execute(
            "create role app login; alter role app set synchronous_commit = 'local';
             create role strict login;
             revoke execute on function pg_walfile_name(pg_lsn) from public",
        )
        .await;
    let connect = async |role: &str| {
        PgConnection::connect(&format!("postgres://{role}@127.0.0.1:{}/postgres", server.port)).await.unwrap()
    };
    let before = ledger_table::survey(&mut connect("admin").await).await.unwrap();
    assert_eq!((before.table, before.writable, before.timeline), (Table::Missing, Writable::Yes, Some(1)));
    assert_eq!((before.evidence, before.synchronous_commit.as_str()), (Evidence::Full, "on"));

    let denied = ledger_table::create(&mut connect("app").await).await.unwrap_err().to_string();
    assert!(denied.contains("run the printed SQL"), "{denied}");
    ledger_table::create(&mut server.admin().await).await.unwrap();
    ledger_table::create(&mut server.admin().await).await.unwrap();

    let mut app = connect("app").await;
    assert_eq!(ledger_table::survey(&mut app).await.unwrap().table, Table::Forbidden);
    server
        .execute("grant usage on schema firedrill to app; grant select, insert, delete on firedrill.ledger to app")
        .await;
    let survey = ledger_table::survey(&mut app).await.unwrap();
    assert_eq!((survey.table, survey.synchronous_commit.as_str()), (Table::Usable, "local"));
    assert_eq!((survey.evidence, survey.timeline), (Evidence::Address, None), "the timeline is not for this role");

    // And a probe with that evidence works where one that asks for more would fail.
    let mut probe = probe(server.url("app"), Uuid::now_v7(), 10_000);
    if let Question::Ledger(entries) = &mut probe.question {
        entries.evidence = survey.evidence;
    }
    let mut harvest = Harvest::start(&[probe]);
    harvest.until(0, 2, |s| matches!(s.outcome, Outcome::Ok { node: 1, timeline: 0 })).await;
    harvest.stop().await;

    server.execute("drop table firedrill.ledger; create unlogged table firedrill.ledger (drill uuid)").await;
    let unlogged = ledger_table::survey(&mut server.admin().await).await;
    assert!(matches!(unlogged, Err(LedgerError::Unlogged)), "{unlogged:?}");
}
