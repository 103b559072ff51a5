//! Deletion: finalizers, owners, grace, namespaces.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use serde_json::{Value, json};

use crate::ground::{Ground, assert_status, image, parse, refused};

#[tokio::test]
async fn a_finalizer_keeps_the_object_until_it_is_taken_off() {
    let ground = Ground::new().await;
    ground.config_map("one", json!({})).await;
    let api = ground.api::<ConfigMap>();
    let finalizers = |list: Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    api.patch("one", &PatchParams::default(), &finalizers(json!(["drill.example/hold"]))).await.expect("patched");
    let answered = api.delete("one", &DeleteParams::default()).await.expect("begun");
    let kept = answered.left().expect("the object, for it is still there");
    assert!(kept.metadata.deletion_timestamp.is_some());
    assert!(api.get("one").await.expect("there").metadata.deletion_timestamp.is_some());
    let more = finalizers(json!(["drill.example/hold", "drill.example/more"]));
    let status = refused(api.patch("one", &PatchParams::default(), &more).await);
    assert_status(&status, 422, "Invalid");
    api.patch("one", &PatchParams::default(), &finalizers(json!(null))).await.expect("patched");
    assert_status(&refused(api.get("one").await), 404, "NotFound");
    ground.leave().await;
}

/// A config map that another one owns.
async fn owned(ground: &Ground, name: &str, owner: &ConfigMap, uid: &str) -> ConfigMap {
    let object: ConfigMap = parse(json!({"metadata": {"name": name, "ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": uid, "blockOwnerDeletion": true,
    }]}}));
    ground.api().create(&PostParams::default(), &object).await.expect("made")
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner() {
    let ground = Ground::new().await;
    let owner = ground.config_map("owner", json!({})).await;
    owned(&ground, "inside", &owner, &owner.uid().expect("a uid")).await;
    ground.api::<ConfigMap>().delete("owner", &DeleteParams::default()).await.expect("deleted");
    ground.until_gone::<ConfigMap>("inside").await;
    ground.leave().await;
}

#[tokio::test]
async fn what_is_made_too_late_for_its_owner_is_collected_too() {
    let ground = Ground::new().await;
    let owner = ground.config_map("owner", json!({})).await;
    ground.api::<ConfigMap>().delete("owner", &DeleteParams::default()).await.expect("deleted");
    owned(&ground, "late", &owner, &owner.uid().expect("a uid")).await;
    ground.until_gone::<ConfigMap>("late").await;
    ground.leave().await;
}

#[tokio::test]
async fn orphans_stay_and_forget_their_owner() {
    let ground = Ground::new().await;
    let owner = ground.config_map("owner", json!({})).await;
    owned(&ground, "inside", &owner, &owner.uid().expect("a uid")).await;
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    ground.api::<ConfigMap>().delete("owner", &orphan).await.expect("deleted");
    ground.until_gone::<ConfigMap>("owner").await;
    let inside = ground.api::<ConfigMap>().get("inside").await.expect("still there");
    assert_eq!(inside.metadata.owner_references.unwrap_or_default().len(), 0);
    ground.leave().await;
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last() {
    let ground = Ground::new().await;
    let owner = ground.config_map("owner", json!({})).await;
    let inside = owned(&ground, "inside", &owner, &owner.uid().expect("a uid")).await;
    let api = ground.api::<ConfigMap>();
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["drill.example/hold"]}}));
    api.patch(&inside.name_any(), &PatchParams::default(), &hold).await.expect("patched");
    api.delete("owner", &DeleteParams::foreground()).await.expect("begun");
    ground.until("inside", |one: &ConfigMap| one.metadata.deletion_timestamp.is_some()).await;
    assert!(api.get("owner").await.expect("waits").metadata.deletion_timestamp.is_some());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("inside", &PatchParams::default(), &release).await.expect("patched");
    ground.until_gone::<ConfigMap>("owner").await;
    ground.leave().await;
}

