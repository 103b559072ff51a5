//! The shop's deployments to zero, on a cluster whose controllers and kubelet are real: everything is back whatever happens.

use crate::lab::{Lab, Part, SHOP};
use crate::runner::{LOOK_EVERY, Runner, Running};
use firedrill_core::event::Event;
use firedrill_core::report::{ResidueState, Verdict};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn experiment(hold: &str) -> String {
    format!(
        "objectives: {{ rto: 60s }}
probes: [storefront]
method:
  - scale-to-zero: {{ target: web, hold: {hold}, waves: [[storefront], [cart, checkout]] }}
baseline: {{ for: 1s }}
recover: {{ stable-for: 2s, deadline: 5m }}
"
    )
}

/// A drill at zero, and the counts from before.
async fn at_zero(part: Part, hold: &str) -> (Lab, Runner, BTreeMap<String, i32>, Running) {
    let lab = Lab::enter(part).await;
    let runner = Runner::new(&lab, "one");
    let counts = lab.counts().await;
    let mut drill = runner.start(runner.drill(&lab.write("web-to-zero", &experiment(hold))));
    drill.until(|e| *e == Event::LossSeen).await;
    (lab, runner, counts, drill)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_deployment_comes_back_with_its_count() {
    let lab = Lab::enter(Part::Web).await;
    let runner = Runner::new(&lab, "one");
    let counts = lab.counts().await;
    let report = runner.run(&lab.write("web-to-zero", &experiment("2s"))).await.verdict(Verdict::Pass, 0);
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert_eq!(lab.counts().await, counts);
    let pods: u32 = report.waves.iter().flat_map(|w| &w.workloads).map(|w| w.captured).sum();
    assert_eq!(pods, 6, "{:?}", report.waves);
    lab.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_at_zero_brings_everything_back_at_once() {
    let (lab, _, counts, drill) = at_zero(Part::Web, "1m").await;
    drill.signal(Signal::INT);
    let report = drill.ended().await.verdict(Verdict::Aborted, 4);
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert_eq!(lab.counts().await, counts);
    lab.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_killed_at_zero_is_followed_by_one_that_brings_everything_back() {
    let (lab, runner, counts, drill) = at_zero(Part::Web, "1m").await;
    drill.signal(Signal::KILL);
    drop(drill.ended().await);
    assert!(lab.counts().await.values().all(|count| *count == 0), "nobody has brought them back yet");
    // A person sees what is to be done from the object alone.
    let marked = lab.api::<Deployment>(SHOP).get("storefront").await.unwrap();
    assert_eq!(marked.annotations().get("firedrill.dev/replicas").map(String::as_str), Some("3"));
    let undone = runner.undo().await;
    assert_eq!(undone.code(), Some(0), "{undone:?}");
    let report = undone.report();
    assert_eq!(report.judgement.verdict, Verdict::Inconclusive, "not held as declared, so not proven");
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert_eq!(lab.counts().await, counts);
    lab.assert_nothing_left().await;
}

/// The lab's own process of a part, as it recorded it.
fn part(lab: &Lab, name: &str) -> Pid {
    let text = std::fs::read_to_string(lab.directory().join("pids").join(name)).unwrap();
    Pid::from_raw(text.split_whitespace().next().unwrap().parse().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_seconds_without_an_api_server_leave_nothing_at_zero() {
    let (lab, _, counts, mut drill) = at_zero(Part::Everything, "3s").await;
    let apiserver = part(&lab, "kube-apiserver");
    kill_process(apiserver, Signal::STOP).unwrap();
    // The length is what is tested: the API is away for longer than any request waits, and the runner stays.
    let away = Instant::now();
    while away.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(LOOK_EVERY).await;
        assert!(drill.is_running(), "the runner left while the API was away");
    }
    kill_process(apiserver, Signal::CONT).unwrap();
    let ended = drill.ended().await;
    let report = ended.report();
    assert_eq!(report.residue.state, ResidueState::Clean, "{:#?}", report.residue);
    assert_eq!(lab.counts().await, counts, "{:?}", report.judgement);
    lab.until_whole().await;
    lab.assert_nothing_left().await;
}
