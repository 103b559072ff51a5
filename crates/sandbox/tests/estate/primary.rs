//! The ends of a primary: failover, hand-over, restart in place, and a standby that was held back.

use std::collections::BTreeSet;

use firedrill_sandbox::{
    estate::postgres::switches::{Manner, Replication, Standby, Switches},
    truth::{Record, ViewKind, read_outages},
};

use crate::{
    place::SOON,
    scene::{DEMO, Scene, Writer},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_fails_over_to_the_next_timeline_and_loses_no_acknowledged_write() {
    let scene = Scene::start("failover", DEMO).await;
    assert_eq!(scene.timeline().await, "00000001");
    let before = scene.primary_pod().await;
    let mut writer = Writer::start(&scene).await;
    writer.await_more(200).await;
    scene.delete(&before).await;
    writer.await_more(50).await;
    scene.sandbox.healthy(SOON).await.unwrap();
    writer.await_more(50).await;

    let after = scene.primary_pod().await;
    assert_ne!(after.metadata.name, before.metadata.name);
    assert_eq!(scene.timeline().await, "00000002");
    assert_eq!(writer.lost(&scene).await, BTreeSet::new());
    let replaced = scene.pods().get(before.metadata.name.as_ref().unwrap()).await.unwrap();
    assert_ne!(replaced.metadata.uid, before.metadata.uid);
    assert_eq!(replaced.metadata.labels.unwrap()["role"], "replica");

    let place = scene.stop().await;
    let truth = place.path().join("truth.jsonl");
    let outages = read_outages(&truth).unwrap();
    for view in [ViewKind::Kept, ViewKind::Fresh] {
        let seen = outages.iter().any(|one| one.service == "orders-primary" && one.view == view && one.up_at.is_some());
        assert!(seen, "{view:?}: {outages:?}");
    }
    let text = std::fs::read_to_string(truth).unwrap();
    let records: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let old_pod = before.metadata.name.unwrap();
    assert!(records.iter().any(|one| matches!(one, Record::PostmasterEnded { pod, .. } if *pod == old_pod)));
    assert!(
        records
            .iter()
            .any(|one| matches!(one, Record::Endpoints { service, ready: 0, .. } if service == "orders-primary"))
    );
    assert!(matches!(records.last(), Some(Record::Ended { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_was_held_back_loses_exactly_what_came_after() {
    let switches = Switches { replication: Replication::Async, ..DEMO };
    let mut scene = Scene::start("held-back", switches).await;
    let mut writer = Writer::start(&scene).await;
    writer.await_more(50).await;
    scene.sandbox.switch(Switches { standby: Standby::Hold, ..switches }).await.unwrap();
    let safe = writer.acknowledged();
    writer.await_more(50).await;
    let before_the_end = writer.acknowledged();
    scene.delete(&scene.primary_pod().await).await;
    // The writes of the new primary begin where those of the old one are known no more.
    scene.sandbox.switch(switches).await.unwrap();
    let lost = writer.lost(&scene).await;
    // Everything acknowledged after the switch had its effect is lost. What was acknowledged while it took effect may be
    // on either side, but the ledger ends at one point: nothing lost is older than anything kept.
    let certainly: BTreeSet<i64> = before_the_end.difference(&safe).copied().collect();
    assert!(certainly.len() >= 50);
    assert!(lost.is_superset(&certainly), "kept: {:?}", certainly.difference(&lost).collect::<Vec<_>>());
    assert!(before_the_end.difference(&lost).max() < lost.first(), "{lost:?}");
    assert_eq!(scene.timeline().await, "00000002");
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hands_over_is_succeeded_without_waiting_for_the_lease() {
    let switches = Switches { manner: Manner::HandOver, replication: Replication::Async, ..DEMO };
    let scene = Scene::start("hand-over", switches).await;
    let before = scene.primary_pod().await;
    let mut writer = Writer::start(&scene).await;
    writer.await_more(100).await;
    scene.delete(&before).await;
    writer.await_more(50).await;
    scene.sandbox.healthy(SOON).await.unwrap();
    assert_ne!(scene.primary_pod().await.metadata.name, before.metadata.name);
    assert_eq!(scene.timeline().await, "00000002");
    // Asynchronous, and still nothing lost: the standby was sent everything first.
    assert_eq!(writer.lost(&scene).await, BTreeSet::new());
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_may_take_over_the_same_pod_goes_on_with_the_same_timeline() {
    let switches = Switches { manner: Manner::RestartInPlace, ..DEMO };
    let scene = Scene::start("in-place", switches).await;
    let before = scene.primary_pod().await;
    let mut writer = Writer::start(&scene).await;
    writer.await_more(100).await;
    scene.delete(&before).await;
    writer.await_more(50).await;
    scene.sandbox.healthy(SOON).await.unwrap();
    let after = scene.primary_pod().await;
    assert_eq!(after.metadata.name, before.metadata.name);
    assert_ne!(after.metadata.uid, before.metadata.uid);
    assert_eq!(scene.timeline().await, "00000001");
    assert_eq!(writer.lost(&scene).await, BTreeSet::new());
    scene.stop().await;
}
