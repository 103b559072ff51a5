//! Pods as their controllers make them: owners, nodes, conditions, addresses.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::ground::{Ground, image, parse};

#[tokio::test]
async fn a_pod_leads_back_to_its_deployment() {
    let ground = Ground::new().await;
    let deployment = ground.deployment("web", 1).await;
    let pod = ground.pods("web").await.remove(0);
    let owner = pod.owner_references().first().expect("an owner").clone();
    assert_eq!((owner.kind.as_str(), owner.controller), ("ReplicaSet", Some(true)));
    let set = ground.api::<ReplicaSet>().get(&owner.name).await.expect("the set");
    assert_eq!(set.uid().as_ref(), Some(&owner.uid));
    assert_eq!(set.owner_references()[0].uid, deployment.uid().expect("a uid"));
    ground.leave().await;
}

#[tokio::test]
async fn a_ready_pod_says_where_it_is_and_since_when() {
    let ground = Ground::new().await;
    ground.deployment("web", 1).await;
    let pod = ground.pods("web").await.remove(0);
    let status = pod.status.expect("a status");
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert!(status.pod_ip.expect("an address").parse::<std::net::IpAddr>().is_ok());
    assert!(status.start_time.is_some() && pod.spec.expect("a specification").node_name.is_some());
    let container = &status.container_statuses.expect("containers")[0];
    assert!(container.ready && container.restart_count == 0);
    assert!(container.state.as_ref().and_then(|state| state.running.as_ref()).is_some());
    let conditions = status.conditions.expect("conditions");
    for kind in ["PodScheduled", "Initialized", "ContainersReady", "Ready"] {
        assert!(conditions.iter().any(|one| one.type_ == kind && one.status == "True"), "{kind}: {conditions:?}");
    }
    ground.leave().await;
}

#[tokio::test]
async fn a_new_template_replaces_the_pods() {
    let ground = Ground::new().await;
    ground.deployment("web", 1).await;
    let before = ground.pods("web").await.remove(0);
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "yes"}}}}});
    ground.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.expect("patched");
    ground.until_gone::<Pod>(&before.name_any()).await;
    ground
        .until("web", |one: &Deployment| {
            let status = one.status.clone().unwrap_or_default();
            status.observed_generation == one.metadata.generation
                && (status.replicas, status.updated_replicas, status.ready_replicas) == (Some(1), Some(1), Some(1))
        })
        .await;
    ground.leave().await;
}

#[tokio::test]
async fn what_a_pod_is_made_of_cannot_change() {
    let ground = Ground::new().await;
    let pod: Pod =
        parse(json!({"metadata": {"name": "one"}, "spec": {"containers": [{"name": "main", "image": image()}]}}));
    let api = ground.api::<Pod>();
    api.create(&PostParams::default(), &pod).await.expect("a pod");
    let patch = Patch::Merge(json!({"spec": {"restartPolicy": "Never"}}));
    let status = crate::ground::refused(api.patch("one", &PatchParams::default(), &patch).await);
    crate::ground::assert_status(&status, 422, "Invalid");
    let label = Patch::Merge(json!({"metadata": {"labels": {"role": "primary"}}}));
    api.patch("one", &PatchParams::default(), &label).await.expect("labels can");
    ground.leave().await;
}

#[tokio::test]
async fn a_headless_service_has_no_address() {
    let ground = Ground::new().await;
    let service: Service =
        parse(json!({"metadata": {"name": "db"}, "spec": {"clusterIP": "None", "selector": {"app": "db"}}}));
    let made = ground.api::<Service>().create(&PostParams::default(), &service).await.expect("a service");
    assert_eq!(made.spec.and_then(|spec| spec.cluster_ip).as_deref(), Some("None"));
    ground.leave().await;
}
