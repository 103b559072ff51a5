//! The audit log: everything that could have changed something, in order, with what became of it.

use std::time::Duration;

use firedrill_sandbox::audit::read_audit_log;
use firedrill_sandbox::faults::{Fault, Rule, Selection};
use firedrill_sandbox::process::boottime_ns;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::bench::Stand;

#[tokio::test]
async fn every_change_is_written_down_with_its_author_and_its_times() {
    let stand = Stand::new("audit").await;
    let began_ns = boottime_ns();
    let api = stand.api::<ConfigMap>();
    let made = stand.make::<ConfigMap>(json!({"metadata": {"name": "one"}, "data": {"key": "a"}})).await;
    api.list(&ListParams::default()).await.expect("a read leaves no trace");
    let change = Patch::Merge(json!({"data": {"key": "b"}}));
    let lost = Rule::once(Selection::of("patch", "configmaps"), Fault::AnswerLost { hold_ms: None });
    stand.cluster.faults().add(lost.clone());
    let waited =
        tokio::time::timeout(Duration::from_millis(100), api.patch("one", &PatchParams::default(), &change)).await;
    assert!(waited.is_err());
    stand.cluster.faults().add(Rule::once(Selection::of("delete", "configmaps"), Fault::ServerError));
    api.delete("one", &DeleteParams::default()).await.expect_err("a fault");
    api.delete("nobody", &DeleteParams::default()).await.expect_err("nobody there");
    let entries = read_audit_log(stand.cluster.audit_log()).expect("a log");
    let told: Vec<_> = entries.iter().map(|one| (one.seq, one.verb.as_str(), one.name.as_str(), one.code)).collect();
    let expected = [
        (1, "create", "one", Some(201)),
        (2, "patch", "one", Some(200)),
        (3, "delete", "one", Some(500)),
        (4, "delete", "nobody", Some(404)),
    ];
    assert_eq!(told, expected);
    assert_eq!(entries[0].uid, made.metadata.uid.expect("a uid"));
    assert_eq!(entries[1].fault.as_ref(), Some(&lost.fault), "executed, and its answer withheld");
    assert_eq!(entries[1].body, json!({"data": {"key": "b"}}));
    assert!(entries[1].executed_ns.is_some() && entries[2].executed_ns.is_none());
    assert_eq!((entries[3].reason.as_str(), entries[3].resource.as_str()), ("NotFound", "configmaps"));
    for entry in &entries {
        let executed_ns = entry.executed_ns.unwrap_or(entry.arrived_ns);
        assert!(began_ns <= entry.arrived_ns && entry.arrived_ns <= executed_ns && executed_ns <= boottime_ns());
    }
    stand.leave().await;
}

#[tokio::test]
async fn what_a_secret_holds_is_not_written_down() {
    let stand = Stand::new("audit-secret").await;
    stand.make::<Secret>(json!({"metadata": {"name": "login"}, "stringData": {"password": "open-sesame"}})).await;
    let text = std::fs::read_to_string(stand.cluster.audit_log()).expect("a log");
    assert!(text.contains("\"login\"") && !text.contains("open-sesame"), "{text}");
    // Nor in its other form.
    assert!(!text.contains("b3Blbi1zZXNhbWU"), "{text}");
    stand.leave().await;
}