#[tokio::test]
async fn a_deployment_takes_its_pods_along() {
    let ground = Ground::new().await;
    ground.deployment("web", 1).await;
    let pod = ground.pods("web").await.remove(0).name_any();
    ground.api::<Deployment>().delete("web", &DeleteParams::default()).await.expect("deleted");
    ground.until_gone::<Pod>(&pod).await;
    ground.leave().await;
}

#[tokio::test]
async fn a_deleted_pod_is_replaced_by_another_one() {
    let ground = Ground::new().await;
    ground.deployment("web", 1).await;
    let pod = ground.pods("web").await.remove(0);
    let grace = DeleteParams::default().grace_period(1);
    ground.api::<Pod>().delete(&pod.name_any(), &grace).await.expect("deleted");
    ground.until_gone::<Pod>(&pod.name_any()).await;
    ground.until("web", |one: &Deployment| one.status.clone().unwrap_or_default().ready_replicas == Some(1)).await;
    let successor = ground.pods("web").await.remove(0);
    assert_ne!(successor.uid(), pod.uid());
    ground.leave().await;
}

#[tokio::test]
async fn a_pod_on_its_way_out_says_until_when() {
    let ground = Ground::new().await;
    let pod: Pod = parse(json!({
        "metadata": {"name": "one", "finalizers": ["drill.example/hold"]},
        "spec": {"containers": [{"name": "main", "image": image()}]},
    }));
    let api = ground.api::<Pod>();
    api.create(&PostParams::default(), &pod).await.expect("a pod");
    ground.until("one", |pod: &Pod| pod.status.clone().unwrap_or_default().phase.as_deref() == Some("Running")).await;
    let answered = api.delete("one", &DeleteParams::default().grace_period(7)).await.expect("begun");
    let going = answered.left().expect("the object");
    assert_eq!(going.metadata.deletion_grace_period_seconds, Some(7));
    let again = api.delete("one", &DeleteParams::default().grace_period(20)).await.expect("again");
    let again = again.left().expect("the object");
    // Once its processes have ended, the kubelet itself shortens it to nothing.
    assert!(again.metadata.deletion_grace_period_seconds <= Some(7), "grace only ever shortens");
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("one", &PatchParams::default(), &release).await.expect("patched");
    ground.until_gone::<Pod>("one").await;
    ground.leave().await;
}

#[tokio::test]
async fn a_collection_goes_by_its_selector() {
    let ground = Ground::new().await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        ground.config_map(name, json!({"tier": tier})).await;
    }
    let api = ground.api::<ConfigMap>();
    let web = ListParams::default().labels("tier=web");
    api.delete_collection(&DeleteParams::default(), &web).await.expect("deleted");
    let left = api.list(&ListParams::default().labels("tier")).await.expect("a list");
    assert_eq!(left.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b"]);
    ground.leave().await;
}

#[tokio::test]
async fn a_namespace_is_emptied_and_takes_nothing_new() {
    let ground = Ground::new().await;
    ground.config_map("one", json!({})).await;
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["drill.example/hold"]}}));
    let api = ground.api::<ConfigMap>();
    api.patch("one", &PatchParams::default(), &hold).await.expect("patched");
    let namespaces: Api<Namespace> = Api::all(ground.client.clone());
    namespaces.delete(&ground.namespace, &DeleteParams::default()).await.expect("begun");
    let going = namespaces.get(&ground.namespace).await.expect("still there");
    assert_eq!(going.status.and_then(|status| status.phase).as_deref(), Some("Terminating"));
    let late: ConfigMap = parse(json!({"metadata": {"name": "late"}}));
    assert_status(&refused(api.create(&PostParams::default(), &late).await), 403, "Forbidden");
    ground.until("one", |one: &ConfigMap| one.metadata.deletion_timestamp.is_some()).await;
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("one", &PatchParams::default(), &release).await.expect("patched");
    let gone =
        kube::runtime::wait::await_condition(namespaces, &ground.namespace, |one: Option<&Namespace>| one.is_none());
    tokio::time::timeout(crate::ground::PATIENCE, gone).await.expect("in time").expect("gone");
}
