//! Evictions and disruption budgets.

use hyper::http::Request;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::ground::{Ground, assert_status, parse, refused};

/// Posts the subresource itself: the client's own `evict` misspells the preconditions.
async fn evict(ground: &Ground, pod: &str, uid: Option<&str>) -> Result<Value, kube::Error> {
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": ground.namespace},
        "deleteOptions": {"preconditions": uid.map(|uid| json!({"uid": uid}))},
    });
    let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", ground.namespace);
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(&body).expect("json")).expect("a request");
    ground.client.request(request).await
}

async fn budget(ground: &Ground, least: i32, allowed: i32) {
    let object: PodDisruptionBudget = parse(json!({
        "metadata": {"name": "web"}, "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": "web"}}},
    }));
    ground.api().create(&PostParams::default(), &object).await.expect("a budget");
    ground
        .until("web", |budget: &PodDisruptionBudget| {
            let status = budget.status.clone().unwrap_or_default();
            status.observed_generation == budget.metadata.generation && status.disruptions_allowed == allowed
        })
        .await;
}

#[tokio::test]
async fn a_spent_budget_refuses_with_429_and_says_why() {
    let ground = Ground::new().await;
    ground.deployment("web", 2).await;
    budget(&ground, 2, 0).await;
    let pod = ground.pods("web").await.remove(0).name_any();
    let status = refused(evict(&ground, &pod, None).await);
    assert_status(&status, 429, "TooManyRequests");
    let causes = status.details.expect("details").causes;
    assert!(causes.iter().any(|cause| cause.reason == "DisruptionBudget"), "{causes:?}");
    assert!(ground.api::<Pod>().get(&pod).await.expect("still there").metadata.deletion_timestamp.is_none());
    ground.leave().await;
}

#[tokio::test]
async fn a_budget_with_room_lets_one_go_and_is_then_spent() {
    let ground = Ground::new().await;
    ground.deployment("web", 3).await;
    budget(&ground, 2, 1).await;
    let pods = ground.pods("web").await;
    evict(&ground, &pods[0].name_any(), None).await.expect("evicted");
    let status = refused(evict(&ground, &pods[1].name_any(), None).await);
    assert_status(&status, 429, "TooManyRequests");
    ground.until_gone::<Pod>(&pods[0].name_any()).await;
    ground.leave().await;
}

#[tokio::test]
async fn an_eviction_of_another_uid_conflicts() {
    let ground = Ground::new().await;
    ground.deployment("web", 1).await;
    let pod = ground.pods("web").await.remove(0);
    let stranger = "00000000-0000-0000-0000-000000000000";
    let status = refused(evict(&ground, &pod.name_any(), Some(stranger)).await);
    assert_status(&status, 409, "Conflict");
    assert!(ground.api::<Pod>().get(&pod.name_any()).await.expect("there").metadata.deletion_timestamp.is_none());
    let own = pod.uid().expect("a uid");
    evict(&ground, &pod.name_any(), Some(&own)).await.expect("evicted");
    ground.until_gone::<Pod>(&pod.name_any()).await;
    let status = refused(evict(&ground, &pod.name_any(), None).await);
    assert_status(&status, 404, "NotFound");
    ground.leave().await;
}
