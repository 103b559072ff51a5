//! What a drill on the lab's database cluster leaves to be held against: who was primary and who is, what the report lists as
//! lost, and what the members themselves hold of the ledger.

use crate::lab::{Lab, SHOP};
use crate::poller::Gap;
use crate::runner::{Ended, Runner};
use firedrill_core::chunk;
use firedrill_core::event::{Event, Record};
use firedrill_core::report::{Bearing, Ledger, Member, Report, StreamReport, Verdict};
use firedrill_core::sample::{Failure, Outcome, View};
use firedrill_core::time::{Known, Mono};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeSet;
use std::time::Duration;

/// An experiment on `orders`: how its primary is lost, and what is expected of it.
pub fn experiment(by: &str, expect: &str) -> String {
    format!(
        "objectives: {{ rto: 60s, rpo: 0s }}
probes: [orders-write]
method:
  - kill-primary: {{ target: orders-db, by: {by} }}
baseline: {{ for: 5s, tolerate: 20 }}
recover: {{ expect: {expect}, stable-for: 3s, deadline: 100s }}
"
    )
}

/// What may be said of the measuring alone, on a machine that has too much to do.
const DOUBTS: &[&str] = &[
    "asked too little before the fault",
    "was failing already at the injection",
    "failed again after it had been stable",
    "lies within what is not known",
    "times before the fault",
];

/// The reasons that leave the verdict open, but for doubts about the measuring.
pub fn left_open(report: &Report) -> Vec<&str> {
    let open = report.judgement.reasons.iter().filter(|r| r.bearing == Bearing::LeavesOpen);
    open.map(|r| r.text.as_str()).filter(|text| !DOUBTS.iter().any(|doubt| text.contains(doubt))).collect()
}

/// The report of a drill that passed, or would have on a machine with nothing else to do.
pub fn passed(ended: &Ended) -> Report {
    let report = ended.report();
    if report.judgement.verdict == Verdict::Inconclusive && left_open(&report).is_empty() {
        assert_eq!(ended.code(), Some(3), "{ended:?}");
        return report;
    }
    ended.verdict(Verdict::Pass, 0)
}

/// The ledger's account.
pub fn ledger(report: &Report) -> &Ledger {
    match &report.loss {
        Known::Known(loss) => &loss.ledgers[0],
        Known::Unknown(why) => panic!("the loss is not known: {why}"),
    }
}

/// What happened, by its name.
pub fn found(report: &Report) -> &str {
    report.exercised.found.known().map_or("", String::as_str)
}

fn primaries(members: &[Member]) -> Vec<&Member> {
    members.iter().filter(|m| m.role == "primary").collect()
}

/// The report names who was primary, and on which timeline, and who is now; the very pods that Patroni calls so.
pub async fn assert_promoted(lab: &Lab, report: &Report, before: &Pod) {
    let after = lab.primary().await.expect("one primary");
    let topology = &report.topologies[0];
    let [was] = primaries(&topology.before)[..] else { panic!("{topology:?}") };
    let [is] = primaries(&topology.after)[..] else { panic!("{topology:?}") };
    assert_eq!(was.name, before.name_any());
    assert_eq!(is.name, after.name_any());
    assert_ne!(was.name, is.name, "another member is the primary");
    assert!(is.timeline.known() > was.timeline.known() && was.timeline.known().is_some(), "{topology:?}");
    let detail = format!("{} → {}, timeline", was.name, is.name);
    assert!(report.exercised.detail.starts_with(&detail), "{:?}", report.exercised);
}

/// The outage that was measured by new connections holds the one that a poller saw, which makes new ones too. Who keeps a
/// connection waits for its time limit besides.
pub fn assert_holds(report: &Report, gap: Gap) {
    let fresh = |s: &&StreamReport| s.info.stream.probe == "orders-write" && s.info.stream.view == View::Fresh;
    let stream = report.streams.iter().find(fresh).expect("it asks by new connections");
    let outage = stream.outages.iter().map(|o| o.length).max_by_key(|l| l.lower_ns).expect("an outage that users saw");
    let (lower, upper) = (Duration::from(outage.lower_ns), Duration::from(outage.upper_ns.expect("it ended")));
    assert!(lower <= gap.most && gap.least <= upper, "measured {lower:?} to {upper:?}; the poller saw {gap:?}");
}

