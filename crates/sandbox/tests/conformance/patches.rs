//! The patch formats.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::ground::{Ground, assert_status, image, refused};

#[tokio::test]
async fn a_json_patch_tests_before_it_changes() {
    let ground = Ground::new().await;
    ground.config_map("one", json!({})).await;
    let api = ground.api::<ConfigMap>();
    let patch = |expected: &str| {
        let operations = json!([
            {"op": "test", "path": "/data/key", "value": expected},
            {"op": "replace", "path": "/data/key", "value": "changed"},
        ]);
        Patch::Json::<()>(serde_json::from_value(operations).expect("a patch"))
    };
    let status = refused(api.patch("one", &PatchParams::default(), &patch("something else")).await);
    assert_status(&status, 422, "Invalid");
    let unchanged = api.get("one").await.expect("there").data.expect("data");
    assert_eq!(unchanged["key"], "value");
    let changed = api.patch("one", &PatchParams::default(), &patch("value")).await.expect("patched");
    assert_eq!(changed.data.expect("data")["key"], "changed");
    ground.leave().await;
}

#[tokio::test]
async fn a_merge_patch_removes_by_null() {
    let ground = Ground::new().await;
    ground.config_map("one", json!({"a": "1", "b": "2"})).await;
    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": null}}, "data": {"more": "x"}}));
    let after = ground.api::<ConfigMap>().patch("one", &PatchParams::default(), &patch).await.expect("patched");
    let labels = after.metadata.labels.expect("labels");
    assert!(!labels.contains_key("a") && labels["b"] == "2");
    assert_eq!(after.data.expect("data").len(), 2);
    ground.leave().await;
}

#[tokio::test]
async fn a_strategic_patch_merges_containers_by_name() {
    let ground = Ground::new().await;
    ground.deployment("web", 0).await;
    let env = json!([{"name": "X", "value": "1"}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": env}]}}}});
    let api = ground.api::<Deployment>();
    let after = api.patch("web", &PatchParams::default(), &Patch::Strategic(patch)).await.expect("patched");
    let pod = after.spec.and_then(|spec| spec.template.spec).expect("a template");
    assert_eq!(pod.containers.len(), 1);
    assert_eq!(pod.containers[0].image.as_deref(), Some(image().as_str()), "kept");
    assert_eq!(pod.containers[0].env.as_ref().map(Vec::len), Some(1));
    ground.leave().await;
}

#[tokio::test]
async fn an_applied_object_is_made_and_then_changed() {
    let ground = Ground::new().await;
    let api = ground.api::<ConfigMap>();
    let apply = |value: &str| {
        Patch::Apply(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"key": value}}),
        )
    };
    let parameters = PatchParams::apply("firedrill").force();
    let made = api.patch("one", &parameters, &apply("a")).await.expect("made");
    let changed = api.patch("one", &parameters, &apply("b")).await.expect("changed");
    assert_eq!(changed.metadata.uid, made.metadata.uid);
    assert_eq!(changed.data.expect("data")["key"], "b");
    ground.leave().await;
}

#[tokio::test]
async fn a_patch_of_an_unknown_format_is_refused() {
    let ground = Ground::new().await;
    ground.config_map("one", json!({})).await;
    let request = hyper::http::Request::patch(format!("/api/v1/namespaces/{}/configmaps/one", ground.namespace))
        .header("content-type", "text/plain")
        .body(b"{}".to_vec())
        .expect("a request");
    let status = refused(ground.client.request::<Value>(request).await);
    assert_status(&status, 415, "UnsupportedMediaType");
    ground.leave().await;
}

#[tokio::test]
async fn a_dry_run_judges_and_keeps_nothing() {
    let ground = Ground::new().await;
    let made = ground.deployment("web", 1).await;
    let api = ground.api::<Deployment>();
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let told = api.patch("web", &dry, &Patch::Merge(json!({"spec": {"replicas": 0}}))).await.expect("judged");
    assert_eq!(told.spec.and_then(|spec| spec.replicas), Some(0));
    let status = refused(api.patch("web", &dry, &Patch::Merge(json!({"spec": {"replicas": -1}}))).await);
    assert_status(&status, 422, "Invalid");
    let after = api.get("web").await.expect("there");
    assert_eq!(after.spec.and_then(|spec| spec.replicas), Some(1));
    assert_eq!(after.metadata.generation, made.metadata.generation);
    ground.leave().await;
}
