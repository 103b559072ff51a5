//! Drills that must not begin: a probe that was broken before, a namespace that does not allow it, a target that another
//! runner holds.

use crate::support::{files, left, runner::Runner, scene::Scene, scene::whole_shop};
use firedrill::targets::cluster::{ALLOW_ANNOTATION, USER_AGENT};
use firedrill_core::event::Event;
use firedrill_core::report::Verdict;
use firedrill_sandbox::faults::{Fault, Rule, Selection};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_begin_is_refused_and_reported_and_touches_no_target() {
    let scene = Scene::start().await;
    a_probe_that_was_broken_from_the_start(&scene).await;
    two_runners_at_the_same_time(&scene).await;
    a_runner_while_another_one_holds_the_target(&scene).await;
    a_runner_that_may_not_do_what_an_undo_needs(&scene).await;
    a_webhook_that_an_undo_would_need(&scene).await;
    a_manager_that_nobody_allows_and_that_is_not_there(&scene).await;
    a_namespace_that_does_not_allow_it(&scene).await;
    scene.stop().await;
}

async fn a_probe_that_was_broken_from_the_start(scene: &Scene) {
    let runner = Runner::new(scene, "broken");
    let report = runner.run(&scene.write(&files::scale_to_zero("1s", "nowhere"))).await.verdict(Verdict::Refused, 5);
    assert!(report.judgement.cause.contains("nowhere"), "{:?}", report.judgement);
    assert!(scene.changes().iter().all(|e| e.resource == "leases"), "{:?}", scene.changes());
    left::assert_nothing(scene, &runner).await;
}

async fn two_runners_at_the_same_time(scene: &Scene) {
    let (here, there) = (Runner::new(scene, "here"), Runner::new(scene, "there"));
    let experiment = scene.write(&files::scale_to_zero("1s", "storefront"));
    let (one, other) = tokio::join!(here.run(&experiment), there.run(&experiment));
    let refused = [&one, &other].into_iter().filter(|e| e.code() == Some(5)).count();
    assert_eq!(refused, 1, "{one:?}\n{other:?}");
    // Two runners and a shop on a small machine: whether every request could be asked in time is not the question here.
    let other_one = if one.code() == Some(5) { other } else { one };
    assert!(matches!(other_one.code(), Some(0 | 3)), "{other_one:?}");
    let zeroed = scene.changes().into_iter().filter(|e| e.body.pointer("/spec/replicas") == Some(&json!(0)));
    assert_eq!(zeroed.count(), 3, "each deployment was scaled to zero once");
    assert_eq!(scene.counts().await, whole_shop());
    for runner in [&here, &there] {
        left::assert_nothing(scene, runner).await;
    }
    scene.healthy().await;
}

async fn a_runner_while_another_one_holds_the_target(scene: &Scene) {
    let (here, there) = (Runner::new(scene, "holder"), Runner::new(scene, "late"));
    let experiment = scene.write(&files::scale_to_zero("3s", "storefront"));
    let mut drill = here.start(here.drill(&experiment));
    drill.until(|e| matches!(e, Event::ProbingBegan(_))).await;
    let refused = there.run(&experiment).await.verdict(Verdict::Refused, 5);
    assert!(refused.judgement.cause.starts_with("Lock at the target"), "{:?}", refused.judgement);
    drill.ended().await.verdict(Verdict::Pass, 0);
    for runner in [&here, &there] {
        left::assert_nothing(scene, runner).await;
    }
    scene.healthy().await;
}

async fn a_runner_that_may_not_do_what_an_undo_needs(scene: &Scene) {
    let runner = Runner::new(scene, "unpermitted");
    let before = scene.changes().len();
    for (text, resource) in
        [(files::scale_to_zero("1s", "storefront"), "deployments"), (files::kill_primary("failover", "1s"), "pods")]
    {
        let on = Selection { user_agent: Some(USER_AGENT.to_owned()), ..Selection::of("patch", resource) };
        let rule = scene.sandbox.cluster().faults().add(Rule::always(on, Fault::Forbidden));
        let report = runner.run(&scene.write(&text)).await.verdict(Verdict::Refused, 5);
        assert!(report.judgement.cause.contains(&format!("may not patch {resource}")), "{:?}", report.judgement);
        scene.sandbox.cluster().faults().remove(rule);
    }
    assert_eq!(scene.changes().len(), before, "nothing was touched");
}

