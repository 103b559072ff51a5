//! The primary killed: a failover that loses nothing, one that loses what a standby was not sent, and none at all.

use crate::support::{files, left, runner::Runner, scene::SOON, scene::Scene};
use firedrill_core::event::Event;
use firedrill_core::report::{Bearing, Exercise, Ledger, Reason, Report, ResidueState, Verdict};
use firedrill_core::sample::View;
use firedrill_core::time::Known;
use firedrill_sandbox::estate::postgres::switches::{Manner, Replication, Standby, Switches};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use sqlx::PgConnection;
use std::collections::BTreeSet;

fn ledger(report: &Report) -> &Ledger {
    match &report.loss {
        Known::Known(loss) => &loss.ledgers[0],
        Known::Unknown(why) => panic!("the loss is not known: {why}"),
    }
}

fn found(report: &Report) -> &str {
    report.exercised.found.known().map_or("", String::as_str)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_passes_and_nothing_is_left_and_undo_changes_nothing() {
    let scene = Scene::start().await;
    let runner = Runner::new(&scene, "one");
    let experiment = scene.write(&files::kill_primary("failover", "1s"));

    let planned = runner.plan(&experiment).await;
    assert_eq!(planned.code(), Some(0), "{planned:?}");
    assert!(planned.stdout.contains("delete"), "{planned:?}");
    assert_eq!(scene.changes(), Vec::new(), "a plan touches nothing");
    assert!(!runner.state().exists(), "a plan needs no journal");

    let report = runner.run(&experiment).await.verdict(Verdict::Pass, 0);
    assert_eq!(found(&report), "failover");
    assert_eq!(report.exercised.status, Exercise::AsExpected);
    assert_eq!(report.residue.state, ResidueState::Clean);
    let ledger = ledger(&report);
    assert_eq!((ledger.lost, ledger.unexpected), (0, 0));
    assert!(ledger.acknowledged > 100, "{ledger:?}");
    assert!(runner.out().join("kill-primary/report.json").exists());
    let deletes: Vec<String> = scene.changes().into_iter().filter(|e| e.verb == "delete").map(|e| e.resource).collect();
    assert_eq!(deletes, ["pods", "leases"], "one pod, and the lock");
    left::assert_nothing(&scene, &runner).await;

    let before = scene.changes().len();
    for _ in 0..2 {
        let undone = runner.undo().await;
        assert_eq!(undone.code(), Some(0), "{undone:?}");
    }
    assert_eq!(scene.changes().len(), before, "undo twice changes nothing");
    scene.stop().await;
}

/// The numbers that a ledger stream has on the server that takes writes.
async fn rows(database: &mut PgConnection, stream: u32) -> BTreeSet<u64> {
    let sql = "select seq from firedrill.ledger where stream = $1 order by seq";
    let rows: Vec<i64> =
        sqlx::query_scalar(sql).bind(i32::try_from(stream).unwrap()).fetch_all(database).await.unwrap();
    rows.into_iter().map(|seq| u64::try_from(seq).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_was_held_back_after_preflight_fails_with_the_exact_ids_lost() {
    let switches = Switches { replication: Replication::Async, ..Switches::default() };
    let mut scene = Scene::start_with(switches).await;
    let runner = Runner::new(&scene, "one");
    let experiment = scene.write(&files::kill_primary("failover", "5s"));
    let mut drill = runner.start(runner.drill(&experiment));
    let records = drill.until(|e| matches!(e, Event::ProbingBegan(_))).await;
    let streams = records.iter().find_map(|r| match &r.event {
        Event::ProbingBegan(streams) => Some(streams),
        _ => None,
    });
    let kept = streams.unwrap().iter().position(|s| s.kind == "ledger" && s.stream.view == View::Kept).unwrap();
    let kept = 1000 + u32::try_from(kept).unwrap();

    scene.sandbox.switch(Switches { standby: Standby::Hold, ..switches }).await.unwrap();
    let mut primary = scene.database().await.unwrap();
    let held = rows(&mut primary, kept).await;
    // What is committed from here on is on the old primary alone.
    let alone = tokio::time::timeout(SOON, async {
        loop {
            let now = rows(&mut primary, kept).await;
            let alone: BTreeSet<u64> = now.difference(&held).copied().collect();
            if alone.len() >= 20 {
                return alone;
            }
        }
    });
    let alone = alone.await.unwrap();
    drill.until(|e| matches!(e, Event::Landed { .. })).await;
    let mut successor = loop {
        if let Some(mut session) = scene.database().await {
            let sql = "select left(pg_walfile_name(pg_current_wal_lsn()), 8)";
            let timeline: Result<String, _> = sqlx::query_scalar(sql).fetch_one(&mut session).await;
            if timeline.is_ok_and(|t| t == "00000002") {
                break session;
            }
        }
        tokio::time::sleep(crate::support::scene::LOOK_EVERY).await;
    };
    let survived = rows(&mut successor, kept).await;
    drop(successor);
    scene.sandbox.switch(switches).await.unwrap();

    let report = drill.ended().await.verdict(Verdict::Fail, 1);
    let ledger = ledger(&report);
    let lost: BTreeSet<u64> = ledger
        .lost_ids
        .iter()
        .filter(|id| id.contains("/kept/"))
        .map(|id| id.rsplit('/').next().unwrap().parse().unwrap())
        .collect();
    // What the old primary held well before it was killed was acknowledged: it is on its successor, or told as lost.
    let gone: BTreeSet<u64> = held.union(&alone).filter(|id| !survived.contains(id)).copied().collect();
    assert!(gone.is_superset(&alone), "the standby was not held back");
    assert!(lost.is_superset(&gone), "not told: {:?}", gone.difference(&lost).collect::<Vec<_>>());
    assert!(lost.is_disjoint(&survived), "told as lost, and there: {:?}", lost.intersection(&survived));
    assert!(ledger.lost >= alone.len() as u64);
    assert_eq!(found(&report), "failover");
    assert_eq!(report.residue.state, ResidueState::Clean);
    left::assert_nothing(&scene, &runner).await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_restarted_in_place_did_not_exercise_the_promotion_that_was_expected() {
    let scene = Scene::start_with(Switches { manner: Manner::RestartInPlace, ..Switches::default() }).await;
    let runner = Runner::new(&scene, "one");
    let experiment = scene.write(&files::kill_primary("promotion", "1s"));
    let report = runner.run(&experiment).await.verdict(Verdict::Inconclusive, 3);
    assert_eq!(report.exercised.status, Exercise::NotExercised, "{:?}", report.exercised);
    assert_eq!(found(&report), "restart in place");
    let told = |r: &Reason| r.bearing == Bearing::LeavesOpen && r.text.starts_with("Not exercised");
    assert!(report.judgement.reasons.iter().any(told), "{:?}", report.judgement);
    assert_eq!(ledger(&report).lost, 0);
    left::assert_nothing(&scene, &runner).await;
    scene.stop().await;
}

/// A budget over every pod of the database that needs `least` of them; once its controller has counted them.
async fn budget(scene: &Scene, least: i32) {
    let api: Api<PodDisruptionBudget> = Api::namespaced(scene.client(), scene.namespace());
    let set = &scene.sandbox.facts().database.stateful_set;
    let budget: PodDisruptionBudget = serde_json::from_value(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "orders" },
        "spec": { "minAvailable": least, "selector": { "matchLabels": { "app": set } } }
    }))
    .unwrap();
    #[expect(clippy::disallowed_methods, reason = "who owns the database, not firedrill")]
    api.create(&PostParams::default(), &budget).await.unwrap();
    let counted = async {
        loop {
            let status = api.get("orders").await.unwrap().status.unwrap_or_default();
            if status.current_healthy == 2 && status.disruptions_allowed == 2 - least {
                return;
            }
            tokio::time::sleep(crate::support::scene::LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(SOON, counted).await.expect("the budget is counted");
}

async fn forget_budget(scene: &Scene) {
    let api: Api<PodDisruptionBudget> = Api::namespaced(scene.client(), scene.namespace());
    #[expect(clippy::disallowed_methods, reason = "who owns the database, not firedrill")]
    api.delete("orders", &kube::api::DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eviction_asks_the_budget_and_evicts_only_what_was_planned() {
    let scene = Scene::start().await;
    let experiment = scene.write(&files::kill_primary_by("evict", "promotion", "1s"));
    let evictions = || {
        let entries = scene.changes().into_iter().filter(|e| e.subresource == "eviction");
        entries.map(|e| (e.code, e.body)).collect::<Vec<_>>()
    };

    budget(&scene, 2).await;
    let runner = Runner::new(&scene, "held-back");
    let report = runner.run(&experiment).await.verdict(Verdict::Inconclusive, 3);
    let told = serde_json::to_string(&report).unwrap();
    assert!(told.contains("a PodDisruptionBudget does not let the pod go"), "{:?}", report.judgement);
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert_eq!(evictions().iter().map(|(code, _)| *code).collect::<Vec<_>>(), [Some(429)], "asked once, and not again");
    left::assert_nothing(&scene, &runner).await;
    forget_budget(&scene).await;

    budget(&scene, 1).await;
    let runner = Runner::new(&scene, "let-go");
    let report = runner.run(&experiment).await.verdict(Verdict::Pass, 0);
    assert_eq!(report.exercised.status, Exercise::AsExpected, "{:?}", report.exercised);
    let asked = evictions();
    assert_eq!(asked.len(), 2);
    let (code, body) = &asked[1];
    assert_eq!(*code, Some(201));
    for precondition in ["uid", "resourceVersion"] {
        let at = format!("/deleteOptions/preconditions/{precondition}");
        assert!(body.pointer(&at).is_some_and(|v| v.as_str().is_some_and(|v| !v.is_empty())), "{precondition}: {body}");
    }
    assert!(scene.changes().iter().all(|e| (e.verb.as_str(), e.resource.as_str()) != ("delete", "pods")));
    left::assert_nothing(&scene, &runner).await;
    scene.stop().await;
}
