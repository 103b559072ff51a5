//! Watches: resuming, selectors, bookmarks, and the 410 that is an event.

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, VersionMatch, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use crate::ground::{Ground, PATIENCE};

/// The next events of a watch, as `(type, name)`, without bookmarks.
async fn told(ground: &Ground, parameters: &WatchParams, version: &str, count: usize) -> Vec<(&'static str, String)> {
    let api = ground.api::<ConfigMap>();
    let events = api.watch(parameters, version).await.expect("a watch");
    let events = events.try_filter_map(|event| async move {
        Ok(match event {
            WatchEvent::Added(object) => Some(("ADDED", object.name_any())),
            WatchEvent::Modified(object) => Some(("MODIFIED", object.name_any())),
            WatchEvent::Deleted(object) => Some(("DELETED", object.name_any())),
            WatchEvent::Bookmark(_) => None,
            WatchEvent::Error(status) => panic!("{status:?}"),
        })
    });
    let told = tokio::time::timeout(PATIENCE, events.take(count).try_collect()).await;
    told.expect("in time").expect("events")
}

#[tokio::test]
async fn a_watch_goes_on_from_the_lists_version_and_misses_nothing() {
    let ground = Ground::new().await;
    // The cluster may add a config map of its own to a new namespace.
    let mine = WatchParams::default().labels("mine");
    ground.config_map("before", json!({"mine": ""})).await;
    let api = ground.api::<ConfigMap>();
    let version = api.list(&ListParams::default()).await.expect("a list").metadata.resource_version.expect("a version");
    ground.config_map("one", json!({"mine": ""})).await;
    let patch = Patch::Merge(json!({"data": {"key": "other"}}));
    api.patch("one", &PatchParams::default(), &patch).await.expect("patched");
    api.delete("one", &DeleteParams::default()).await.expect("deleted");
    let all = told(&ground, &mine, &version, 3).await;
    let own = |kind: &'static str| (kind, "one".to_owned());
    assert_eq!(all, [own("ADDED"), own("MODIFIED"), own("DELETED")]);
    assert_eq!(told(&ground, &mine, &version, 2).await, all[..2], "and again");
    ground.leave().await;
}

#[tokio::test]
async fn what_enters_or_leaves_the_selection_is_added_or_deleted() {
    let ground = Ground::new().await;
    let made = ground.config_map("one", json!({})).await;
    let api = ground.api::<ConfigMap>();
    let label = |value: serde_json::Value| Patch::Merge(json!({"metadata": {"labels": {"chosen": value}}}));
    for value in [json!("yes"), json!("no"), json!(null)] {
        api.patch("one", &PatchParams::default(), &label(value)).await.expect("patched");
    }
    let version = made.resource_version().expect("a version");
    let chosen = WatchParams::default().labels("chosen=yes");
    let own = |kind: &'static str| (kind, "one".to_owned());
    assert_eq!(told(&ground, &chosen, &version, 2).await, [own("ADDED"), own("DELETED")]);
    let named = WatchParams::default().fields("metadata.name=other");
    ground.config_map("other", json!({})).await;
    assert_eq!(told(&ground, &named, &version, 1).await, [("ADDED", "other".to_owned())]);
    ground.leave().await;
}

#[tokio::test]
async fn a_version_that_is_gone_is_an_error_event_with_410() {
    let ground = Ground::new().await;
    let api = ground.api::<ConfigMap>();
    let mut events = Box::pin(api.watch(&WatchParams::default(), "1").await.expect("the stream itself begins well"));
    let first = tokio::time::timeout(PATIENCE, events.next()).await.expect("in time").expect("an event");
    match first.expect("decodes") {
        WatchEvent::Error(status) => assert_eq!((status.code, status.reason.as_str()), (410, "Expired")),
        // A real cluster that is younger than its first compaction has not forgotten anything yet.
        WatchEvent::Added(_) if crate::ground::is_given() => {}
        other => panic!("expected an error event, got {other:?}"),
    }
    ground.leave().await;
}

#[tokio::test]
async fn a_version_from_zero_begins_with_what_is_there() {
    let ground = Ground::new().await;
    ground.config_map("one", json!({"mine": ""})).await;
    ground.config_map("two", json!({"mine": ""})).await;
    let mut all = told(&ground, &WatchParams::default().labels("mine"), "0", 2).await;
    all.sort();
    assert_eq!(all, [("ADDED", "one".to_owned()), ("ADDED", "two".to_owned())]);
    ground.leave().await;
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_over() {
    let ground = Ground::new().await;
    let version = ground.config_map("one", json!({})).await.resource_version().expect("a version");
    let parameters = WatchParams::default().timeout(1).labels("mine").disable_bookmarks();
    let api = ground.api::<ConfigMap>();
    let events = api.watch(&parameters, &version).await.expect("a watch");
    let all: Vec<_> = tokio::time::timeout(PATIENCE, events.try_collect()).await.expect("ends").expect("well");
    assert!(all.is_empty(), "{all:?}");
    ground.leave().await;
}

#[tokio::test]
async fn a_streaming_list_ends_its_beginning_with_a_bookmark() {
    let ground = Ground::new().await;
    ground.config_map("one", json!({"mine": ""})).await;
    let config = watcher::Config::default().labels("mine").streaming_lists();
    let objects = watcher(ground.api::<ConfigMap>(), config).default_backoff();
    let mut objects = Box::pin(objects);
    let mut seen = Vec::new();
    loop {
        let next = tokio::time::timeout(PATIENCE, objects.try_next()).await.expect("in time").expect("an event");
        match next.expect("goes on") {
            watcher::Event::InitApply(object) => seen.push(object.name_any()),
            watcher::Event::InitDone => break,
            _ => {}
        }
    }
    assert_eq!(seen, ["one"]);
    ground.config_map("two", json!({"mine": ""})).await;
    let next = tokio::time::timeout(PATIENCE, objects.try_next()).await.expect("in time").expect("an event");
    assert!(matches!(next, Some(watcher::Event::Apply(object)) if object.name_any() == "two"));
    ground.leave().await;
}

#[tokio::test]
async fn a_list_may_ask_for_a_state_not_older() {
    let ground = Ground::new().await;
    let version = ground.config_map("one", json!({})).await.resource_version().expect("a version");
    let wanted = ListParams::default().at(&version).matching(VersionMatch::NotOlderThan).labels("!kubernetes.io/x");
    let list = ground.api::<ConfigMap>().list(&wanted).await.expect("a list");
    assert!(list.items.iter().any(|object| object.name_any() == "one"));
    ground.leave().await;
}