/// A webhook that judges changes of deployments, served from what goes, or by nobody.
async fn a_webhook_that_an_undo_would_need(scene: &Scene) {
    let runner = Runner::new(scene, "judged");
    let before = scene.changes().len();
    let api: Api<ValidatingWebhookConfiguration> = Api::all(scene.client());
    for (served_from, cause) in [
        (scene.namespace(), "Admission webhooks served from the namespace"),
        ("policies", "Admission webhooks that do not answer"),
    ] {
        let rule = json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"] });
        let service = json!({ "namespace": served_from, "name": "judge" });
        let hook = json!({ "name": "judge.ultramarket.example", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "rules": [rule], "clientConfig": { "service": service } });
        let body = json!({ "metadata": { "name": "judge" }, "webhooks": [hook] });
        let body = serde_json::from_value(body).unwrap();
        #[expect(clippy::disallowed_methods, reason = "who owns the cluster, not firedrill")]
        api.create(&PostParams::default(), &body).await.unwrap();
        let report = runner.run(&scene.write(&files::scale_to_zero("1s", "storefront"))).await;
        let report = report.verdict(Verdict::Refused, 5);
        assert!(report.judgement.cause.starts_with(cause), "{:?}", report.judgement);
        #[expect(clippy::disallowed_methods, reason = "who owns the cluster, not firedrill")]
        api.delete("judge", &DeleteParams::default()).await.unwrap();
    }
    assert_eq!(scene.changes().len(), before, "nothing was touched");
}

/// The sandbox's cluster is looked after by nobody that speaks as Patroni does.
async fn a_manager_that_nobody_allows_and_that_is_not_there(scene: &Scene) {
    let runner = Runner::new(scene, "unmanaged");
    let before = scene.changes().len();
    let experiment = scene.write(&files::kill_manager());
    let unasked = runner.run(&experiment).await.verdict(Verdict::Refused, 5);
    assert!(unasked.judgement.cause.starts_with("Opt-in of the namespace"), "{:?}", unasked.judgement);
    allow(scene, &json!("kill-manager")).await;
    let unanswered = runner.run(&experiment).await.verdict(Verdict::Refused, 5);
    assert!(unanswered.judgement.cause.starts_with("Patroni's REST API"), "{:?}", unanswered.judgement);
    assert_eq!(scene.changes().len(), before, "nothing was touched");
    left::assert_nothing(scene, &runner).await;
}

/// Who owns the namespace says what may be done there.
async fn allow(scene: &Scene, words: &Value) {
    let api: Api<Namespace> = Api::all(scene.client());
    let annotated = Patch::Merge(json!({ "metadata": { "annotations": { ALLOW_ANNOTATION: words } } }));
    #[expect(clippy::disallowed_methods, reason = "who owns the namespace, not firedrill")]
    api.patch(scene.namespace(), &PatchParams::default(), &annotated).await.unwrap();
}

async fn a_namespace_that_does_not_allow_it(scene: &Scene) {
    let runner = Runner::new(scene, "forbidden");
    let before = scene.changes().len();
    allow(scene, &Value::Null).await;
    for text in [files::scale_to_zero("1s", "storefront"), files::kill_primary("failover", "1s")] {
        let report = runner.run(&scene.write(&text)).await.verdict(Verdict::Refused, 5);
        assert!(report.judgement.cause.starts_with("Opt-in of the namespace"), "{:?}", report.judgement);
        let reason = &report.judgement.reasons[0];
        assert!(reason.remedy.as_deref().is_some_and(|r| r.contains("kubectl annotate")), "{reason:?}");
    }
    assert_eq!(scene.changes().len(), before, "nothing was touched");
    left::assert_nothing(scene, &runner).await;
}
