//! A runner lost for good: the dead man brings back what still carries the drill's mark, and nothing else; and a runner that
//! comes back after all finds his mark.

use crate::support::scene::{LOOK_EVERY, PROGRAM, Scene, whole_shop};
use crate::support::{files, left, runner::Ended, runner::Runner};
use firedrill::targets::cluster::{DEAD_MAN_ANNOTATION, DRILL_ANNOTATION};
use firedrill_core::effect::Effect;
use firedrill_core::event::{Event, Record};
use firedrill_core::report::{Report, ResidueState, UndoOutcome};
use firedrill_sandbox::faults::{Fault, Rule, Selection};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rustix::process::Signal;
use serde_json::json;
use std::process::Stdio;
use tokio::process::Command;

/// How long the lease may go without being renewed.
const AFTER: &str = "2s";
/// Renewals, one each [`LOOK_EVERY`]: for longer than [`AFTER`].
const RENEWALS: usize = 150;

fn dead_man(scene: &Scene, lease: &str, drill: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["dead-man", "--namespace", scene.namespace(), "--lease", lease, "--drill", drill, "--after", AFTER]);
    command.arg("--kubeconfig").arg(&scene.sandbox.facts().kubeconfig);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The lock of a drill, by its plan.
fn lock(records: &[Record]) -> String {
    let plan = records.iter().find_map(|r| match &r.event {
        Event::Planned(plan) => Some(plan),
        _ => None,
    });
    let lease = plan.unwrap().steps.iter().find_map(|s| match &s.effect {
        Effect::Lock { lease, .. } => Some(lease.name.clone()),
        _ => None,
    });
    lease.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_runner_left_at_zero_comes_back_when_its_lease_lapses() {
    let scene = Scene::start().await;
    let runner = Runner::new(&scene, "lost");
    let mut drill = runner.start(runner.drill(&scene.write(&files::scale_to_zero("30s", "storefront"))));
    let lease = lock(&drill.until(|e| *e == Event::LossSeen).await);
    let id = runner.journal().await.drills().await.unwrap().remove(0).drill;
    let leases: Api<Lease> = Api::namespaced(scene.client(), scene.namespace());
    drill.signal(Signal::KILL);
    drill.ended().await;

    // As long as somebody renews, whoever it is, he does nothing.
    let watching = runner.start(dead_man(&scene, &lease, &id));
    for _ in 0..RENEWALS {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let renewal = Patch::Merge(json!({ "spec": { "renewTime": now } }));
        leases.patch(&lease, &PatchParams::default(), &renewal).await.unwrap();
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert!(scene.counts().await.values().all(|count| *count == 0), "{:?}", scene.counts().await);

    // A person changes one of them; nobody renews any more.
    scene.scale("cart", 1).await;
    let ended = watching.ended().await;
    assert_eq!((ended.code(), ended.stdout.trim()), (Some(0), "the drill's lease lapsed: 2 deployments brought back"));
    let mut expected = whole_shop();
    expected.insert("cart".to_owned(), 1);
    assert_eq!(scene.counts().await, expected);
    assert_eq!(marks(&scene, "storefront").await, [(DEAD_MAN_ANNOTATION.to_owned(), id.clone())]);
    let touched = marks(&scene, "cart").await;
    assert!(touched.contains(&(DRILL_ANNOTATION.to_owned(), id.clone())), "what a person changed is left: {touched:?}");

    let report = told(&runner.undo().await);
    assert_eq!(report.residue.state, ResidueState::Superseded, "{:#?}", report.residue);
    let outcome = |name: &str| {
        let line = report.residue.effects.iter().find(|e| e.object.ends_with(&format!("/{name}"))).unwrap();
        line.outcome.clone()
    };
    assert_eq!(outcome("storefront"), UndoOutcome::Reverted("a dead-man agent".to_owned()));
    assert!(matches!(outcome("cart"), UndoOutcome::Superseded(_)));
    assert_eq!(scene.counts().await, expected, "and nothing is written once more");
    left::assert_nothing(&scene, &runner).await;
    nothing_to_watch(&scene, &runner).await;
    not_allowed(&scene, &runner).await;
    scene.stop().await;
}

/// The marks of firedrill on a deployment.
async fn marks(scene: &Scene, name: &str) -> Vec<(String, String)> {
    let found = scene.deployments().get(name).await.unwrap().metadata.annotations.unwrap_or_default();
    found.into_iter().filter(|(key, _)| key.starts_with("firedrill.dev/")).collect()
}

fn told(ended: &Ended) -> Report {
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    ended.report()
}

/// A lease that nobody holds is no reason to stay.
async fn nothing_to_watch(scene: &Scene, runner: &Runner) {
    let before = scene.changes().len();
    let ended = runner.ended(dead_man(scene, "firedrill-nobody", "no-drill")).await;
    assert_eq!(
        (ended.code(), ended.stdout.trim()),
        (Some(0), "the drill let its lease go: nothing to bring back"),
        "{ended:?}"
    );
    assert_eq!(scene.changes().len(), before);
}

/// He says at once that he could not do what he is there for.
async fn not_allowed(scene: &Scene, runner: &Runner) {
    let faults = scene.sandbox.cluster().faults();
    let id = faults.add(Rule::always(Selection::of("patch", "deployments"), Fault::Forbidden));
    let ended = runner.ended(dead_man(scene, "firedrill-nobody", "no-drill")).await;
    faults.remove(id);
    assert_eq!(ended.code(), Some(5), "{ended:?}");
    assert!(ended.stderr.contains("may not patch deployments"), "{}", ended.stderr);
    assert!(ended.stderr.contains("deploy/roles/dead-man-target.yaml"), "{}", ended.stderr);
}
