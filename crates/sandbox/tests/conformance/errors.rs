//! Refusals: code, reason, and the fields they name.

use hyper::http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::ground::{Ground, assert_status, deployment, parse, refused};

async fn post(ground: &Ground, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let request = Request::post(path).header("content-type", "application/json");
    ground.client.request(request.body(body.to_string().into_bytes()).expect("a request")).await
}

#[tokio::test]
async fn impossible_objects_are_invalid_and_the_field_is_named() {
    let ground = Ground::new().await;
    let api = ground.api::<Deployment>();
    let spoilt = |change: &dyn Fn(&mut Value)| {
        let mut manifest = deployment("web", 1);
        change(&mut manifest);
        parse::<Deployment>(manifest)
    };
    let cases: [(&str, Deployment); 4] = [
        ("metadata.name", spoilt(&|one| one["metadata"]["name"] = json!("Not_A_Name"))),
        ("spec.replicas", spoilt(&|one| one["spec"]["replicas"] = json!(-1))),
        (
            "spec.template.metadata.labels",
            spoilt(&|one| one["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"})),
        ),
        ("spec.template.spec.containers", spoilt(&|one| one["spec"]["template"]["spec"]["containers"] = json!([]))),
    ];
    for (field, object) in cases {
        let status = refused(api.create(&PostParams::default(), &object).await);
        assert_status(&status, 422, "Invalid");
        let told = status.details.expect("details").causes;
        assert!(told.iter().any(|cause| cause.field == field), "{field}: {told:?}");
    }
    ground.leave().await;
}

#[tokio::test]
async fn what_is_not_of_the_right_type_is_a_bad_request() {
    let ground = Ground::new().await;
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", ground.namespace);
    let mut manifest = deployment("web", 1);
    manifest["spec"]["replicas"] = json!("three");
    assert_status(&refused(post(&ground, &path, &manifest).await), 400, "BadRequest");
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}});
    assert_status(&refused(post(&ground, &path, &other).await), 400, "BadRequest");
    let elsewhere = json!({"metadata": {"name": "one", "namespace": "default"}});
    let path = format!("/api/v1/namespaces/{}/configmaps", ground.namespace);
    assert_status(&refused(post(&ground, &path, &elsewhere).await), 400, "BadRequest");
    ground.leave().await;
}

#[tokio::test]
async fn unknown_paths_and_namespaces_are_not_found() {
    let ground = Ground::new().await;
    let get = |path: &str| ground.client.request::<Value>(Request::get(path).body(Vec::new()).expect("a request"));
    for path in ["/api/v1/gadgets", "/api/v2/pods", "/apis/apps/v1/gadgets", "/apis/apps/v9/deployments"] {
        assert_status(&refused(get(path).await), 404, "NotFound");
    }
    // Of a group that nobody serves: a line of text and no `Status`, so that whoever asks must go by the code.
    for path in ["/apis/drill.example/v1/gadgets", "/apis/drill.example/v1", "/apis/drill.example", "/nowhere"] {
        let status = refused(get(path).await);
        assert_eq!((status.code, status.message.trim_end()), (404, "404 page not found"), "{path}");
    }
    let nowhere: Api<ConfigMap> = Api::namespaced(ground.client.clone(), "no-such-namespace");
    let object: ConfigMap = parse(json!({"metadata": {"name": "one"}}));
    assert_status(&refused(nowhere.create(&PostParams::default(), &object).await), 404, "NotFound");
    assert!(nowhere.list(&kube::api::ListParams::default()).await.expect("an empty list").items.is_empty());
    ground.leave().await;
}
