//! The scale subresource: a small window on a workload's count.

use serde_json::{Value, json};

use super::meta;
use super::rules;
use super::selector::LabelSelector;
use super::status::ApiError;
use super::store::{Inner, Key, Object};
use super::write::Mode;

/// The window on a workload.
pub(crate) fn of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let selector = LabelSelector::of(object.pointer("/spec/selector").unwrap_or(&Value::Null)).to_string();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": meta::number(object, "/spec/replicas").unwrap_or(0)},
        "status": {"replicas": meta::number(object, "/status/replicas").unwrap_or(0), "selector": selector},
    })
}

/// Sets the count from a changed window. Its resource version is the workload's.
pub(crate) fn set(inner: &mut Inner, key: &Key, scale: &Value, mode: Mode) -> Result<Object, ApiError> {
    let before = inner.get(key).ok_or_else(|| ApiError::not_found(key.kind, &key.name))?;
    let told = meta::uid(scale);
    if !told.is_empty() && told != meta::uid(&before) {
        let why =
            format!("Precondition failed: UID in precondition: {told}, UID in object meta: {}", meta::uid(&before));
        return Err(ApiError::conflict(key.kind, &key.name, &why));
    }
    let version = meta::resource_version(scale);
    if !version.is_empty() && version != meta::resource_version(&before) {
        return Err(ApiError::modified(key.kind, &key.name));
    }
    let replicas = match scale.pointer("/spec/replicas") {
        None | Some(Value::Null) => 0,
        Some(told) => told.as_i64().ok_or_else(|| {
            ApiError::bad_request(format!(
                "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas is {told}"
            ))
        })?,
    };
    rules::check_replicas(key.kind, &key.name, replicas)?;
    let mut object = Value::clone(&before);
    object["spec"]["replicas"] = json!(replicas);
    let object = match mode {
        Mode::Commit => inner.put(key, object),
        Mode::DryRun => object.into(),
    };
    Ok(of(&object).into())
}
