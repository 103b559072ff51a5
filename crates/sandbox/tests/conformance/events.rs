//! Events, in both of their faces.

use k8s_openapi::api::core::v1::{ConfigMap, Event as CoreEvent};
use k8s_openapi::api::events::v1::Event;
use kube::Resource;
use kube::api::ListParams;
use kube::runtime::events::{Event as Told, EventType, Recorder, Reporter};
use serde_json::json;

use crate::ground::{Ground, assert_status, parse, refused};

#[tokio::test]
async fn what_a_recorder_publishes_is_read_back_in_both_faces() {
    let ground = Ground::new().await;
    let about: ConfigMap = ground.config_map("one", json!({})).await;
    let recorder = Recorder::new(ground.client.clone(), Reporter { controller: "firedrill".into(), instance: None });
    let told = Told {
        type_: EventType::Warning,
        reason: "DrillBegan".into(),
        note: Some("a drill begins".into()),
        action: "Drill".into(),
        secondary: None,
    };
    recorder.publish(&told, &about.object_ref(&())).await.expect("published");
    let by_uid = format!("involvedObject.uid={}", about.metadata.uid.clone().expect("a uid"));
    let old = ground.api::<CoreEvent>().list(&ListParams::default().fields(&by_uid)).await.expect("a list").items;
    assert_eq!(old.len(), 1);
    assert_eq!(old[0].message.as_deref(), Some("a drill begins"));
    assert_eq!(old[0].involved_object.name.as_deref(), Some("one"));
    let new = ground.api::<Event>().list(&ListParams::default()).await.expect("a list").items;
    let found = new.iter().find(|event| event.metadata.name == old[0].metadata.name).expect("the same one");
    assert_eq!(found.note.as_deref(), Some("a drill begins"));
    assert_eq!(found.reporting_controller.as_deref(), Some("firedrill"));
    ground.leave().await;
}

#[tokio::test]
async fn an_event_about_another_namespace_is_refused() {
    let ground = Ground::new().await;
    let event: CoreEvent = parse(json!({
        "metadata": {"name": "one"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "kube-system"},
        "reason": "x", "type": "Normal",
    }));
    let status = refused(ground.api().create(&kube::api::PostParams::default(), &event).await);
    assert_status(&status, 422, "Invalid");
    ground.leave().await;
}
