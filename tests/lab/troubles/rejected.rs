//! Requests that the cluster does not admit: evictions that a budget holds back, and changes that a webhook cannot judge.

use super::yard::{IMAGE, Went, Yard, all_went_well, told, within};
use crate::lab::{Lab, SHOP};
use crate::runner::Runner;
use firedrill_core::event::Event;
use firedrill_core::report::{ResidueState, Verdict};
use futures_util::FutureExt as _;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use std::panic::AssertUnwindSafe;

/// A webhook that judges changes of the yard's deployments, served from a namespace; nobody serves it.
async fn webhook(yard: &Yard<'_>, served_from: &str) {
    let rule =
        json!({ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"] });
    let hook = json!({ "name": "judge.firedrill.example", "failurePolicy": "Fail", "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "timeoutSeconds": 2, "rules": [rule],
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": yard.name } },
        "clientConfig": { "service": { "namespace": served_from, "name": "judge" } } });
    let body = json!({ "metadata": { "name": yard.name }, "webhooks": [hook] });
    let api = webhooks(yard);
    api.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await.unwrap();
}

fn webhooks(yard: &Yard<'_>) -> Api<ValidatingWebhookConfiguration> {
    Api::all(yard.lab.client.clone())
}

/// Takes the webhook away, whether or not it is there.
async fn no_webhook(yard: &Yard<'_>) {
    let _ = webhooks(yard).delete(&yard.name, &DeleteParams::default()).await;
}

pub async fn by_a_webhook_that_is_down(lab: &Lab) -> Went {
    within(lab, "webhook", IMAGE, async |yard| {
        let done = AssertUnwindSafe(async {
            a_webhook_in_the_way_is_found_before(yard).await;
            a_webhook_that_goes_away_keeps_what_was_taken(yard).await;
        });
        let went = done.catch_unwind().await;
        no_webhook(yard).await;
        all_went_well([went]);
    })
    .await
}

async fn a_webhook_in_the_way_is_found_before(yard: &Yard<'_>) {
    let experiment = yard.to_zero(1, 10);
    for (served_from, cause) in [
        (yard.name.as_str(), "Admission webhooks served from the namespace"),
        ("kube-public", "Admission webhooks that do not answer"),
    ] {
        webhook(yard, served_from).await;
        let report = yard.runner().run(&experiment).await.verdict(Verdict::Refused, 5);
        assert!(report.judgement.cause.starts_with(cause), "{:#?}", report.judgement);
        assert!(report.judgement.cause.contains(&yard.name), "{:#?}", report.judgement);
        no_webhook(yard).await;
    }
    yard.assert_restored().await;
}

async fn a_webhook_that_goes_away_keeps_what_was_taken(yard: &Yard<'_>) {
    let (runner, other) = (yard.runner(), Runner::new(yard, "other"));
    let experiment = yard.to_zero(4, 10);
    let mut drill = runner.start(runner.drill(&experiment));
    drill.until(|e| *e == Event::LossSeen).await;
    webhook(yard, "kube-public").await;
    let ended = drill.ended().await;
    assert_eq!(ended.code(), Some(6), "{ended:?}");
    let report = ended.report();
    assert_eq!(report.residue.state, ResidueState::Outstanding, "{:#?}", report.residue);
    assert!(told(&report).contains("failed calling webhook"), "{:#?}", report.residue);
    assert!(told(&report).contains("scale deployment web --replicas=2"), "{:#?}", report.residue);
    assert_eq!(yard.count().await, 0);
    let status = runner.status().await;
    assert_eq!(status.code(), Some(6), "{status:?}");

    no_webhook(yard).await;
    let refused = other.run(&experiment).await.verdict(Verdict::Refused, 5);
    assert!(told(&refused).contains("Lock at the target") || told(&refused).contains("lock at the target"));
    let undone = runner.undo().await;
    assert_eq!(undone.code(), Some(0), "nothing is owed any more: {undone:?}");
    yard.until(async || yard.ready().await == super::yard::REPLICAS, "its pods are ready again").await;
    yard.assert_restored().await;
}

/// A budget that lets no member of the database go.
async fn budget(lab: &Lab) {
    let api = lab.api::<PodDisruptionBudget>(SHOP);
    let body = json!({ "metadata": { "name": "orders" },
        "spec": { "maxUnavailable": 0, "selector": { "matchLabels": { "cluster-name": "orders" } } } });
    api.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await.unwrap();
    let counted = async {
        while api.get("orders").await.unwrap().status.is_none_or(|s| s.expected_pods != 2) {
            tokio::time::sleep(crate::runner::LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(crate::runner::SOON, counted).await.expect("the budget is counted");
}

pub async fn by_a_budget(lab: &Lab) {
    let before = lab.primary().await.unwrap();
    budget(lab).await;
    let done = AssertUnwindSafe(async {
        let runner = Runner::new(lab, "one");
        let experiment = lab.write(
            "orders-eviction",
            "objectives: { rto: 60s, rpo: 0s }
probes: [orders-write]
method:
  - kill-primary: { target: orders-db, by: evict }
baseline: { for: 2s, tolerate: 100 }
recover: { stable-for: 1s, deadline: 2m }
",
        );
        let report = runner.run(&experiment).await.verdict(Verdict::Inconclusive, 3);
        let cause = &report.judgement.cause;
        assert!(cause.contains("a PodDisruptionBudget does not let the pod go"), "{:#?}", report.judgement);
        assert!(told(&report).contains("by: delete-pod"), "{:#?}", report.judgement);
        assert_eq!(report.residue.state, ResidueState::Clean, "{:#?}", report.residue);
    });
    let went = done.catch_unwind().await;
    lab.api::<PodDisruptionBudget>(SHOP).delete("orders", &DeleteParams::default()).await.unwrap();
    all_went_well([went]);
    let after = lab.primary().await.unwrap();
    assert_eq!((after.name_any(), after.uid()), (before.name_any(), before.uid()), "nothing was done");
    lab.assert_nothing_left().await;
}
