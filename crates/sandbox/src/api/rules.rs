//! What each kind refuses: names, required and immutable fields, impossible values.

use serde_json::Value;

use super::kinds::{Kind, Scope};
use super::meta;
use super::selector::LabelSelector;
use super::status::ApiError;

/// Longest name of an object.
const NAME_MAX: usize = 253;

/// What is wrong, field by field.
type Causes = Vec<(String, String)>;

/// Refuses an object that cannot be, new or changed.
pub(crate) fn check(kind: Kind, object: &Value) -> Result<(), ApiError> {
    let mut causes = Causes::new();
    name(kind, object, &mut causes);
    labels(object, &mut causes);
    match kind {
        Kind::Deployment | Kind::ReplicaSet | Kind::StatefulSet => workload(object, &mut causes),
        Kind::Pod => containers(object, "/spec", "spec", &mut causes),
        Kind::Service => service(object, &mut causes),
        Kind::Lease => lease(object, &mut causes),
        Kind::PodDisruptionBudget => budget(object, &mut causes),
        Kind::HorizontalPodAutoscaler => autoscaler(object, &mut causes),
        Kind::Event => event(object, &mut causes),
        _ => {}
    }
    verdict(kind, object, &causes)
}

/// Refuses a change of what cannot change.
pub(crate) fn check_change(kind: Kind, before: &Value, after: &Value) -> Result<(), ApiError> {
    let mut causes = Causes::new();
    let immutable: &[&str] = match kind {
        Kind::Deployment | Kind::ReplicaSet => &["/spec/selector"],
        Kind::StatefulSet => &["/spec/selector", "/spec/serviceName", "/spec/podManagementPolicy"],
        Kind::Service => &["/spec/clusterIP"],
        Kind::Secret => &["/type"],
        _ => &[],
    };
    for pointer in immutable {
        if before.pointer(pointer) != after.pointer(pointer) {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            causes.push((field, format!("Invalid value: {}: field is immutable", shown(after.pointer(pointer)))));
        }
    }
    let frozen = matches!(kind, Kind::Secret | Kind::ConfigMap)
        && before.get("immutable").and_then(Value::as_bool) == Some(true)
        && (before.get("data") != after.get("data") || after.get("immutable") != before.get("immutable"));
    if frozen {
        causes.push(("data".to_owned(), "Forbidden: field is immutable when `immutable` is set".to_owned()));
    }
    if kind == Kind::Pod && pod_without_mutable_fields(before) != pod_without_mutable_fields(after) {
        let wrong = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`, \
                     `spec.initContainers[*].image`, `spec.activeDeadlineSeconds`, `spec.tolerations` (only additions \
                     to existing tolerations), `spec.terminationGracePeriodSeconds`";
        causes.push(("spec".to_owned(), wrong.to_owned()));
    }
    if meta::is_deleting(before) {
        let known = meta::items(before, "/metadata/finalizers");
        if meta::items(after, "/metadata/finalizers").iter().any(|finalizer| !known.contains(finalizer)) {
            let wrong = "Forbidden: no new finalizers can be added if the object is being deleted";
            causes.push(("metadata.finalizers".to_owned(), wrong.to_owned()));
        }
    }
    verdict(kind, after, &causes)
}

/// Refuses a count that cannot be.
pub(crate) fn check_replicas(kind: Kind, object_name: &str, replicas: i64) -> Result<(), ApiError> {
    let mut causes = Causes::new();
    not_negative("spec.replicas", Some(replicas), &mut causes);
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid(kind, object_name, &causes)) }
}

fn verdict(kind: Kind, object: &Value, causes: &Causes) -> Result<(), ApiError> {
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid(kind, meta::name(object), causes)) }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "null".to_owned(), Value::to_string)
}

fn required(object: &Value, pointer: &str, causes: &mut Causes) {
    let missing = match object.pointer(pointer) {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if missing {
        causes.push((pointer.trim_start_matches('/').replace('/', "."), "Required value".to_owned()));
    }
}

fn not_negative(field: &str, value: Option<i64>, causes: &mut Causes) {
    if let Some(value) = value.filter(|value| *value < 0) {
        causes.push((field.to_owned(), format!("Invalid value: {value}: must be greater than or equal to 0")));
    }
}

fn name(kind: Kind, object: &Value, causes: &mut Causes) {
    let name = meta::name(object);
    // Roles and their bindings may be called anything that fits into a path.
    let free = matches!(kind, Kind::Role | Kind::RoleBinding);
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    let well_formed = bytes.iter().copied().all(inner) && edge(bytes.first().copied()) && edge(bytes.last().copied());
    if name.len() > NAME_MAX || (!free && !well_formed) {
        let wrong = format!(
            "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
             characters, '-' or '.', and must start and end with an alphanumeric character"
        );
        causes.push(("metadata.name".to_owned(), wrong));
    }
    if kind.info().scope == Scope::Namespaced && meta::namespace(object).is_empty() {
        causes.push(("metadata.namespace".to_owned(), "Required value".to_owned()));
    }
}

/// Label values are at most 63 characters of a small alphabet; a run id that is not must fail here as in production.
fn labels(object: &Value, causes: &mut Causes) {
    let Some(labels) = object.pointer("/metadata/labels").and_then(Value::as_object) else { return };
    for value in labels.values().filter_map(Value::as_str) {
        let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
        let bytes = value.as_bytes();
        let fit = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.len() <= 63;
        if !fit {
            let wrong = format!(
                "Invalid value: \"{value}\": a valid label must be an empty string or consist of at most 63 alphanumeric \
                 characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            );
            causes.push(("metadata.labels".to_owned(), wrong));
        }
    }
}

fn workload(object: &Value, causes: &mut Causes) {
    not_negative("spec.replicas", meta::number(object, "/spec/replicas"), causes);
    required(object, "/spec/selector", causes);
    let selector = LabelSelector::of(object.pointer("/spec/selector").unwrap_or(&Value::Null));
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    if !selector.matches(template) {
        let labels = shown(template.pointer("/metadata/labels"));
        let wrong = format!("Invalid value: {labels}: `selector` does not match template `labels`");
        causes.push(("spec.template.metadata.labels".to_owned(), wrong));
    }
    containers(object, "/spec/template/spec", "spec.template.spec", causes);
}

fn containers(object: &Value, pointer: &str, field: &str, causes: &mut Causes) {
    let containers = meta::items(object, &format!("{pointer}/containers"));
    if containers.is_empty() {
        causes.push((format!("{field}.containers"), "Required value".to_owned()));
    }
    for (at, container) in containers.iter().enumerate() {
        if meta::text(container, "/name").is_empty() {
            causes.push((format!("{field}.containers[{at}].name"), "Required value".to_owned()));
        }
        let same = |other: &&Value| meta::text(other, "/name") == meta::text(container, "/name");
        if containers[..at].iter().any(|other| same(&other)) {
            let wrong = format!("Duplicate value: \"{}\"", meta::text(container, "/name"));
            causes.push((format!("{field}.containers[{at}].name"), wrong));
        }
    }
}

fn service(object: &Value, causes: &mut Causes) {
    let headless = meta::text(object, "/spec/clusterIP") == "None";
    if !headless && meta::text(object, "/spec/type") != "ExternalName" {
        required(object, "/spec/ports", causes);
    }
}

fn lease(object: &Value, causes: &mut Causes) {
    if let Some(seconds) = meta::number(object, "/spec/leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        let wrong = format!("Invalid value: {seconds}: must be greater than 0");
        causes.push(("spec.leaseDurationSeconds".to_owned(), wrong));
    }
    not_negative("spec.leaseTransitions", meta::number(object, "/spec/leaseTransitions"), causes);
}

fn budget(object: &Value, causes: &mut Causes) {
    if object.pointer("/spec/minAvailable").is_some() && object.pointer("/spec/maxUnavailable").is_some() {
        let wrong = "Invalid value: minAvailable and maxUnavailable cannot be both set";
        causes.push(("spec".to_owned(), wrong.to_owned()));
    }
}

fn autoscaler(object: &Value, causes: &mut Causes) {
    required(object, "/spec/scaleTargetRef/kind", causes);
    required(object, "/spec/scaleTargetRef/name", causes);
    let least = meta::number(object, "/spec/minReplicas").unwrap_or(1);
    if meta::number(object, "/spec/maxReplicas").unwrap_or(0) < least.max(1) {
        let wrong = "Invalid value: must be greater than or equal to `minReplicas`";
        causes.push(("spec.maxReplicas".to_owned(), wrong.to_owned()));
    }
}

fn event(object: &Value, causes: &mut Causes) {
    let about = meta::text(object, "/involvedObject/namespace");
    let own = meta::namespace(object);
    if !(about == own || about.is_empty() && own == "default") {
        let wrong = format!("Invalid value: \"{about}\": does not match event.namespace");
        causes.push(("involvedObject.namespace".to_owned(), wrong));
    }
}

fn pod_without_mutable_fields(pod: &Value) -> Value {
    let mut specification = pod.get("spec").cloned().unwrap_or_default();
    if let Some(map) = specification.as_object_mut() {
        for mutable in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"] {
            map.remove(mutable);
        }
        for list in ["containers", "initContainers"] {
            for container in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(container) = container.as_object_mut() {
                    container.remove("image");
                }
            }
        }
    }
    specification
}
