//! The primary of a PostgreSQL under real Patroni is removed as people remove it: deleted, evicted, asked to hand over.

use crate::lab::{Lab, Part, SHOP};
use crate::orders::{self, experiment, found, ledger};
use crate::poller::Poller;
use crate::runner::Runner;
use firedrill_core::report::{Exercise, Report, ResidueState};

/// That another member took over is known, and how the one before parted with its role.
fn assert_a_promotion(report: &Report) {
    assert_eq!(report.exercised.status, Exercise::AsExpected, "{:?}", report.exercised);
    assert!(matches!(found(report), "failover" | "hand-over"), "{:?}", report.exercised);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_pod_hands_over_or_fails_over_and_the_interval_holds_what_a_poller_saw() {
    let lab = Lab::enter(Part::Orders).await;
    let runner = Runner::new(&lab, "one");
    let before = lab.primary().await.unwrap();
    let poller = Poller::start(lab.superuser_url(&lab.address(SHOP, "orders").await, "postgres")).await;
    let report = runner.run(&lab.write("orders-primary-loss", &experiment("delete-pod", "promotion"))).await;
    let gap = poller.stop();
    let report = orders::passed(&report);

    assert_a_promotion(&report);
    orders::assert_promoted(&lab, &report, &before).await;
    orders::assert_holds(&report, gap);
    assert_eq!(report.residue.state, ResidueState::Clean);
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evicted_pod_hands_over_or_fails_over() {
    let lab = Lab::enter(Part::Orders).await;
    let runner = Runner::new(&lab, "one");
    let before = lab.primary().await.unwrap();
    let report = runner.run(&lab.write("orders-drained", &experiment("evict", "promotion"))).await;
    let report = orders::passed(&report);

    assert_a_promotion(&report);
    orders::assert_promoted(&lab, &report, &before).await;
    assert_eq!(ledger(&report).lost, 0);
    assert_eq!(report.residue.state, ResidueState::Clean);
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switchover_is_a_hand_over_and_no_failover() {
    let lab = Lab::enter(Part::Orders).await;
    let runner = Runner::new(&lab, "one");
    let before = lab.primary().await.unwrap();
    let report = runner.run(&lab.write("orders-switchover", &experiment("switchover", "hand-over"))).await;
    let report = orders::passed(&report);

    assert_eq!(found(&report), "hand-over", "{:?}", report.exercised);
    assert_eq!(report.exercised.status, Exercise::AsExpected);
    orders::assert_promoted(&lab, &report, &before).await;
    assert_eq!(ledger(&report).lost, 0);
    let uids =
        |lab: Vec<k8s_openapi::api::core::v1::Pod>| lab.into_iter().any(|p| p.metadata.uid == before.metadata.uid);
    assert!(uids(lab.members().await), "nobody's pod was touched");
    assert_eq!(report.residue.state, ResidueState::Clean);
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}
