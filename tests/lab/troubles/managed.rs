//! A deployment whose count somebody else manages too.

use super::yard::{IMAGE, REPLICAS, WEB, Went, Yard, told, within};
use crate::lab::Lab;
use firedrill_core::event::Event;
use firedrill_core::report::{ResidueState, Verdict};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

/// An autoscaler turns itself off at zero and would never bring anything back; the drill does, and then it is at work again.
pub async fn by_an_autoscaler(lab: &Lab) -> Went {
    within(lab, "hpa", IMAGE, async |yard| {
        // Without metrics it still keeps the count between its limits, which is how it is seen to be at work.
        let scaler = json!({ "metadata": { "name": WEB }, "spec": { "minReplicas": 1, "maxReplicas": 5,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": WEB } } });
        yard.make::<HorizontalPodAutoscaler>(scaler).await;
        a_pod_that_failed_long_ago(yard).await;
        let disabled = async || {
            let scaler = yard.api::<HorizontalPodAutoscaler>().get(WEB).await.unwrap();
            let conditions = scaler.status.and_then(|s| s.conditions).unwrap_or_default();
            conditions.iter().any(|c| c.type_ == "ScalingActive" && c.reason.as_deref() == Some("ScalingDisabled"))
        };
        let runner = yard.runner();
        // It looks every 15 s.
        let mut drill = runner.start(runner.drill(&yard.to_zero(18, 60)));
        drill.until(|e| *e == Event::LossSeen).await;
        yard.until(disabled, "the autoscaler turned itself off").await;
        assert_eq!(yard.count().await, 0, "it would never restore it");
        let report = drill.ended().await.report();
        // On a busy machine the length of it may not be known; what is asked here is the count.
        let verdict = report.judgement.verdict;
        assert!(matches!(verdict, Verdict::Pass | Verdict::Inconclusive), "{:#?}", report.judgement);
        assert!(told(&report).contains("web: an HPA, which turns itself off at zero"), "{:#?}", report.preflight);
        assert_eq!(report.residue.state, ResidueState::Clean);
        yard.assert_restored().await;
        yard.patch::<HorizontalPodAutoscaler>(WEB, json!({ "spec": { "minReplicas": REPLICAS + 1 } })).await;
        yard.until(async || yard.count().await == REPLICAS + 1, "the autoscaler is at work again").await;
        yard.until(async || !disabled().await, "the autoscaler says so").await;
    })
    .await
}

/// One that nobody takes away, as after every shortage on a node: the drill minds it as little as any status does.
async fn a_pod_that_failed_long_ago(yard: &Yard<'_>) {
    let container = json!({ "name": WEB, "image": IMAGE, "imagePullPolicy": "Never" });
    let spec = json!({ "restartPolicy": "Never", "activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": false, "containers": [container] });
    let pod = json!({ "metadata": { "name": "failed", "labels": { "app": WEB } }, "spec": spec });
    yard.make::<Pod>(pod).await;
    let failed = async || {
        let pod = yard.api::<Pod>().get("failed").await.unwrap();
        pod.status.is_some_and(|s| s.phase.as_deref() == Some("Failed"))
    };
    yard.until(failed, "a pod has failed").await;
}
