//! What the server says of itself and of its clients.

use hyper::http::Request;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use kube::discovery::{Discovery, Scope, verbs};
use serde_json::json;

use crate::ground::{Ground, parse};

#[tokio::test]
async fn a_review_answers_what_one_may_do() {
    let ground = Ground::new().await;
    let reviews: Api<SelfSubjectAccessReview> = Api::all(ground.client.clone());
    let review = parse(json!({"spec": {"resourceAttributes": {
        "verb": "patch", "group": "apps", "resource": "deployments", "namespace": ground.namespace,
    }}}));
    let answered = reviews.create(&PostParams::default(), &review).await.expect("an answer");
    assert!(answered.status.expect("a status").allowed);
    ground.leave().await;
}

#[tokio::test]
async fn a_review_tells_who_one_is() {
    let ground = Ground::new().await;
    let reviews: Api<SelfSubjectReview> = Api::all(ground.client.clone());
    let answered = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.expect("an answer");
    let user = answered.status.and_then(|s| s.user_info).expect("a user");
    assert!(!user.username.unwrap_or_default().is_empty());
    assert!(user.groups.unwrap_or_default().iter().any(|group| group == "system:authenticated"));
    ground.leave().await;
}

#[tokio::test]
async fn an_answer_carries_the_servers_clock() {
    let ground = Ground::new().await;
    let request = Request::get("/version").body(kube::client::Body::empty()).expect("a request");
    let answer = ground.client.send(request).await.expect("an answer");
    let date = answer.headers().get("date").and_then(|d| d.to_str().ok()).map(str::to_owned).expect("a date");
    let date = date.strip_suffix(" GMT").unwrap_or_else(|| panic!("{date} names another zone"));
    assert_eq!(date.split(' ').count(), 5, "{date}");
    ground.leave().await;
}

#[tokio::test]
async fn the_server_tells_its_version_and_that_it_is_ready() {
    let ground = Ground::new().await;
    let version = ground.client.apiserver_version().await.expect("a version");
    assert_eq!(version.major, "1");
    let ready = ground.client.request_text(Request::get("/readyz").body(Vec::new()).expect("a request")).await;
    assert_eq!(ready.expect("ready"), "ok");
    ground.leave().await;
}

#[tokio::test]
async fn discovery_finds_what_drills_use() {
    let ground = Ground::new().await;
    let discovery = Discovery::new(ground.client.clone()).run().await.expect("discovered");
    for (group, kind, namespaced) in [
        ("", "Pod", true),
        ("", "Node", false),
        ("apps", "Deployment", true),
        ("apps", "StatefulSet", true),
        ("policy", "PodDisruptionBudget", true),
        ("coordination.k8s.io", "Lease", true),
        ("discovery.k8s.io", "EndpointSlice", true),
        ("events.k8s.io", "Event", true),
    ] {
        let found = discovery.get(group).and_then(|group| group.recommended_kind(kind));
        let (resource, capabilities) = found.unwrap_or_else(|| panic!("no {kind} in \"{group}\""));
        assert_eq!(resource.kind, kind);
        assert_eq!(capabilities.scope == Scope::Namespaced, namespaced, "{kind}");
        assert!(capabilities.supports_operation(verbs::PATCH) && capabilities.supports_operation(verbs::WATCH));
    }
    ground.leave().await;
}

#[tokio::test]
async fn the_clusters_identity_is_the_uid_of_kube_system() {
    let ground = Ground::new().await;
    let namespaces: Api<Namespace> = Api::all(ground.client.clone());
    let first = namespaces.get("kube-system").await.expect("always there").metadata.uid;
    assert!(first.is_some());
    assert_eq!(namespaces.get("kube-system").await.expect("there").metadata.uid, first);
    ground.leave().await;
}
