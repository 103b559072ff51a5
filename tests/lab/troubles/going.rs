//! What does not go when it should, and what goes when it should not.

use super::yard::{IMAGE, Went, Yard, tells, told, within};
use crate::lab::Lab;
use firedrill_core::event::Event;
use firedrill_core::report::{Exercise, ResidueState, Verdict};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;

const HELD: &str = "tests.firedrill.example/held";

pub async fn a_pod_that_never_goes(lab: &Lab) -> Went {
    within(lab, "finalizer", IMAGE, async |yard| {
        let held = yard.pods().await[0].name_any();
        yard.patch::<Pod>(&held, json!({ "metadata": { "finalizers": [HELD] } })).await;
        let report = yard.runner().run(&yard.to_zero(1, 10)).await.verdict(Verdict::Inconclusive, 3);
        let cause = &report.judgement.cause;
        assert!(cause.starts_with("The fault never landed") && cause.contains("web still has 1 pod"), "{cause}");
        assert_eq!(report.exercised.status, Exercise::NotExercised, "{:?}", report.exercised);
        assert_eq!(report.residue.state, ResidueState::Clean, "{:#?}", report.residue);
        yard.assert_restored().await;
        let left = yard.api::<Pod>().get(&held).await.unwrap();
        assert_eq!(left.finalizers(), [HELD], "whose finalizer it is takes it off, and nobody else");
        assert!(left.metadata.deletion_timestamp.is_some());
    })
    .await
}

/// Begins to delete the yard, which stays until the test lets it go.
async fn begin_to_delete(yard: &Yard<'_>) {
    yard.make::<ConfigMap>(json!({ "metadata": { "name": "held", "finalizers": [HELD] } })).await;
    yard.namespaces().delete(&yard.name, &DeleteParams::default()).await.unwrap();
}

pub async fn a_namespace_that_is_going(lab: &Lab) -> Went {
    within(lab, "going", IMAGE, async |yard| {
        begin_to_delete(yard).await;
        let report = yard.runner().run(&yard.to_zero(1, 10)).await.verdict(Verdict::Refused, 5);
        assert_eq!(report.judgement.cause, "Namespace: being deleted (expected there).");
        assert_eq!(report.residue.state, ResidueState::Clean);
    })
    .await
}

pub async fn a_namespace_that_begins_to_go(lab: &Lab) -> Went {
    within(lab, "begins", IMAGE, async |yard| {
        let runner = yard.runner();
        let mut drill = runner.start(runner.drill(&yard.to_zero(8, 10)));
        drill.until(|e| *e == Event::LossSeen).await;
        begin_to_delete(yard).await;
        yard.until(async || yard.deployment().await.is_none(), "its deployment is gone").await;
        let report = drill.ended().await.verdict(Verdict::Fail, 1);
        assert!(tells(&report, "Not recovered by the deadline, at least"), "{:#?}", report.judgement);
        assert_eq!(report.residue.state, ResidueState::Superseded, "{:#?}", report.residue);
        assert!(told(&report).contains("it was deleted"), "{:#?}", report.residue);
        let status = runner.status().await;
        assert_eq!(status.code(), Some(0), "nothing is owed: {status:?}");
    })
    .await
}
