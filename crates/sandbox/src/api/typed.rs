//! The form of each kind: unknown fields dropped, types checked, defaults filled in, as the server's decoding does.

use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling,
    coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery, networking::v1 as networking,
    policy::v1 as policy, rbac::v1 as rbac,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::kinds::Kind;
use super::meta::{self, default_to, map_at};
use super::status::ApiError;

/// The object in the form that its kind has, or what does not fit.
pub(crate) fn canonical(kind: Kind, object: Value) -> Result<Value, ApiError> {
    let formed = match kind {
        Kind::Namespace => through::<core::Namespace>(object),
        Kind::Node => through::<core::Node>(object),
        Kind::Pod => through::<core::Pod>(object),
        Kind::Service => through::<core::Service>(object),
        Kind::Endpoints => through::<core::Endpoints>(object),
        Kind::Secret => through::<core::Secret>(object),
        Kind::ConfigMap => through::<core::ConfigMap>(object),
        Kind::Event => through::<core::Event>(object),
        Kind::ServiceAccount => through::<core::ServiceAccount>(object),
        Kind::PersistentVolumeClaim => through::<core::PersistentVolumeClaim>(object),
        Kind::Deployment => through::<apps::Deployment>(object),
        Kind::ReplicaSet => through::<apps::ReplicaSet>(object),
        Kind::StatefulSet => through::<apps::StatefulSet>(object),
        Kind::HorizontalPodAutoscaler => through::<autoscaling::HorizontalPodAutoscaler>(object),
        Kind::PodDisruptionBudget => through::<policy::PodDisruptionBudget>(object),
        Kind::Lease => through::<coordination::Lease>(object),
        Kind::EndpointSlice => through::<discovery::EndpointSlice>(object),
        Kind::NetworkPolicy => through::<networking::NetworkPolicy>(object),
        Kind::Role => through::<rbac::Role>(object),
        Kind::RoleBinding => through::<rbac::RoleBinding>(object),
        Kind::ValidatingWebhookConfiguration => through::<admission::ValidatingWebhookConfiguration>(object),
        Kind::MutatingWebhookConfiguration => through::<admission::MutatingWebhookConfiguration>(object),
        Kind::CustomResourceDefinition => through::<extensions::CustomResourceDefinition>(object),
        Kind::ScaledObject | Kind::Application | Kind::Kustomization => Ok(object),
    };
    formed.map_err(|error| {
        let (name, version) = (kind.name(), kind.info().version);
        ApiError::bad_request(format!("{name} in version \"{version}\" cannot be handled as a {name}: {error}"))
    })
}

fn through<T: Serialize + DeserializeOwned>(object: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(object)?)
}

/// Fills in what the server fills in. Only what clients and the sandbox's controllers read.
pub(crate) fn defaults(kind: Kind, object: &mut Value) {
    match kind {
        Kind::Namespace => namespace(object),
        Kind::Pod => pod_specification(map_at(object, "spec")),
        Kind::Deployment => {
            let specification = map_at(object, "spec");
            default_to(specification, "replicas", || json!(1));
            default_to(
                specification,
                "strategy",
                || json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
            );
            default_to(specification, "revisionHistoryLimit", || json!(10));
            default_to(specification, "progressDeadlineSeconds", || json!(600));
            template(specification);
        }
        Kind::ReplicaSet => {
            let specification = map_at(object, "spec");
            default_to(specification, "replicas", || json!(1));
            template(specification);
        }
        Kind::StatefulSet => {
            let specification = map_at(object, "spec");
            default_to(specification, "replicas", || json!(1));
            default_to(specification, "podManagementPolicy", || json!("OrderedReady"));
            default_to(
                specification,
                "updateStrategy",
                || json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
            );
            default_to(specification, "revisionHistoryLimit", || json!(10));
            template(specification);
        }
        Kind::Service => service(map_at(object, "spec")),
        Kind::Secret => secret(object),
        Kind::HorizontalPodAutoscaler => default_to(map_at(object, "spec"), "minReplicas", || json!(1)),
        Kind::PersistentVolumeClaim => default_to(map_at(object, "spec"), "volumeMode", || json!("Filesystem")),
        _ => {}
    }
}

fn namespace(object: &mut Value) {
    let name = json!(meta::name(object));
    default_to(map_at(object, "spec"), "finalizers", || json!(["kubernetes"]));
    default_to(map_at(object, "status"), "phase", || json!("Active"));
    let metadata = meta::metadata(object);
    default_to(metadata, "labels", || json!({}));
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
}

fn template(specification: &mut Map<String, Value>) {
    if let Some(template) = specification.get_mut("template") {
        pod_specification(map_at(template, "spec"));
    }
}

fn pod_specification(specification: &mut Map<String, Value>) {
    default_to(specification, "restartPolicy", || json!("Always"));
    default_to(specification, "terminationGracePeriodSeconds", || json!(30));
    default_to(specification, "dnsPolicy", || json!("ClusterFirst"));
    default_to(specification, "schedulerName", || json!("default-scheduler"));
    default_to(specification, "securityContext", || json!({}));
    let containers = specification.get_mut("containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
        default_to(container, "imagePullPolicy", || json!("IfNotPresent"));
        default_to(container, "resources", || json!({}));
        default_to(container, "terminationMessagePath", || json!("/dev/termination-log"));
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
                for (key, value) in
                    [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
                {
                    default_to(probe, key, || json!(value));
                }
            }
        }
        let ports = container.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
            default_to(port, "protocol", || json!("TCP"));
        }
    }
}

fn service(specification: &mut Map<String, Value>) {
    default_to(specification, "type", || json!("ClusterIP"));
    default_to(specification, "sessionAffinity", || json!("None"));
    let ports = specification.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        default_to(port, "protocol", || json!("TCP"));
        let same = port.get("port").cloned().unwrap_or_default();
        default_to(port, "targetPort", || same);
    }
}

/// `stringData` is only ever written: it becomes `data`.
fn secret(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        default_to(map, "type", || json!("Opaque"));
        let Some(Value::Object(plain)) = map.remove("stringData") else { return };
        for (key, value) in plain {
            let bytes = k8s_openapi::ByteString(value.as_str().unwrap_or_default().as_bytes().to_vec());
            let encoded = serde_json::to_value(bytes).unwrap_or_default();
            map.entry("data").or_insert_with(|| json!({}))[key] = encoded;
        }
    }
}
