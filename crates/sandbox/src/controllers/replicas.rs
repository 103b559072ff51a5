//! Replica sets: as many pods as asked for, made from a template.

use serde_json::{Value, json};

use super::condition::{count, has_ended, is_ready};
use super::driver::Controller;
use crate::api::delete::{DeleteOptions, delete};
use crate::api::write::{Mode, create};
use crate::api::{Change, Inner, Key, Kind, Object, meta};

/// The controller of replica sets.
pub(super) struct ReplicaSets;

impl Controller for ReplicaSets {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::ReplicaSet, Kind::Pod]
    }

    fn concerned(&mut self, kind: Kind, change: &Change, _: &Inner) -> Vec<Key> {
        match kind {
            Kind::ReplicaSet => vec![Key::of(kind, &change.object)],
            _ => owner_key(&change.object, Kind::ReplicaSet).into_iter().collect(),
        }
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let Some(set) = inner.get(key) else { return };
        if meta::is_deleting(&set) {
            return;
        }
        let wanted = usize::try_from(meta::number(&set, "/spec/replicas").unwrap_or(0)).unwrap_or(0);
        let active = active_pods(inner, &set);
        for _ in active.len()..wanted {
            if !make_pod(inner, &set, None, &[]) {
                break;
            }
        }
        let excess = active.len().saturating_sub(wanted);
        if excess > 0 {
            remove_least(inner, active, excess);
        }
        report(inner, key);
    }
}

/// Deletes the pods that serve least: not bound, not ready, young.
fn remove_least(inner: &mut Inner, mut pods: Vec<Object>, excess: usize) {
    pods.sort_by_key(|pod| {
        let bound = !meta::text(pod, "/spec/nodeName").is_empty();
        (bound, is_ready(pod), std::cmp::Reverse(meta::uid(pod).to_owned()))
    });
    for pod in pods.iter().take(excess) {
        let _ = delete(inner, &Key::of(Kind::Pod, pod), &DeleteOptions::default());
    }
}

fn report(inner: &mut Inner, key: &Key) {
    let Some(set) = inner.get(key) else { return };
    let active = active_pods(inner, &set);
    let ready = active.iter().filter(|pod| is_ready(pod)).count();
    let mut set = Value::clone(&set);
    let generation = set["metadata"]["generation"].clone();
    let status = &mut set["status"];
    if !status.is_object() {
        *status = json!({});
    }
    status["replicas"] = json!(active.len());
    status["observedGeneration"] = generation;
    count(status, "fullyLabeledReplicas", active.len());
    count(status, "readyReplicas", ready);
    count(status, "availableReplicas", ready);
    inner.put(key, set);
}

/// The pods of an owner that count: not ended, not on their way out.
pub(super) fn active_pods(inner: &Inner, owner: &Value) -> Vec<Object> {
    pods_of(inner, owner).into_iter().filter(|pod| !has_ended(pod) && !meta::is_deleting(pod)).collect()
}

/// Every pod of an owner.
pub(super) fn pods_of(inner: &Inner, owner: &Value) -> Vec<Object> {
    controlled(inner, owner, Kind::Pod)
}

/// The objects of a kind that an owner controls.
pub(super) fn controlled(inner: &Inner, owner: &Value, kind: Kind) -> Vec<Object> {
    let uid = meta::uid(owner);
    inner
        .owned_by(uid)
        .filter(|key| key.kind == kind)
        .filter_map(|key| inner.get(key))
        .filter(|object| meta::controller_uid(object) == uid)
        .collect()
}

/// The key of the controller of an object, when it is of this kind.
pub(super) fn owner_key(object: &Value, kind: Kind) -> Option<Key> {
    let owner = meta::items(object, "/metadata/ownerReferences").iter().find(|owner| {
        owner.get("controller").and_then(Value::as_bool) == Some(true) && meta::text(owner, "/kind") == kind.name()
    })?;
    Some(Key::new(kind, meta::namespace(object), meta::text(owner, "/name")))
}

/// Makes a pod from an owner's template, under a given or a generated name. False when the API refuses.
pub(super) fn make_pod(inner: &mut Inner, owner: &Value, name: Option<&str>, labels: &[(&str, &str)]) -> bool {
    let template = owner.pointer("/spec/template").cloned().unwrap_or_default();
    let mut pod = json!({"metadata": template["metadata"], "spec": template["spec"]});
    let metadata = meta::metadata(&mut pod);
    match name {
        Some(name) => metadata.insert("name".to_owned(), json!(name)),
        None => metadata.insert("generateName".to_owned(), json!(format!("{}-", meta::name(owner)))),
    };
    metadata.insert("ownerReferences".to_owned(), json!([meta::controller_reference(owner)]));
    for (label, value) in labels {
        metadata.entry("labels").or_insert_with(|| json!({}))[*label] = json!(value);
    }
    if let Some(name) = name {
        pod["spec"]["hostname"] = json!(name);
        let claims: Vec<Value> = meta::items(owner, "/spec/volumeClaimTemplates")
            .iter()
            .map(|claim| {
                let volume = meta::name(claim);
                json!({"name": volume, "persistentVolumeClaim": {"claimName": format!("{volume}-{name}")}})
            })
            .collect();
        if !claims.is_empty() {
            let volumes = meta::map_at(&mut pod, "spec").entry("volumes").or_insert_with(|| json!([]));
            if let Some(volumes) = volumes.as_array_mut() {
                volumes.extend(claims);
            }
        }
    }
    match create(inner, Kind::Pod, meta::namespace(owner), pod, &|_| None, Mode::Commit) {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, owner = meta::name(owner), "a pod could not be made");
            false
        }
    }
}
