//! A journal that somebody changed afterwards: whatever they did, `history verify` finds it.

use crate::support::{files, runner::Runner, scene::Scene};
use firedrill_core::report::Verdict;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Executor as _};
use std::path::Path;

/// What somebody may do to a journal of two drills, the older one first, and words that tell it.
const DEEDS: &[(&str, &str)] = &[
    (
        "update records set record = replace(record, 'storefront', 'stockfront') where seq = 2 and drill = OLD",
        "record 2",
    ),
    ("delete from records where seq = 3 and drill = OLD", "is not what was written"),
    ("delete from records where drill = OLD and seq = (select max(seq) from records where drill = OLD)", "cut off"),
    (
        "update records set hash = zeroblob(32) where drill = OLD and seq = (select max(seq) from records where drill = OLD)",
        "is not what was written",
    ),
    (
        "update samples set bytes = zeroblob(length(bytes)) where chunk = 0 and stream = 0 and drill = OLD",
        "was changed",
    ),
    ("delete from samples where chunk = 0 and stream = 1 and drill = OLD", "is missing"),
    ("update drills set verdict = 'FAIL' where drill = OLD", "its verdict in the list is FAIL"),
    ("update drills set report = replace(report, 'PASS', 'pass') where drill = OLD", "cannot be read"),
    ("update drills set report = report || ' ' where drill = OLD", "the report before its own"),
    ("delete from drills where drill = OLD", "the report before its own"),
    (
        "update drills set report = (select report from drills where drill <> OLD), verdict = 'PASS' where drill = OLD",
        "its report is that of drill",
    ),
];

async fn open(state: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(state.join("journal.sqlite"))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_a_journal_is_found() {
    let scene = Scene::start().await;
    let runner = Runner::new(&scene, "kept");
    for name in ["experiment: earlier", "experiment: later"] {
        let text = files::scale_to_zero("1s", "storefront").replace("experiment: scale-to-zero", name);
        runner.run(&scene.write(&text)).await.verdict(Verdict::Pass, 0);
        scene.healthy().await;
    }
    let old = runner.journal().await.drills().await.unwrap().pop().unwrap().drill;
    let untouched = runner.ended(runner.command(&[&"history", &"verify"])).await;
    assert_eq!(untouched.code(), Some(0), "{untouched:?}");

    for (nth, (deed, words)) in DEEDS.iter().enumerate() {
        let other = Runner::new(&runner.state(), &format!("deed-{nth}"));
        std::fs::create_dir_all(other.state()).unwrap();
        // Everything that is written lies in the one file once nobody has it open.
        let mut journal = open(&runner.state()).await;
        journal.execute("pragma wal_checkpoint(truncate)").await.unwrap();
        journal.close().await.unwrap();
        std::fs::copy(runner.state().join("journal.sqlite"), other.state().join("journal.sqlite")).unwrap();
        let mut journal = open(&other.state()).await;
        let done = sqlx::query(sqlx::AssertSqlSafe(deed.replace("OLD", &format!("'{old}'"))));
        assert!(done.execute(&mut journal).await.unwrap().rows_affected() > 0, "{deed}");
        journal.close().await.unwrap();
        let found = other.ended(other.command(&[&"history", &"verify"])).await;
        assert_eq!(found.code(), Some(1), "{deed}: {found:?}");
        assert!(found.stdout.contains(words), "{deed}: {}", found.stdout);
    }
    against_what_was_filed(&runner, &old).await;
    scene.stop().await;
}

/// A drill that is gone without a trace is missed where its report lies.
async fn against_what_was_filed(runner: &Runner, old: &str) {
    let verify = || runner.command(&[&"history", &"verify", &"--filed", &runner.out()]);
    let untouched = runner.ended(verify()).await;
    assert_eq!(untouched.code(), Some(0), "{untouched:?}");
    let mut journal = open(&runner.state()).await;
    for table in ["drills", "records", "samples"] {
        let sql = format!("delete from {table} where drill <> '{old}'");
        journal.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    journal.close().await.unwrap();
    let alone = runner.ended(runner.command(&[&"history", &"verify"])).await;
    assert_eq!(alone.code(), Some(0), "nothing of the newest is left to tell: {alone:?}");
    let found = runner.ended(verify()).await;
    assert_eq!(found.code(), Some(1), "{found:?}");
    assert!(found.stdout.contains("it is not in the journal"), "{}", found.stdout);
}
