//! The controllers that only the sandbox has, and kinds that must be defined first.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::bench::Stand;

/// A deployment of containers without processes.
fn paper(name: &str, replicas: i32, annotations: &serde_json::Value) -> serde_json::Value {
    json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "pause"}]},
        }},
    })
}

async fn scale(stand: &Stand, name: &str, replicas: i32) -> Deployment {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    stand.api::<Deployment>().patch(name, &PatchParams::default(), &patch).await.expect("scaled")
}

fn replicas(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref().and_then(|spec| spec.replicas)
}

#[tokio::test]
async fn a_reconciler_puts_the_count_back_at_once() {
    let stand = Stand::new("reconciler").await;
    let held = json!({"sandbox.firedrill.example/hold-replicas": "2"});
    stand.make::<Deployment>(paper("web", 2, &held)).await;
    let scaled = scale(&stand, "web", 0).await;
    assert_eq!(replicas(&scaled), Some(0), "the change itself succeeds");
    let back = stand
        .until("web", |one: &Deployment| {
            replicas(one) == Some(2) && one.metadata.generation > scaled.metadata.generation
        })
        .await;
    assert_ne!(back.metadata.resource_version, scaled.metadata.resource_version);
    stand.leave().await;
}

fn condition(scaler: &HorizontalPodAutoscaler, kind: &str) -> Option<(String, String)> {
    let conditions = scaler.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|one| one.type_ == kind)?;
    Some((found.status.clone(), found.reason.clone().unwrap_or_default()))
}

#[tokio::test]
async fn an_autoscaler_rests_at_zero_and_keeps_its_bounds_otherwise() {
    let stand = Stand::new("autoscaler").await;
    stand.make::<Deployment>(paper("web", 1, &json!({}))).await;
    stand
        .make::<HorizontalPodAutoscaler>(json!({
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 4},
        }))
        .await;
    stand.until("web", |one: &Deployment| replicas(one) == Some(2)).await;
    scale(&stand, "web", 0).await;
    let resting = Some(("False".to_owned(), "ScalingDisabled".to_owned()));
    stand.until("web", |one: &HorizontalPodAutoscaler| condition(one, "ScalingActive") == resting).await;
    assert_eq!(replicas(&stand.api::<Deployment>().get("web").await.expect("there")), Some(0));
    scale(&stand, "web", 9).await;
    stand.until("web", |one: &Deployment| replicas(one) == Some(4)).await;
    stand.leave().await;
}

#[tokio::test]
async fn a_custom_kind_is_served_once_it_is_defined() {
    let stand = Stand::new("custom").await;
    let kind = GroupVersionKind::gvk("keda.sh", "v1alpha1", "ScaledObject");
    let scaled: Api<DynamicObject> =
        Api::namespaced_with(stand.client.clone(), "default", &ApiResource::from_gvk(&kind));
    let unknown = scaled.list(&ListParams::default()).await.expect_err("not installed");
    // Told as a line of text, so that there is a code and no reason.
    assert!(matches!(unknown, kube::Error::Api(status) if status.code == 404));
    let definitions: Api<CustomResourceDefinition> = Api::all(stand.client.clone());
    let definition = json!({
        "metadata": {"name": "scaledobjects.keda.sh"},
        "spec": {
            "group": "keda.sh", "scope": "Namespaced",
            "names": {"kind": "ScaledObject", "plural": "scaledobjects"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true}],
        },
    });
    let definition = serde_json::from_value(definition).expect("a definition");
    definitions.create(&PostParams::default(), &definition).await.expect("defined");
    let object = DynamicObject::new("web", &ApiResource::from_gvk(&kind))
        .data(json!({"spec": {"scaleTargetRef": {"name": "web"}}}));
    scaled.create(&PostParams::default(), &object).await.expect("made");
    let listed = scaled.list(&ListParams::default()).await.expect("a list").items;
    assert_eq!(listed[0].data["spec"]["scaleTargetRef"]["name"], "web");
    stand.leave().await;
}
