//! The processes of a primary are killed, or stopped, from its node.

use crate::agents::Agents;
use crate::lab::{Lab, Part, SHOP};
use crate::orders::{self, experiment, found, ledger};
use crate::patroni::Setting;
use crate::poller::Poller;
use crate::runner::{LOOK_EVERY, Runner, SOON};
use firedrill_core::event::Event;
use firedrill_core::report::{Exercise, ResidueState, Verdict};
use firedrill_core::sight::TargetView;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};

/// How often a primary is frozen until it acknowledges something beside its successor.
const FREEZES_MAX: usize = 3;

/// A primary whose container was never restarted: others the kubelet starts again only after a while.
async fn fresh_primary(lab: &Lab) -> Pod {
    loop {
        lab.until_whole().await;
        let primary = lab.primary().await.unwrap();
        let status = primary.status.as_ref().and_then(|s| s.container_statuses.clone()).unwrap_or_default();
        if status.iter().all(|c| c.restart_count == 0) {
            return primary;
        }
        lab.api::<Pod>(SHOP).delete(&primary.name_any(), &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_that_nobody_holds_down_is_a_restart_in_place_and_no_promotion() {
    let lab = Lab::enter(Part::Orders).await;
    let before = fresh_primary(&lab).await;
    let agents = Agents::enter(&lab);
    // On a machine that is busy, the container may take longer to come back than Patroni waits otherwise.
    let patient = Setting::new(&lab, r#"{ "ttl": 90 }"#, r#"{ "ttl": 20 }"#).await;
    let runner = Runner::new(&lab, "one");
    let report = runner.run(&lab.write("orders-crash", &experiment("crash", "promotion"))).await;
    let report = report.verdict(Verdict::Inconclusive, 3);

    assert_eq!(found(&report), "restart in place", "{:?}", report.exercised);
    assert_eq!(report.exercised.status, Exercise::NotExercised);
    let open = orders::left_open(&report);
    assert!(open.len() == 1 && open[0].starts_with("Not exercised"), "{:?}", report.judgement);
    let after = lab.primary().await.unwrap();
    assert_eq!((after.name_any(), after.metadata.uid), (before.name_any(), before.metadata.uid), "the same pod");
    assert_eq!(ledger(&report).lost, 0);
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert!(agents.pods(&lab).await.is_empty());
    drop(patient);
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}

/// Whether the primary that goes on acknowledges a write before its own Patroni stops it is a race between the two: a commit
/// that waits for a busy disk loses it. So nothing else runs beside, what others wrote is on the disk before, and it is frozen
/// again until that was seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_primary_is_replaced_and_what_it_acknowledges_when_it_goes_on_is_told() {
    let lab = Lab::enter(Part::Everything).await;
    let agents = Agents::enter(&lab);
    let mut acknowledged = Vec::new();
    for attempt in 0..FREEZES_MAX {
        rustix::fs::sync();
        let runner = Runner::new(&lab, &format!("freeze-{attempt}"));
        acknowledged.push(frozen(&lab, &agents, &runner).await);
        lab.until_whole().await;
        if acknowledged.last() > Some(&0) {
            break;
        }
    }
    assert!(acknowledged.last() > Some(&0), "it acknowledged nothing beside its successor: {acknowledged:?}");
    lab.assert_nothing_left().await;
}

/// A primary is frozen for 45 s: another takes over, it goes on, and whatever it acknowledged then is named. How many those were.
async fn frozen(lab: &Lab, agents: &Agents, runner: &Runner) -> u64 {
    let before = lab.primary().await.unwrap();
    let poller = Poller::start(lab.superuser_url(&lab.address(SHOP, "orders").await, "postgres")).await;
    let text = experiment("freeze, for: 45s", "failover").replace("[orders-write]", "[orders-write, orders-held]")
        + "exclude: { orders-held: it holds on to the member that is frozen }\n";
    let mut drill = runner.start(runner.drill(&lab.write("orders-freeze", &text)));
    // Another is primary, and the one before still carries the label.
    let both = |e: &Event| match e {
        Event::Sighted(sight) => match &sight.view {
            TargetView::Postgres(view) => {
                let taken_over = view.primaries().any(|(m, _)| m.pod != before.name_any() && m.labelled_primary);
                taken_over && view.members.iter().filter(|m| m.labelled_primary).count() == 2
            }
            TargetView::Deployments(_) => false,
        },
        _ => false,
    };
    drill.until(|e| matches!(e, Event::Landed { .. })).await;
    drill.until(both).await;
    assert_eq!(orders::labelled(lab).await.len(), 2, "as anybody sees who asks for the label");
    let records = drill.until(|e| matches!(e, Event::ProbingEnded(_))).await;
    let landed = records.iter().find_map(|r| match &r.event {
        Event::Landed { at, .. } => Some(*at),
        _ => None,
    });
    let landed = landed.expect("it has landed");
    let name = orders::drill_of(&records);
    let held = orders::rows(lab, &lab.primary().await.expect("one primary"), &name).await.unwrap();
    let ended = drill.ended().await;
    let gap = poller.stop();

    let report = ended.report();
    let ledger = ledger(&report);
    let expected = if ledger.lost > 0 { (Verdict::Fail, Some(1)) } else { (Verdict::Pass, Some(0)) };
    assert_eq!((report.judgement.verdict, ended.code()), expected, "{:#?}", report.judgement);
    assert_eq!(found(&report), "failover", "{:?}", report.exercised);
    orders::assert_promoted(lab, &report, &before).await;
    orders::assert_holds(&report, gap);
    let lost = orders::lost(&report, &records);
    orders::assert_exactly(&lost, &orders::acknowledged(runner, &name).await, &held);
    // Those that were under way when it froze count too: it acknowledged them when it went on.
    let late = orders::acknowledged_since(runner, &name, landed).await;
    let late = late.intersection(&lost).count() as u64;
    assert!(late >= ledger.lost_after_landing, "{late} of {ledger:?}");
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert!(agents.pods(lab).await.is_empty());
    late
}

/// The runner is killed while it holds a primary; the agent lets go by its own clock, and an undo finds nothing to hold.
async fn a_runner_dies(lab: &Lab, agents: &Agents, by: &str) {
    let before = fresh_primary(lab).await;
    let runner = Runner::new(lab, by.split_once(',').unwrap().0);
    let mut drill = runner.start(runner.drill(&lab.write("orders-held", &experiment(by, "restart"))));
    drill.until(|e| matches!(e, Event::Landed { .. })).await;
    drill.signal(Signal::KILL);
    drop(drill.ended().await);
    agents.until_its_time_is_over(lab).await;
    let address = before.status.as_ref().and_then(|s| s.pod_ip.clone()).unwrap();
    let answers = async {
        while PgConnection::connect(&lab.superuser_url(&address, "postgres")).await.is_err() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(SOON, answers).await.expect("the member goes on, and nobody has undone anything");

    let undone = runner.undo().await;
    assert_eq!(undone.code(), Some(0), "{undone:?}");
    let report = undone.report();
    assert_eq!(report.identity.runners.len(), 2, "taken over: {:?}", report.identity);
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert!(agents.pods(lab).await.is_empty(), "the agent is taken away");
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_dies_while_it_holds_a_primary_keeps_nobody_down() {
    let lab = Lab::enter(Part::Orders).await;
    let agents = Agents::enter(&lab);
    a_runner_dies(&lab, &agents, "freeze, for: 8s").await;
    a_runner_dies(&lab, &agents, "crash, hold-down: until-promoted, at-most: 8s").await;
}
