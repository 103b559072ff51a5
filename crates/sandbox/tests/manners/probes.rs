//! Probes: what they ask, and what follows from the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bench::{Stand, container, is_ready, script};

/// A pod whose container has this probe, asked every 20 ms.
fn probed(name: &str, command: &str, probe: &str, told: serde_json::Value) -> serde_json::Value {
    let mut manifest = script(name, command);
    manifest["metadata"]["annotations"] = json!({"sandbox.firedrill.example/probe-period-ms": "20"});
    manifest["spec"]["containers"][0][probe] = told;
    manifest
}

/// The ready addresses of a service, old form.
fn addresses(endpoints: &Endpoints) -> usize {
    let subsets = endpoints.subsets.as_deref().unwrap_or_default();
    subsets.iter().map(|subset| subset.addresses.as_deref().unwrap_or_default().len()).sum()
}

#[tokio::test]
async fn readiness_comes_and_goes_and_endpoints_follow() {
    let stand = Stand::new("probe-ready").await;
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    stand.make::<Service>(service).await;
    let probe = json!({"exec": {"command": ["test", "-e", "open"]}});
    let pod: Pod = stand.make(probed("web", "exec sleep 1000", "readinessProbe", probe)).await;
    let running = |pod: &Pod| container(pod).state.is_some_and(|state| state.running.is_some());
    assert!(!is_ready(&stand.until("web", running).await));
    stand.until("web", |one: &Endpoints| addresses(one) == 0).await;
    let open = stand.pod_dir(&pod).join("open");
    std::fs::write(&open, "").expect("opened");
    stand.until("web", is_ready).await;
    let there = stand.until("web", |one: &Endpoints| addresses(one) == 1).await;
    let subset = &there.subsets.expect("a subset")[0];
    assert_eq!(subset.ports.as_deref().expect("ports")[0].port, 8080);
    std::fs::remove_file(&open).expect("closed");
    stand.until("web", |pod: &Pod| !is_ready(pod)).await;
    let there = stand.until("web", |one: &Endpoints| addresses(one) == 0).await;
    let subset = &there.subsets.expect("a subset")[0];
    assert_eq!(subset.not_ready_addresses.as_deref().unwrap_or_default().len(), 1);
    assert_eq!(container(&stand.until("web", |_: &Pod| true).await).restart_count, 0, "unready is not unhealthy");
    stand.leave().await;
}

/// Answers 200 or 503, as told.
async fn serve(listener: TcpListener, well: Arc<AtomicBool>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        let line = if well.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
        let _ = stream.write_all(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
    }
}

#[tokio::test]
async fn an_http_probe_goes_by_the_code() {
    let stand = Stand::new("probe-http").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let well = Arc::new(AtomicBool::new(true));
    let server = tokio::spawn(serve(listener, Arc::clone(&well)));
    let probe = json!({"httpGet": {"host": "127.0.0.1", "port": port, "path": "/health"}});
    stand.make::<Pod>(probed("web", "exec sleep 1000", "readinessProbe", probe)).await;
    stand.until("web", is_ready).await;
    well.store(false, Ordering::SeqCst);
    stand.until("web", |pod: &Pod| !is_ready(pod)).await;
    well.store(true, Ordering::SeqCst);
    stand.until("web", is_ready).await;
    server.abort();
    stand.leave().await;
}

#[tokio::test]
async fn a_container_that_fails_its_liveness_probe_is_restarted_in_place() {
    let stand = Stand::new("probe-live").await;
    let probe = json!({"exec": {"command": ["test", "!", "-e", "ill"]}});
    let command = "trap 'rm -f ill; exit 5' TERM; while :; do sleep 0.01; done";
    let pod: Pod = stand.make(probed("web", command, "livenessProbe", probe)).await;
    stand.until("web", is_ready).await;
    std::fs::write(stand.pod_dir(&pod).join("ill"), "").expect("ill");
    let after = stand.until("web", |pod: &Pod| container(pod).restart_count == 1 && is_ready(pod)).await;
    let last = container(&after).last_state.and_then(|last| last.terminated).expect("an end");
    assert_eq!(last.exit_code, 5, "it was asked to end and given time");
    assert_eq!(after.metadata.uid, pod.metadata.uid);
    stand.leave().await;
}

#[tokio::test]
async fn nothing_else_is_asked_before_the_startup_probe_has_passed() {
    let stand = Stand::new("probe-start").await;
    let probe = json!({"exec": {"command": ["test", "-e", "open"]}, "failureThreshold": 1000});
    let mut manifest = probed("web", "exec sleep 1000", "startupProbe", probe);
    manifest["spec"]["containers"][0]["livenessProbe"] = json!({"exec": {"command": ["test", "-e", "open"]}});
    let pod: Pod = stand.make(manifest).await;
    let running = |pod: &Pod| container(pod).state.is_some_and(|state| state.running.is_some());
    let waiting = stand.until("web", running).await;
    assert_eq!(container(&waiting).started, Some(false));
    std::fs::write(stand.pod_dir(&pod).join("open"), "").expect("opened");
    let up = stand.until("web", is_ready).await;
    assert_eq!((container(&up).started, container(&up).restart_count), (Some(true), 0));
    stand.leave().await;
}
