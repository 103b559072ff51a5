//! The primary of a PostgreSQL under real Patroni is removed.

use crate::lab::{Lab, Part};
use crate::poller::Poller;
use crate::runner::Runner;
use firedrill_core::report::{Report, ResidueState, Verdict};
use firedrill_core::time::Known;
use kube::ResourceExt as _;
use std::time::Duration;

fn experiment(by: &str, expect: &str) -> String {
    format!(
        "objectives: {{ rto: 60s, rpo: 0s }}
probes: [orders-write]
method:
  - kill-primary: {{ target: orders-db, by: {by} }}
baseline: {{ for: 3s }}
recover: {{ expect: {expect}, stable-for: 3s, deadline: 80s }}
"
    )
}

/// The names of the members that were, and are, primary.
fn primaries(report: &Report) -> (Vec<&str>, Vec<&str>) {
    let topology = &report.topologies[0];
    let of = |members: &'_ [firedrill_core::report::Member]| {
        members.iter().filter(|m| m.role == "primary").map(|m| m.name.clone()).collect::<Vec<_>>()
    };
    let find = |names: Vec<String>| -> Vec<&str> {
        let all = topology.before.iter().chain(&topology.after);
        names.iter().filter_map(|n| all.clone().find(|m| m.name == *n)).map(|m| m.name.as_str()).collect()
    };
    (find(of(&topology.before)), find(of(&topology.after)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_pod_hands_over_or_fails_over_and_the_interval_holds_what_a_poller_saw() {
    let lab = Lab::enter(Part::Orders).await;
    let runner = Runner::new(&lab, "one");
    let before = lab.primary().await.unwrap();
    let poller = Poller::start(lab.superuser_url(&lab.address(crate::lab::SHOP, "orders").await, "postgres")).await;
    let report = runner.run(&lab.write("orders-primary-loss", &experiment("delete-pod", "promotion"))).await;
    let gap = poller.stop();
    let report = report.verdict(Verdict::Pass, 0);

    let found = report.exercised.found.known().map(String::as_str);
    assert!(matches!(found, Some("failover" | "hand-over")), "{:?}", report.exercised);
    let after = lab.primary().await.expect("one primary");
    let (was, is) = primaries(&report);
    assert_eq!(was, [before.name_any()]);
    assert_eq!(is, [after.name_any()]);
    assert_ne!(was, is, "another member is the primary");
    let timeline = |members: &[firedrill_core::report::Member], name: &str| {
        members.iter().find(|m| m.name == name).and_then(|m| m.timeline.known().copied()).unwrap()
    };
    let topology = &report.topologies[0];
    assert!(timeline(&topology.after, is[0]) > timeline(&topology.before, was[0]), "{topology:?}");

    let Known::Known(recovery) = &report.recovery else { panic!("{:?}", report.recovery) };
    let outage = *recovery.user_outage.known().expect("an outage that users saw");
    let (lower, upper) = (Duration::from(outage.lower_ns), Duration::from(outage.upper_ns.expect("it ended")));
    assert!(lower <= gap.most && gap.least <= upper, "measured {lower:?} to {upper:?}; the poller saw {gap:?}");
    assert_eq!(report.residue.state, ResidueState::Clean);
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}
