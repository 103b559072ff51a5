//! Drills that are stopped: one signal undoes and reports, a second one leaves at once and says what is left.

use crate::support::{files, left, runner::Runner, scene::Scene, scene::whole_shop};
use firedrill::targets::cluster::USER_AGENT;
use firedrill_core::event::Event;
use firedrill_core::report::{ResidueState, Verdict};
use firedrill_sandbox::faults::{Fault, Rule, Selection};
use rustix::process::Signal;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_undoes_and_reports_and_a_second_one_says_what_is_left() {
    let scene = Scene::start().await;
    terminated_during_the_hold(&scene).await;
    interrupted_twice(&scene).await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_stops_what_is_under_way_and_refuses_what_begins_until_it_is_lifted() {
    let scene = Scene::start().await;
    halted_by_command(&scene).await;
    halted_by_annotation(&scene).await;
    scene.stop().await;
}

async fn halted_by_command(scene: &Scene) {
    let runner = Runner::new(scene, "halted");
    let mut drill = runner.start(runner.drill(&scene.write(&files::scale_to_zero("60s", "storefront"))));
    drill.until(|e| *e == Event::LossSeen).await;
    assert_eq!(runner.ended(runner.command(&[&"halt", &"--why", &"an incident"])).await.code(), Some(0));
    let report = drill.ended().await.verdict(Verdict::Aborted, 4);
    assert!(report.judgement.cause.contains("an incident"), "{:?}", report.judgement);
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert_eq!(scene.counts().await, whole_shop());
    scene.healthy().await;

    let again = scene.write(&files::scale_to_zero("1s", "storefront"));
    let refused = runner.run(&again).await.verdict(Verdict::Refused, 5);
    assert!(refused.judgement.cause.contains("halt"), "{:?}", refused.judgement);
    let status = runner.status().await;
    assert!(status.stdout.contains("an incident"), "{status:?}");
    assert_eq!(runner.ended(runner.command(&[&"resume"])).await.code(), Some(0));
    runner.run(&again).await.verdict(Verdict::Pass, 0);
    left::assert_nothing(scene, &runner).await;
}

async fn halted_by_annotation(scene: &Scene) {
    let runner = Runner::new(scene, "annotated");
    let mut drill = runner.start(runner.drill(&scene.write(&files::scale_to_zero("60s", "storefront"))));
    drill.until(|e| *e == Event::LossSeen).await;
    scene.halt(Some("no drills today")).await;
    let report = drill.ended().await.verdict(Verdict::Aborted, 4);
    assert!(report.judgement.cause.contains("no drills today"), "{:?}", report.judgement);
    assert_eq!(scene.counts().await, whole_shop());
    scene.healthy().await;
    let again = scene.write(&files::scale_to_zero("1s", "storefront"));
    let refused = runner.run(&again).await.verdict(Verdict::Refused, 5);
    assert!(refused.judgement.cause.contains("Halt of the namespace"), "{:?}", refused.judgement);
    scene.halt(None).await;
    left::assert_nothing(scene, &runner).await;
}

async fn terminated_during_the_hold(scene: &Scene) {
    let runner = Runner::new(scene, "once");
    let mut drill = runner.start(runner.drill(&scene.write(&files::scale_to_zero("30s", "storefront"))));
    drill.until(|e| *e == Event::LossSeen).await;
    drill.signal(Signal::TERM);
    let report = drill.ended().await.verdict(Verdict::Aborted, 4);
    assert_eq!(report.residue.state, ResidueState::Clean);
    assert!(report.abort.is_some());
    assert_eq!(scene.counts().await, whole_shop());
    left::assert_nothing(scene, &runner).await;
    scene.healthy().await;
}

async fn interrupted_twice(scene: &Scene) {
    let runner = Runner::new(scene, "twice");
    let mut drill = runner.start(runner.drill(&scene.write(&files::scale_to_zero("30s", "storefront"))));
    drill.until(|e| *e == Event::LossSeen).await;
    // Its undo hangs: nothing is put back while the second signal comes.
    let on = Selection { user_agent: Some(USER_AGENT.to_owned()), ..Selection::of("patch", "deployments") };
    let faults = scene.sandbox.cluster().faults();
    faults.add(Rule::always(on, Fault::Slow { delay_ms: 60_000 }));
    drill.signal(Signal::INT);
    drill.until(|e| matches!(e, Event::Looked { .. })).await;
    drill.signal(Signal::INT);
    let ended = drill.ended().await;
    assert_eq!(ended.code(), Some(6), "{ended:?}");
    for name in ["storefront", "cart", "checkout"] {
        assert!(ended.stderr.contains(name), "{name} is not named: {}", ended.stderr);
    }
    assert!(ended.stderr.contains("firedrill undo"), "{}", ended.stderr);
    assert_eq!(runner.status().await.code(), Some(6), "what is owed is told");

    faults.clear();
    let undone = runner.undo().await;
    assert_eq!(undone.code(), Some(0), "{undone:?}");
    assert_eq!(scene.counts().await, whole_shop());
    left::assert_nothing(scene, &runner).await;
}
