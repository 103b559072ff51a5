//! Creates the estate's objects, by ordinary requests.

use axum::http::Request;
use kube::Client;
use serde_json::Value;

/// Creates each object in turn.
///
/// # Errors
/// Says which object was refused, and why.
pub async fn create(client: Client, objects: &[Value]) -> Result<(), String> {
    for object in objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let what = format!("{} {}", text("/kind"), text("/metadata/name"));
        let path =
            collection(text("/kind"), text("/metadata/namespace")).ok_or_else(|| format!("{what}: unknown kind"))?;
        let body = serde_json::to_vec(object).map_err(|error| format!("{what}: {error}"))?;
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(body)
            .map_err(|error| format!("{what}: {error}"))?;
        client.request::<Value>(request).await.map_err(|error| format!("{what}: {error}"))?;
    }
    Ok(())
}

/// Where objects of a kind are created.
fn collection(kind: &str, namespace: &str) -> Option<String> {
    Some(match kind {
        "Namespace" => "/api/v1/namespaces".to_owned(),
        "Secret" => format!("/api/v1/namespaces/{namespace}/secrets"),
        "Service" => format!("/api/v1/namespaces/{namespace}/services"),
        "StatefulSet" => format!("/apis/apps/v1/namespaces/{namespace}/statefulsets"),
        "Deployment" => format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
        _ => return None,
    })
}
