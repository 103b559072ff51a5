//! Endpoints and endpoint slices: the addresses behind a service, as its selector and the pods' readiness say.

use serde_json::{Value, json};

use super::condition::{has_ended, is_true};
use super::driver::Controller;
use super::replicas::controlled;
use crate::api::selector::LabelSelector;
use crate::api::write::{Mode, create};
use crate::api::{Change, Inner, Key, Kind, Object, meta};

/// The label by which a slice names its service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Who keeps the slice.
const MANAGED_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// What upstream's controller calls itself.
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// The controller of endpoints.
pub(super) struct ServiceEndpoints;

impl Controller for ServiceEndpoints {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::Service, Kind::Pod]
    }

    fn concerned(&mut self, kind: Kind, change: &Change, inner: &Inner) -> Vec<Key> {
        if kind == Kind::Service {
            return vec![Key::of(kind, &change.object)];
        }
        let states = [Some(&change.object), change.before.as_ref()];
        inner
            .range(Kind::Service, Some(meta::namespace(&change.object)))
            .filter(|service| {
                let selector = selector(service);
                states.iter().flatten().any(|pod| selector.as_ref().is_some_and(|selector| selector.matches(pod)))
            })
            .map(|service| Key::of(Kind::Service, service))
            .collect()
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let old_form = Key::new(Kind::Endpoints, key.namespace.as_str(), key.name.as_str());
        let Some(service) = inner.get(key).filter(|service| !meta::is_deleting(service)) else {
            // Slices are collected by their owner reference; the old form has none.
            inner.remove(&old_form);
            return;
        };
        // Without a selector somebody else keeps the endpoints.
        let Some(selector) = selector(&service) else { return };
        let pods: Vec<Object> = inner
            .range(Kind::Pod, Some(&key.namespace))
            .filter(|pod| selector.matches(pod) && !has_ended(pod) && !meta::text(pod, "/status/podIP").is_empty())
            .cloned()
            .collect();
        let ports = ports(&service, pods.first().map(|pod| &**pod));
        write_endpoints(inner, &old_form, &service, &pods, &ports);
        write_slice(inner, &service, &pods, &ports);
    }
}

fn selector(service: &Value) -> Option<LabelSelector> {
    let labels = service.pointer("/spec/selector").and_then(Value::as_object).filter(|labels| !labels.is_empty())?;
    Some(LabelSelector::of_map(Some(labels)))
}

/// The ports behind the service's. A named target is looked up in the pods' template, so any pod will do.
fn ports(service: &Value, pod: Option<&Value>) -> Vec<Value> {
    let behind = |port: &Value| match port.get("targetPort") {
        Some(Value::String(name)) => pod.and_then(|pod| named_port(pod, name)),
        Some(Value::Number(number)) => number.as_i64(),
        _ => meta::number(port, "/port"),
    };
    meta::items(service, "/spec/ports")
        .iter()
        .filter_map(|port| {
            let mut told = json!({"port": behind(port)?, "protocol": meta::text(port, "/protocol")});
            told["name"] = json!(meta::text(port, "/name"));
            Some(told)
        })
        .collect()
}

/// The number of a container port by its name.
fn named_port(pod: &Value, name: &str) -> Option<i64> {
    meta::items(pod, "/spec/containers")
        .iter()
        .flat_map(|container| meta::items(container, "/ports"))
        .find(|port| meta::text(port, "/name") == name)
        .and_then(|port| meta::number(port, "/containerPort"))
}

fn reference(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": meta::namespace(pod), "name": meta::name(pod), "uid": meta::uid(pod)})
}

/// Writes an object that this controller keeps: new, or changed in the given fields.
fn keep(inner: &mut Inner, key: &Key, fresh: Value, fields: &[&str]) {
    match inner.get(key) {
        Some(before) => {
            let mut object = Value::clone(&before);
            for field in fields {
                object[*field] = fresh[*field].clone();
                if object[*field].is_null()
                    && let Some(map) = object.as_object_mut()
                {
                    map.remove(*field);
                }
            }
            inner.put(key, object);
        }
        None => {
            if let Err(error) = create(inner, key.kind, &key.namespace, fresh, &|_| None, Mode::Commit) {
                tracing::warn!(%error, name = key.name, "endpoints could not be made");
            }
        }
    }
}

fn write_endpoints(inner: &mut Inner, key: &Key, service: &Value, pods: &[Object], ports: &[Value]) {
    let all_count = service.pointer("/spec/publishNotReadyAddresses").and_then(Value::as_bool) == Some(true);
    let (mut ready, mut not_ready) = (Vec::new(), Vec::new());
    for pod in pods.iter().filter(|pod| all_count || !meta::is_deleting(pod)) {
        let address = json!({
            "ip": meta::text(pod, "/status/podIP"), "nodeName": meta::text(pod, "/spec/nodeName"), "targetRef": reference(pod),
        });
        if all_count || is_true(pod, "Ready") { ready.push(address) } else { not_ready.push(address) }
    }
    let mut endpoints = json!({"metadata": {"name": key.name, "labels": service["metadata"]["labels"]}});
    if !ready.is_empty() || !not_ready.is_empty() {
        let ports: Vec<Value> = ports
            .iter()
            .map(|port| {
                let mut port = port.clone();
                if port["name"] == ""
                    && let Some(map) = port.as_object_mut()
                {
                    map.remove("name");
                }
                port
            })
            .collect();
        let mut subset = json!({});
        for (name, list) in [("addresses", ready), ("notReadyAddresses", not_ready), ("ports", ports)] {
            if !list.is_empty() {
                subset[name] = json!(list);
            }
        }
        endpoints["subsets"] = json!([subset]);
    }
    keep(inner, key, endpoints, &["subsets"]);
}

fn write_slice(inner: &mut Inner, service: &Value, pods: &[Object], ports: &[Value]) {
    let all_count = service.pointer("/spec/publishNotReadyAddresses").and_then(Value::as_bool) == Some(true);
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let (serving, terminating) = (is_true(pod, "Ready"), meta::is_deleting(pod));
            json!({
                "addresses": [meta::text(pod, "/status/podIP")],
                "conditions": {
                    "ready": all_count || (serving && !terminating), "serving": serving, "terminating": terminating,
                },
                "nodeName": meta::text(pod, "/spec/nodeName"), "targetRef": reference(pod),
            })
        })
        .collect();
    let present =
        controlled(inner, service, Kind::EndpointSlice).first().map(|slice| Key::of(Kind::EndpointSlice, slice));
    let name = || format!("{}-{}", meta::name(service), meta::suffix());
    let key = present.unwrap_or_else(|| Key::new(Kind::EndpointSlice, meta::namespace(service), name()));
    let slice = json!({
        "metadata": {
            "name": key.name, "generateName": format!("{}-", meta::name(service)),
            "labels": {SERVICE_LABEL: meta::name(service), MANAGED_LABEL: MANAGER},
            "ownerReferences": [meta::controller_reference(service)],
        },
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    });
    keep(inner, &key, slice, &["endpoints", "ports"]);
}
