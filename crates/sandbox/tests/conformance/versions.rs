//! Resource versions, generations, and the conflicts they make.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::ground::{Ground, assert_status, refused};

#[tokio::test]
async fn replacing_an_older_version_conflicts() {
    let ground = Ground::new().await;
    let first = ground.config_map("one", json!({})).await;
    let api = ground.api::<ConfigMap>();
    let mut changed = first.clone();
    changed.data = Some([("key".to_owned(), "mine".to_owned())].into());
    let second = api.replace("one", &PostParams::default(), &changed).await.expect("replaced");
    assert_ne!(second.resource_version(), first.resource_version());
    let status = refused(api.replace("one", &PostParams::default(), &changed).await);
    assert_status(&status, 409, "Conflict");
    assert!(status.message.contains("the object has been modified"), "{}", status.message);
    ground.leave().await;
}

#[tokio::test]
async fn a_patch_that_names_a_version_holds_only_for_it() {
    let ground = Ground::new().await;
    let first = ground.config_map("one", json!({})).await;
    let api = ground.api::<ConfigMap>();
    let versioned = |value: &str| {
        Patch::Merge(json!({"metadata": {"resourceVersion": first.resource_version()}, "data": {"key": value}}))
    };
    let second = api.patch("one", &PatchParams::default(), &versioned("a")).await.expect("the version is current");
    let status = refused(api.patch("one", &PatchParams::default(), &versioned("b")).await);
    assert_status(&status, 409, "Conflict");
    let stranger = Patch::Merge(json!({"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}}));
    // Of a patch, unlike an update, the UID is no precondition, but a field that cannot be changed.
    assert_status(&refused(api.patch("one", &PatchParams::default(), &stranger).await), 422, "Invalid");
    let both = Patch::Merge(json!({"metadata":
        {"uid": "00000000-0000-0000-0000-000000000000", "resourceVersion": first.resource_version()}}));
    assert_status(&refused(api.patch("one", &PatchParams::default(), &both).await), 409, "Conflict");
    assert_eq!(api.get("one").await.expect("there").resource_version(), second.resource_version());
    ground.leave().await;
}

#[tokio::test]
async fn a_patch_that_changes_nothing_makes_no_version() {
    let ground = Ground::new().await;
    let first = ground.config_map("one", json!({"a": "b"})).await;
    let same = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}, "data": {"key": "value"}}));
    let second = ground.api::<ConfigMap>().patch("one", &PatchParams::default(), &same).await.expect("patched");
    assert_eq!(second.resource_version(), first.resource_version());
    ground.leave().await;
}

#[tokio::test]
async fn the_generation_counts_changes_of_the_specification_and_is_observed() {
    let ground = Ground::new().await;
    let made = ground.deployment("web", 1).await;
    let api = ground.api::<Deployment>();
    assert_eq!(made.metadata.generation, Some(1));
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"drill": "yes"}}}));
    let labelled = api.patch("web", &PatchParams::default(), &labelled).await.expect("patched");
    assert_eq!(labelled.metadata.generation, Some(1), "a label is not of the specification");
    let annotated = Patch::Merge(json!({"metadata": {"annotations": {"drill": "yes"}}}));
    let annotated = api.patch("web", &PatchParams::default(), &annotated).await.expect("patched");
    assert_eq!(annotated.metadata.generation, Some(2), "of a deployment, annotations count");
    let scaled = Patch::Merge(json!({"spec": {"replicas": 2}}));
    let scaled = api.patch("web", &PatchParams::default(), &scaled).await.expect("patched");
    assert_eq!(scaled.metadata.generation, Some(3));
    ground
        .until("web", |deployment: &Deployment| {
            let status = deployment.status.clone().unwrap_or_default();
            status.observed_generation == Some(3) && status.ready_replicas == Some(2)
        })
        .await;
    ground.leave().await;
}

#[tokio::test]
async fn main_resource_and_status_do_not_touch_each_other() {
    let ground = Ground::new().await;
    let made = ground.deployment("web", 1).await;
    let api = ground.api::<Deployment>();
    let sneaky = Patch::Merge(json!({"status": {"readyReplicas": 77}}));
    let after = api.patch("web", &PatchParams::default(), &sneaky).await.expect("patched");
    assert_eq!(after.status.and_then(|status| status.ready_replicas), Some(1));
    let sneaky = Patch::Merge(json!({"spec": {"replicas": 77}}));
    let after = api.patch_status("web", &PatchParams::default(), &sneaky).await.expect("patched");
    assert_eq!(after.spec.and_then(|spec| spec.replicas), Some(1));
    assert_eq!(after.metadata.generation, made.metadata.generation);
    ground.leave().await;
}
