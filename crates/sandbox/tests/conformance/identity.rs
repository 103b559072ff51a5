//! Identity: names, uids, and preconditions on them.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams, Preconditions};
use serde_json::json;

use crate::ground::{Ground, assert_status, parse, refused};

#[tokio::test]
async fn a_name_is_taken_once() {
    let ground = Ground::new().await;
    ground.config_map("one", json!({})).await;
    let again: ConfigMap = parse(json!({"metadata": {"name": "one"}}));
    let status = refused(ground.api().create(&PostParams::default(), &again).await);
    assert_status(&status, 409, "AlreadyExists");
    ground.leave().await;
}

#[tokio::test]
async fn generated_names_begin_as_asked_and_differ() {
    let ground = Ground::new().await;
    let asked: ConfigMap = parse(json!({"metadata": {"generateName": "drill-"}}));
    let mut names = Vec::new();
    for _ in 0..3 {
        let made = ground.api::<ConfigMap>().create(&PostParams::default(), &asked).await.expect("made");
        names.push(made.name_any());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.starts_with("drill-") && name.len() > 6), "{names:?}");
    ground.leave().await;
}

#[tokio::test]
async fn the_server_gives_uid_version_and_time() {
    let ground = Ground::new().await;
    let made = ground.config_map("one", json!({})).await;
    let uid = made.uid().expect("a uid");
    assert!(!uid.is_empty() && made.resource_version().is_some() && made.creation_timestamp().is_some());
    ground.api::<ConfigMap>().delete("one", &DeleteParams::default()).await.expect("deleted");
    let second = ground.config_map("one", json!({})).await;
    assert_ne!(second.uid().expect("a uid"), uid, "a successor of the same name is another object");
    ground.leave().await;
}

#[tokio::test]
async fn deleting_with_another_uid_conflicts_and_deletes_nothing() {
    let ground = Ground::new().await;
    let made = ground.config_map("one", json!({})).await;
    let with = |uid: Option<String>, resource_version: Option<String>| DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version }),
        ..DeleteParams::default()
    };
    let api = ground.api::<ConfigMap>();
    let stranger = Some("00000000-0000-0000-0000-000000000000".to_owned());
    assert_status(&refused(api.delete("one", &with(stranger, None)).await), 409, "Conflict");
    assert_status(&refused(api.delete("one", &with(None, Some("1".to_owned()))).await), 409, "Conflict");
    assert_eq!(api.get("one").await.expect("still there").uid(), made.uid());
    api.delete("one", &with(made.uid(), made.resource_version())).await.expect("the one that was meant");
    assert_status(&refused(api.get("one").await), 404, "NotFound");
    ground.leave().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_every_verb() {
    let ground = Ground::new().await;
    let api = ground.api::<ConfigMap>();
    let status = refused(api.get("nobody").await);
    assert_status(&status, 404, "NotFound");
    assert!(status.is_not_found(), "clients ask this way");
    assert_eq!(status.details.expect("details").name, "nobody");
    assert!(api.get_opt("nobody").await.expect("an answer").is_none());
    assert_status(&refused(api.delete("nobody", &DeleteParams::default()).await), 404, "NotFound");
    let object: ConfigMap = parse(json!({"metadata": {"name": "nobody"}}));
    assert_status(&refused(api.replace("nobody", &PostParams::default(), &object).await), 404, "NotFound");
    ground.leave().await;
}
