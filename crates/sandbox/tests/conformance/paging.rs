//! Lists by pages and by selectors.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::ground::{Ground, assert_status, refused};

#[tokio::test]
async fn pages_show_one_moment_and_report_its_version() {
    let ground = Ground::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        ground.config_map(name, json!({"mine": ""})).await;
    }
    let api = ground.api::<ConfigMap>();
    let mut wanted = ListParams::default().labels("mine").limit(2);
    let (mut names, mut versions, mut pages) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = api.list(&wanted).await.expect("a page");
        pages += 1;
        names.extend(page.items.iter().map(ResourceExt::name_any));
        versions.push(page.metadata.resource_version.clone());
        if pages == 1 {
            // Sorted behind what is still to come: it must not appear.
            ground.config_map("z", json!({"mine": ""})).await;
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => wanted.continue_token = Some(token),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(pages, 3);
    assert!(versions.iter().all(|version| version == &versions[0]), "{versions:?}");
    ground.leave().await;
}

#[tokio::test]
async fn a_token_that_was_never_given_is_refused() {
    let ground = Ground::new().await;
    let wanted = ListParams::default().limit(1).continue_token("nonsense");
    let status = refused(ground.api::<ConfigMap>().list(&wanted).await);
    assert_status(&status, 400, "BadRequest");
    ground.leave().await;
}

#[tokio::test]
async fn selectors_select_and_unknown_fields_are_refused() {
    let ground = Ground::new().await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        ground.config_map(name, json!({"tier": tier})).await;
    }
    let api = ground.api::<ConfigMap>();
    let names = async |wanted: ListParams| -> Vec<String> {
        api.list(&wanted).await.expect("a list").items.iter().map(ResourceExt::name_any).collect()
    };
    assert_eq!(names(ListParams::default().labels("tier=web")).await, ["a", "c"]);
    assert_eq!(names(ListParams::default().labels("tier,tier notin (web)")).await, ["b"]);
    assert_eq!(names(ListParams::default().fields("metadata.name=c")).await, ["c"]);
    let status = refused(api.list(&ListParams::default().fields("spec.colour=red")).await);
    assert_status(&status, 400, "BadRequest");
    let status = refused(api.list(&ListParams::default().labels("a b")).await);
    assert_status(&status, 400, "BadRequest");
    ground.leave().await;
}

#[tokio::test]
async fn pods_are_found_by_node_and_phase_in_all_namespaces() {
    let ground = Ground::new().await;
    ground.deployment("web", 1).await;
    let pod = ground.pods("web").await.remove(0);
    let node = pod.spec.and_then(|spec| spec.node_name).expect("bound");
    let all: Api<Pod> = Api::all(ground.client.clone());
    let wanted = ListParams::default().fields(&format!("spec.nodeName={node},status.phase=Running"));
    let found = all.list(&wanted).await.expect("a list");
    assert!(found.items.iter().any(|one| one.metadata.uid == pod.metadata.uid));
    let wanted = ListParams::default().fields(&format!("spec.nodeName!={node}"));
    let found = all.list(&wanted).await.expect("a list");
    assert!(found.items.iter().all(|one| one.metadata.uid != pod.metadata.uid));
    ground.leave().await;
}

#[tokio::test]
async fn metadata_alone_can_be_had() {
    let ground = Ground::new().await;
    ground.config_map("one", json!({"mine": ""})).await;
    let list = ground.api::<ConfigMap>().list_metadata(&ListParams::default().labels("mine")).await.expect("a list");
    assert_eq!(list.items.len(), 1);
    assert_eq!(list.items[0].name_any(), "one");
    ground.leave().await;
}
