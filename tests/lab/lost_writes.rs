//! A primary is lost for good while its standby is held back: what it had acknowledged and not passed on is counted, and named
//! one by one; where it waits for its standby, there is nothing of the kind.

use crate::agents::Agents;
use crate::held_back::HeldBack;
use crate::lab::{Lab, Part, SHOP};
use crate::orders::{self, Row, experiment, found, ledger};
use crate::patroni::Setting;
use crate::poller::Poller;
use crate::runner::{LOOK_EVERY, Runner, SOON};
use firedrill_core::event::Event;
use firedrill_core::report::{ResidueState, Verdict};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Preconditions};
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeSet;

const LOST_FOR_GOOD: &str = "crash, hold-down: until-promoted";

/// Waits until the primary alone holds so many rows; those that it holds then, and those that its standby does.
async fn until_alone(lab: &Lab, (primary, standby): (&Pod, &Pod), drill: &str, many: usize) -> [BTreeSet<Row>; 2] {
    let waiting = async {
        loop {
            let behind = orders::rows(lab, standby, drill).await.unwrap();
            let ahead = orders::rows(lab, primary, drill).await.unwrap();
            if ahead.difference(&behind).count() >= many {
                return [ahead, behind];
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect("the standby is held back")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_asynchronous_standby_was_not_sent_is_named_one_by_one() {
    let lab = Lab::enter(Part::Orders).await;
    let agents = Agents::enter(&lab);
    let before = lab.primary().await.unwrap();
    let standby = orders::standby(&lab, &before).await;
    let runner = Runner::new(&lab, "one");
    let text = experiment(LOST_FOR_GOOD, "failover").replace("for: 5s", "for: 8s");
    let mut drill = runner.start(runner.drill(&lab.write("orders-lost", &text)));
    // After preflight, which would refuse a standby that lags, and when the table has long been there.
    let records = drill.until(|e| matches!(e, Event::SamplesSealed(_))).await;
    let name = orders::drill_of(&records);
    let held_back = HeldBack::new(&standby, &before);
    let [ahead, behind] = until_alone(&lab, (&before, &standby), &name, 30).await;
    let records = drill.until(|e| matches!(e, Event::PromotionSeen { .. })).await;
    assert!(records.iter().any(|r| r.event == Event::BaselineHeld));
    drop(held_back);
    delete(&lab, &before).await;
    drill.until(|e| matches!(e, Event::ProbingEnded(_))).await;
    let held = orders::rows(&lab, &lab.primary().await.expect("one primary"), &name).await.unwrap();

    let report = drill.ended().await.verdict(Verdict::Fail, 1);
    assert_eq!(found(&report), "failover", "{:?}", report.exercised);
    orders::assert_promoted(&lab, &report, &before).await;
    let lost = orders::lost(&report, &records);
    let acknowledged = orders::acknowledged(&runner, &name).await;
    orders::assert_exactly(&lost, &acknowledged, &held);
    // By what was read of both servers: what the one had and the other never got is told, but for what was not answered.
    let gone: BTreeSet<Row> = ahead.difference(&held).copied().collect();
    let untold: BTreeSet<Row> = gone.difference(&lost).copied().collect();
    assert!(gone.len() >= 30 && gone.is_disjoint(&behind), "{} of {}", gone.len(), ahead.len());
    assert!(untold.len() <= gone.len() / 2 && untold.is_disjoint(&acknowledged), "not told: {untold:?}");
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert!(agents.pods(&lab).await.is_empty());
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}

/// The old primary's pod is deleted, and its volume with it: nothing of what it had comes back.
async fn delete(lab: &Lab, pod: &Pod) {
    let uid = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(uid), ..DeleteParams::default() };
    lab.api::<Pod>(SHOP).delete(&pod.name_any(), &params).await.unwrap();
}

/// Waits until the standby is one that the primary waits for, or not.
async fn until_it_is(lab: &Lab, state: &str) {
    let waiting = async {
        let url = lab.superuser_url(&lab.address(SHOP, "orders").await, "postgres");
        loop {
            let asked = async {
                let mut session = PgConnection::connect(&url).await?;
                sqlx::query_scalar::<_, String>("select sync_state from pg_stat_replication")
                    .fetch_one(&mut session)
                    .await
            };
            if asked.await.is_ok_and(|found| found == state) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("the standby becomes {state}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synchronous_standby_lacks_nothing_that_was_acknowledged() {
    let lab = Lab::enter(Part::Orders).await;
    let agents = Agents::enter(&lab);
    let before = lab.primary().await.unwrap();
    let standby = orders::standby(&lab, &before).await;
    let sync = Setting::new(&lab, r#"{ "synchronous_mode": true }"#, r#"{ "synchronous_mode": null }"#).await;
    until_it_is(&lab, "sync").await;
    let poller = Poller::start(lab.superuser_url(&lab.address(SHOP, "orders").await, "postgres")).await;
    let runner = Runner::new(&lab, "one");
    let mut drill = runner.start(runner.drill(&lab.write("orders-kept", &experiment(LOST_FOR_GOOD, "failover"))));
    drill.until(|e| *e == Event::BaselineHeld).await;
    let held_back = HeldBack::new(&standby, &before);
    drill.until(|e| matches!(e, Event::PromotionSeen { .. })).await;
    drop(held_back);
    delete(&lab, &before).await;
    let ended = drill.ended().await;
    let gap = poller.stop();

    let report = orders::passed(&ended);
    assert_eq!(found(&report), "failover", "{:?}", report.exercised);
    orders::assert_promoted(&lab, &report, &before).await;
    orders::assert_holds(&report, gap);
    let ledger = ledger(&report);
    assert!(ledger.lost == 0 && ledger.acknowledged > 100, "{ledger:?}");
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert!(agents.pods(&lab).await.is_empty());
    drop(sync);
    until_it_is(&lab, "async").await;
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}
