//! Patroni stands still beside a primary that goes on: a split brain, whose lost writes the drill names one by one.

use crate::agents::Agents;
use crate::lab::{Lab, Part, SHOP};
use crate::runner::{LOOK_EVERY, Runner, SOON};
use firedrill::targets::patroni;
use firedrill_core::event::Event;
use firedrill_core::report::{Report, ResidueState, Verdict};
use firedrill_core::time::Known;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeSet;

/// So many writes that only the old primary has must be there before they are compared.
const ENOUGH: usize = 40;

fn experiment(way: &str) -> String {
    format!(
        "objectives: {{ rto: 60s, rpo: 0s }}
probes: [orders-write]
method:
  - kill-manager: {{ target: orders-db, {way} }}
baseline: {{ for: 3s, tolerate: 20 }}
recover: {{ expect: failover, stable-for: 3s, deadline: 75s }}
"
    )
}

fn address(pod: &Pod) -> String {
    pod.status.as_ref().unwrap().pod_ip.clone().unwrap()
}

/// The container as it was started.
fn container(pod: &Pod) -> String {
    let status = &pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0];
    status.container_id.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_stands_still_is_a_split_brain_and_its_lost_writes_are_named() {
    let lab = Lab::enter(Part::Orders).await;
    let agents = Agents::enter(&lab);
    let before = lab.primary().await.unwrap();
    to_kill_it_is_refused_where_the_container_would_end(&lab, &before).await;

    let runner = Runner::new(&lab, "stop");
    let mut drill = runner.start(runner.drill(&lab.write("orders-manager-stop", &experiment("by: stop, for: 35s"))));
    let records = drill.until(|e| matches!(e, Event::Landed { .. })).await;
    let landed = records.iter().find_map(|r| match &r.event {
        Event::Landed { evidence, .. } => Some(evidence.clone()),
        _ => None,
    });
    assert!(landed.as_ref().is_some_and(|l| l.contains("did not answer") && l.contains("as primary")), "{landed:?}");
    let only_there = writes_of_the_old_primary_alone(&lab, &before).await;
    let report = drill.ended().await.verdict(Verdict::Fail, 1);

    assert!(report.judgement.cause.contains("two servers took writes"), "{:?}", report.judgement);
    match &report.exercised.found {
        Known::Known(what) => assert_eq!(what, "failover", "{:?}", report.exercised),
        // On a busy machine no look may be answered in so short a baseline.
        Known::Unknown(why) => assert!(why.contains("was seen before the injection"), "{:?}", report.exercised),
    }
    lost_by_number(&report, &only_there);
    assert_eq!(report.residue.state, ResidueState::Clean, "{:#?}", report.residue);
    assert!(agents.pods(&lab).await.is_empty());

    lab.until_whole().await;
    let (now, old) =
        (lab.primary().await.expect("one primary"), lab.api::<Pod>(SHOP).get(&before.name_any()).await.unwrap());
    assert_ne!(now.name_any(), before.name_any(), "another member took over");
    assert_eq!(container(&old), container(&before), "nothing but the manager was touched");
    lab.assert_nothing_left().await;
}

/// In the lab Patroni is the first process of its container.
async fn to_kill_it_is_refused_where_the_container_would_end(lab: &Lab, primary: &Pod) {
    let runner = Runner::new(lab, "kill");
    let report = runner.run(&lab.write("orders-manager-kill", &experiment("by: kill"))).await;
    let report = report.verdict(Verdict::Refused, 5);
    assert!(report.judgement.cause.contains("first process of its container"), "{:?}", report.judgement);
    assert_eq!(report.residue.state, ResidueState::Clean, "{:#?}", report.residue);
    let after = lab.api::<Pod>(SHOP).get(&primary.name_any()).await.unwrap();
    assert_eq!(container(&after), container(primary));
    patroni::answers(&patroni::api_of(&address(primary), 8008)).await.expect("nobody touched it");
}

/// Every write of the drill's ledger that the old primary has and the new one lacks, once there are enough of them: as the
/// two themselves say while both take writes. By stream of the table, and number.
async fn writes_of_the_old_primary_alone(lab: &Lab, old: &Pod) -> BTreeSet<(i32, i64)> {
    let comparing = async {
        let members = lab.members().await;
        let new = members.iter().find(|p| p.name_any() != old.name_any()).unwrap();
        let mut there = PgConnection::connect(&lab.superuser_url(&address(old), "shop")).await.unwrap();
        let mut here = PgConnection::connect(&lab.superuser_url(&address(new), "shop")).await.unwrap();
        loop {
            let standby: bool = sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut here).await.unwrap();
            if !standby {
                // What a standby has not replayed yet is not lost; what a primary lacks is.
                let (old, new) = (rows(&mut there).await, rows(&mut here).await);
                let alone: BTreeSet<(i32, i64)> = old.difference(&new).copied().collect();
                if alone.len() >= ENOUGH {
                    return alone;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(SOON, comparing).await.expect("another member takes over, and the old one goes on")
}

async fn rows(session: &mut PgConnection) -> BTreeSet<(i32, i64)> {
    let sql =
        "select stream, seq from firedrill.ledger where drill = (select max(drill::text)::uuid from firedrill.ledger)";
    sqlx::query_as::<_, (i32, i64)>(sql).fetch_all(session).await.unwrap().into_iter().collect()
}

/// The report names exactly what is lost: all that the test saw on the old primary alone, and what it took after that.
fn lost_by_number(report: &Report, seen: &BTreeSet<(i32, i64)>) {
    let loss = report.loss.known().unwrap();
    let [ledger] = &loss.ledgers[..] else { panic!("{loss:?}") };
    assert!(ledger.lost >= seen.len() as u64 && ledger.lost_after_landing > 0, "{ledger:?}");
    assert_eq!(ledger.lost_ids.len() as u64, ledger.lost, "{ledger:?}");
    // `orders-write/kept/1/000123` is row 123 of the first runner's first stream, which the table calls 1000.
    let named = ledger.lost_ids.iter().map(|id| {
        let mut parts = id.split('/').skip(1);
        let stream = if parts.next() == Some("kept") { 1000 } else { 1001 };
        (stream, parts.nth(1).unwrap().parse().unwrap())
    });
    let named: BTreeSet<(i32, i64)> = named.collect();
    for stream in [1000, 1001] {
        let of =
            |all: &BTreeSet<(i32, i64)>| all.iter().filter(|(s, _)| *s == stream).copied().collect::<BTreeSet<_>>();
        let (named, seen) = (of(&named), of(seen));
        let Some(newest) = seen.last().copied() else { continue };
        let (then, later): (BTreeSet<_>, BTreeSet<_>) = named.into_iter().partition(|write| *write <= newest);
        // A write that was made and never acknowledged is none that anybody counted on.
        let surplus: Vec<_> = then.difference(&seen).collect();
        assert!(surplus.is_empty(), "named, and not seen: {surplus:?}");
        let unnamed = seen.difference(&then).count();
        assert!(unnamed as u64 <= ledger.unknown, "{unnamed} seen, and not named; later: {}", later.len());
    }
}
