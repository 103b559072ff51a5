//! Deployments to zero: brought back in waves; brought back by somebody else; changed by a person; at zero before.

use crate::support::{files, left, runner::Runner, scene::Scene, scene::whole_shop};
use firedrill_core::event::Event;
use firedrill_core::report::{Exercise, ResidueState, Verdict};
use firedrill_core::time::Known;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_at_zero_comes_back_in_its_waves_with_its_counts() {
    let scene = Scene::start().await;
    let runner = Runner::new(&scene, "one");
    let experiment = scene.write(&files::scale_to_zero("1s", "storefront"));
    let report = runner.run(&experiment).await.verdict(Verdict::Pass, 0);
    assert_eq!(scene.counts().await, whole_shop());
    assert_eq!(report.residue.state, ResidueState::Clean);
    let puts: Vec<(String, i64)> = scene
        .changes()
        .into_iter()
        .filter(|e| e.resource == "deployments" && e.code == Some(200))
        .filter_map(|e| Some((e.name, e.body.pointer("/spec/replicas").and_then(Value::as_i64)?)))
        .collect();
    let mut down = puts[..3].to_vec();
    down.sort();
    let zero = |name: &str| (name.to_owned(), 0);
    assert_eq!(down, [zero("cart"), zero("checkout"), zero("storefront")]);
    assert_eq!(puts[3], ("storefront".to_owned(), 5), "the first wave");
    let mut second = puts[4..].to_vec();
    second.sort();
    assert_eq!(second, [("cart".to_owned(), 2), ("checkout".to_owned(), 3)], "the second wave");
    let spans: Vec<_> = report.waves.iter().map(|w| w.span.known().expect("a wave that was seen")).collect();
    assert!(spans[0].to_ns <= spans[1].from_ns, "{spans:?}");
    let captured: Vec<(u32, Option<u32>)> =
        report.waves.iter().flat_map(|w| &w.workloads).map(|w| (w.captured, w.restored.known().copied())).collect();
    assert_eq!(captured, [(5, Some(5)), (2, Some(2)), (3, Some(3))]);
    left::assert_nothing(&scene, &runner).await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_that_somebody_undoes_is_not_sustained_and_what_they_set_is_left() {
    let mut scene = Scene::start().await;
    undone_at_once_by_a_reconciler(&mut scene).await;
    changed_by_a_person_during_the_hold(&scene).await;
    pods_that_never_go(&scene).await;
    at_zero_already(&scene).await;
    scene.stop().await;
}

async fn undone_at_once_by_a_reconciler(scene: &mut Scene) {
    let runner = Runner::new(scene, "reconciler");
    let hold =
        |count: Value| json!({ "metadata": { "annotations": { "sandbox.firedrill.example/hold-replicas": count } } });
    scene.patch("cart", hold(json!("2"))).await;
    let experiment = scene.write(&files::scale_to_zero("5s", "storefront"));
    let report = runner.run(&experiment).await.verdict(Verdict::Inconclusive, 3);
    assert_eq!(report.exercised.status, Exercise::NotSustained, "{:?}", report.exercised);
    assert!(report.judgement.cause.to_lowercase().contains("not sustained"), "{:?}", report.judgement);
    scene.patch("cart", hold(Value::Null)).await;
    assert_eq!(scene.counts().await, whole_shop());
    left::assert_nothing(scene, &runner).await;
    scene.healthy().await;
}

async fn changed_by_a_person_during_the_hold(scene: &Scene) {
    let runner = Runner::new(scene, "person");
    let experiment = scene.write(&files::scale_to_zero("30s", "storefront"));
    let mut drill = runner.start(runner.drill(&experiment));
    drill.until(|e| *e == Event::LossSeen).await;
    scene.scale("cart", 1).await;
    let ended = drill.ended().await;
    let report = ended.verdict(Verdict::Inconclusive, 3);
    assert_eq!(report.residue.state, ResidueState::Superseded, "{:#?}", report.residue);
    let mut expected = whole_shop();
    expected.insert("cart".to_owned(), 1);
    assert_eq!(scene.counts().await, expected, "what the person set is left, the others are back");
    left::assert_nothing(scene, &runner).await;
    let again = runner.undo().await;
    assert_eq!(again.code(), Some(0), "{again:?}");
    assert_eq!(scene.counts().await, expected);
}

/// No status counts a pod that is being deleted, and yet it is there as long as its finalizer is.
async fn pods_that_never_go(scene: &Scene) {
    let runner = Runner::new(scene, "held");
    scene.scale("cart", 2).await;
    scene.healthy().await;
    let pods: Api<Pod> = Api::namespaced(scene.client(), scene.namespace());
    let names = pods.list(&ListParams::default()).await.unwrap().into_iter().map(|p| p.name_any());
    let held = names.into_iter().find(|name| name.starts_with("cart-")).unwrap();
    let finalizers = async |of: Value| {
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": of } }));
        #[expect(clippy::disallowed_methods, reason = "whoever holds the pod, not firedrill")]
        pods.patch(&held, &PatchParams::default(), &patch).await.unwrap();
    };
    finalizers(json!(["tests.firedrill.example/held"])).await;
    let text = files::scale_to_zero("1s", "storefront").replace("rto: 30s", "rto: 10s").replace("2m", "12s");
    let report = runner.run(&scene.write(&text)).await.verdict(Verdict::Inconclusive, 3);
    assert!(report.judgement.cause.contains("cart still has 1 pod"), "{:#?}", report.judgement);
    assert_eq!(report.residue.state, ResidueState::Clean, "{:#?}", report.residue);
    assert_eq!(scene.counts().await, whole_shop());
    assert_eq!(pods.get(&held).await.unwrap().finalizers(), ["tests.firedrill.example/held"], "it is not stripped");
    finalizers(Value::Null).await;
    left::assert_nothing(scene, &runner).await;
    scene.healthy().await;
}

async fn at_zero_already(scene: &Scene) {
    let runner = Runner::new(scene, "zero");
    scene.scale("cart", 0).await;
    let before = scene.changes().len();
    let experiment = scene.write(&files::scale_to_zero("1s", "storefront"));
    let report = runner.run(&experiment).await.verdict(Verdict::Refused, 5);
    assert!(report.judgement.cause.contains("at zero already"), "{:?}", report.judgement);
    assert!(matches!(report.recovery, Known::Unknown(_)));
    assert_eq!(scene.changes().len(), before, "nothing was touched");
    left::assert_nothing(scene, &runner).await;
}