/// A row of the ledger: the number of its stream in the table, and its own.
pub type Row = (u64, u64);

/// The rows of a drill that a member holds, asked at its own address.
pub async fn rows(lab: &Lab, member: &Pod, drill: &str) -> Result<BTreeSet<Row>, sqlx::Error> {
    let address = member.status.as_ref().and_then(|s| s.pod_ip.clone()).unwrap();
    let mut session = PgConnection::connect(&lab.superuser_url(&address, "shop")).await?;
    // The proof that a node takes writes is no write of a probe.
    let sql = "select stream, seq from firedrill.ledger where drill = $1::text::uuid and stream >= 0";
    let rows: Vec<(i32, i64)> = sqlx::query_as(sql).bind(drill).fetch_all(&mut session).await?;
    session.close().await?;
    Ok(rows.into_iter().map(|(stream, seq)| (u64::try_from(stream).unwrap(), u64::try_from(seq).unwrap())).collect())
}

/// The drill of these records.
pub fn drill_of(records: &[Record]) -> String {
    let opened = records.iter().find_map(|r| match &r.event {
        Event::Opened(opening) => Some(opening.drill.clone()),
        _ => None,
    });
    opened.expect("a drill begins with its opening")
}

/// The rows that the report lists as lost: all of them, each once.
pub fn lost(report: &Report, records: &[Record]) -> BTreeSet<Row> {
    let ledger = ledger(report);
    let streams = records.iter().find_map(|r| match &r.event {
        Event::ProbingBegan(streams) => Some(streams),
        _ => None,
    });
    let of = |id: &String| {
        let [probe, view, epoch, seq] = id.split('/').collect::<Vec<_>>()[..] else { panic!("{id}") };
        let mut named = streams.unwrap().iter().map(|s| (s.stream.probe.as_str(), s.stream.view.word()));
        let position = named.position(|named| named == (probe, view)).unwrap_or_else(|| panic!("{id}"));
        (1000 * epoch.parse::<u64>().unwrap() + position as u64, seq.parse().unwrap())
    };
    let lost: BTreeSet<Row> = ledger.lost_ids.iter().map(of).collect();
    assert_eq!(lost.len() as u64, ledger.lost, "{ledger:?}");
    lost
}

/// The rows that the drill's samples say were acknowledged.
pub async fn acknowledged(runner: &Runner, drill: &str) -> BTreeSet<Row> {
    acknowledged_since(runner, drill, Mono(0)).await
}

/// Those of which the client heard so after a moment.
pub async fn acknowledged_since(runner: &Runner, drill: &str, since: Mono) -> BTreeSet<Row> {
    let mut rows = BTreeSet::new();
    for stored in runner.journal().await.samples(drill).await.unwrap() {
        let told = |o: &Outcome| matches!(o, Outcome::Ok { .. } | Outcome::Failed(Failure::TooSlow));
        let samples = chunk::decode(&stored.bytes).unwrap().samples;
        let stream = 1000 * stored.epoch + u64::from(stored.stream);
        rows.extend(samples.iter().filter(|s| s.done_ns > since && told(&s.outcome)).map(|s| (stream, s.seq)));
    }
    rows
}

/// What the report lists is what was acknowledged and what the primary does not hold: no more, no less.
pub fn assert_exactly(lost: &BTreeSet<Row>, acknowledged: &BTreeSet<Row>, held: &BTreeSet<Row>) {
    let gone: BTreeSet<Row> = acknowledged.difference(held).copied().collect();
    let (untold, wrong): (Vec<_>, Vec<_>) = (gone.difference(lost).collect(), lost.difference(&gone).collect());
    assert!(untold.is_empty() && wrong.is_empty(), "not told: {untold:?}; told, and not lost: {wrong:?}");
}

/// The pods that carry the primary's label.
pub async fn labelled(lab: &Lab) -> Vec<String> {
    let role = |p: &Pod| p.labels().get("role").is_some_and(|r| r == "master" || r == "primary");
    lab.members().await.iter().filter(|p| role(p)).map(kube::ResourceExt::name_any).collect()
}

/// The member that is not the primary.
pub async fn standby(lab: &Lab, primary: &Pod) -> Pod {
    let mut others = lab.members().await;
    others.retain(|p| p.name_any() != primary.name_any());
    others.pop().unwrap_or_else(|| panic!("{SHOP} has a standby"))
}
