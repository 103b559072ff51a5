//! Scaling: the subresource, zero and back, and what follows a count.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::ground::{Ground, PATIENCE, assert_status, deployment, parse, refused};

#[tokio::test]
async fn the_window_shows_and_sets_the_count() {
    let ground = Ground::new().await;
    let made = ground.deployment("web", 2).await;
    let api = ground.api::<Deployment>();
    let window = api.get_scale("web").await.expect("a window");
    assert_eq!(window.spec.and_then(|spec| spec.replicas), Some(2));
    assert_eq!(window.status.as_ref().map(|status| status.replicas), Some(2));
    assert_eq!(window.status.and_then(|status| status.selector).as_deref(), Some("app=web"));
    assert_eq!(window.metadata.uid, made.uid());
    let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let window = api.patch_scale("web", &PatchParams::default(), &patch).await.expect("set");
    assert_eq!(window.spec.and_then(|spec| spec.replicas), Some(3));
    assert_eq!(api.get("web").await.expect("there").spec.and_then(|spec| spec.replicas), Some(3));
    ground.leave().await;
}

#[tokio::test]
async fn the_window_keeps_versions_and_refuses_less_than_nothing() {
    let ground = Ground::new().await;
    ground.deployment("web", 1).await;
    let api = ground.api::<Deployment>();
    let stale = Patch::Merge(json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 0}}));
    assert_status(&refused(api.patch_scale("web", &PatchParams::default(), &stale).await), 409, "Conflict");
    let negative = Patch::Merge(json!({"spec": {"replicas": -1}}));
    assert_status(&refused(api.patch_scale("web", &PatchParams::default(), &negative).await), 422, "Invalid");
    assert_status(&refused(api.patch("web", &PatchParams::default(), &negative).await), 422, "Invalid");
    assert_status(&refused(api.get_scale("nobody").await), 404, "NotFound");
    ground.leave().await;
}

/// The addresses that a service's slices call ready.
async fn ready_addresses(ground: &Ground, service: &str) -> usize {
    let wanted = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices = ground.api::<EndpointSlice>().list(&wanted).await.expect("slices");
    let endpoints = slices.items.into_iter().flat_map(|slice| slice.endpoints);
    let is_ready = |conditions: k8s_openapi::api::discovery::v1::EndpointConditions| conditions.ready == Some(true);
    endpoints.filter(|endpoint| endpoint.conditions.clone().is_some_and(is_ready)).count()
}

async fn until_ready_addresses(ground: &Ground, service: &str, count: usize) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while ready_addresses(ground, service).await != count {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "{service} never had {count} ready addresses");
}

#[tokio::test]
async fn at_zero_no_pod_and_no_endpoint_is_left_and_all_comes_back() {
    let ground = Ground::new().await;
    ground.deployment("web", 2).await;
    let service: Service =
        parse(json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}));
    let service = ground.api::<Service>().create(&PostParams::default(), &service).await.expect("a service");
    let address = service.spec.and_then(|spec| spec.cluster_ip).expect("an address");
    assert!(address.parse::<std::net::IpAddr>().is_ok(), "{address}");
    until_ready_addresses(&ground, "web", 2).await;
    let api = ground.api::<Deployment>();
    let scale = |count: i32| Patch::Merge(json!({"spec": {"replicas": count}}));
    let scaled = api.patch("web", &PatchParams::default(), &scale(0)).await.expect("scaled");
    let down = ground
        .until("web", |deployment: &Deployment| {
            let status = deployment.status.clone().unwrap_or_default();
            status.observed_generation == scaled.metadata.generation && status.replicas.unwrap_or(0) == 0
        })
        .await;
    let status = down.status.expect("a status");
    assert_eq!(
        (status.replicas, status.ready_replicas, status.available_replicas),
        (None, None, None),
        "zeros are left out"
    );
    until_ready_addresses(&ground, "web", 0).await;
    for pod in ground.pods("web").await {
        ground.until_gone::<k8s_openapi::api::core::v1::Pod>(&pod.name_any()).await;
    }
    assert!(ground.pods("web").await.is_empty());
    api.patch("web", &PatchParams::default(), &scale(2)).await.expect("scaled");
    ground.until("web", |one: &Deployment| one.status.clone().unwrap_or_default().ready_replicas == Some(2)).await;
    until_ready_addresses(&ground, "web", 2).await;
    ground.leave().await;
}

#[tokio::test]
async fn a_stateful_set_scales_in_order_and_keeps_names() {
    let ground = Ground::new().await;
    let mut manifest = deployment("db", 2);
    manifest["spec"]["serviceName"] = json!("db");
    let set: StatefulSet = parse(manifest);
    ground.api::<StatefulSet>().create(&PostParams::default(), &set).await.expect("a set");
    ground.until("db", |one: &StatefulSet| one.status.clone().unwrap_or_default().ready_replicas == Some(2)).await;
    let mut names: Vec<String> = ground.pods("db").await.iter().map(ResourceExt::name_any).collect();
    names.sort();
    assert_eq!(names, ["db-0", "db-1"]);
    let patch = Patch::Merge(json!({"spec": {"replicas": 1}}));
    ground.api::<StatefulSet>().patch_scale("db", &PatchParams::default(), &patch).await.expect("scaled");
    ground.until_gone::<k8s_openapi::api::core::v1::Pod>("db-1").await;
    assert_eq!(ground.pods("db").await.len(), 1);
    ground.leave().await;
}

#[tokio::test]
async fn the_selector_of_a_deployment_cannot_change() {
    let ground = Ground::new().await;
    ground.deployment("web", 0).await;
    let patch = Patch::Merge(json!({"spec": {"selector": {"matchLabels": {"more": "x"}},
        "template": {"metadata": {"labels": {"more": "x"}}}}}));
    let status = refused(ground.api::<Deployment>().patch("web", &PatchParams::default(), &patch).await);
    assert_status(&status, 422, "Invalid");
    assert!(status.message.contains("field is immutable"), "{}", status.message);
    ground.leave().await;
}
