//! Stateful sets: pods with stable names and claims, in order.

use serde_json::{Value, json};

use super::condition::{count, has_ended, is_ready};
use super::deployment::template_hash;
use super::driver::Controller;
use super::replicas::{make_pod, owner_key, pods_of};
use crate::api::delete::{DeleteOptions, delete};
use crate::api::write::{Mode, create};
use crate::api::{Change, Inner, Key, Kind, Object, meta};

/// The label that tells which revision of the template a pod was made from.
const REVISION_LABEL: &str = "controller-revision-hash";
/// The label by which a service can select one pod of a set.
const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
/// The label with a pod's ordinal.
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The controller of stateful sets.
pub(super) struct StatefulSets;

impl Controller for StatefulSets {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::StatefulSet, Kind::Pod]
    }

    fn concerned(&mut self, kind: Kind, change: &Change, _: &Inner) -> Vec<Key> {
        match kind {
            Kind::StatefulSet => vec![Key::of(kind, &change.object)],
            _ => owner_key(&change.object, Kind::StatefulSet).into_iter().collect(),
        }
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let Some(set) = inner.get(key) else { return };
        if meta::is_deleting(&set) {
            return;
        }
        let revision = format!("{}-{}", key.name, template_hash(&set));
        if fill(inner, &set, &revision) {
            update_one(inner, &set, &revision);
        }
        report(inner, key, &revision);
    }
}

fn wanted(set: &Value) -> usize {
    usize::try_from(meta::number(set, "/spec/replicas").unwrap_or(0)).unwrap_or(0)
}

fn in_order(set: &Value) -> bool {
    meta::text(set, "/spec/podManagementPolicy") != "Parallel"
}

/// Makes missing pods from the lowest ordinal up, takes superfluous ones from the highest down. True when all wanted
/// pods are there and ready, and no other.
fn fill(inner: &mut Inner, set: &Value, revision: &str) -> bool {
    for ordinal in 0..wanted(set) {
        let name = format!("{}-{ordinal}", meta::name(set));
        let pod = inner.get(&Key::new(Kind::Pod, meta::namespace(set), name.as_str()));
        match pod {
            None => {
                make_claims(inner, set, &name);
                let ordinal = ordinal.to_string();
                let labels = [(REVISION_LABEL, revision), (NAME_LABEL, &*name), (INDEX_LABEL, &*ordinal)];
                make_pod(inner, set, Some(&name), &labels);
            }
            Some(pod) if has_ended(&pod) && !meta::is_deleting(&pod) => remove(inner, &pod),
            Some(pod) if is_ready(&pod) => continue,
            Some(_) => {}
        }
        if in_order(set) {
            return false;
        }
    }
    let mut excess: Vec<(usize, Object)> = ordinals(inner, set);
    excess.retain(|(ordinal, _)| *ordinal >= wanted(set));
    let settled = excess.is_empty();
    for (_, pod) in excess.iter().rev() {
        if !meta::is_deleting(pod) {
            remove(inner, pod);
        }
        if in_order(set) {
            break;
        }
    }
    settled && ordinals(inner, set).iter().all(|(_, pod)| is_ready(pod))
}

/// One pod of an older revision gives way, the highest first, when everything is well.
fn update_one(inner: &mut Inner, set: &Value, revision: &str) {
    if meta::text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return;
    }
    let old = |pod: &Object| {
        pod.pointer("/metadata/labels").and_then(|labels| labels.get(REVISION_LABEL)).and_then(Value::as_str)
            != Some(revision)
    };
    if let Some((_, pod)) = ordinals(inner, set).iter().rev().find(|(_, pod)| old(pod)) {
        remove(inner, pod);
    }
}

fn remove(inner: &mut Inner, pod: &Value) {
    let _ = delete(inner, &Key::of(Kind::Pod, pod), &DeleteOptions::default());
}

/// The set's pods by ordinal.
fn ordinals(inner: &Inner, set: &Value) -> Vec<(usize, Object)> {
    let prefix = format!("{}-", meta::name(set));
    let mut found: Vec<(usize, Object)> = pods_of(inner, set)
        .into_iter()
        .filter_map(|pod| Some((meta::name(&pod).strip_prefix(&prefix)?.parse().ok()?, pod)))
        .collect();
    found.sort_by_key(|(ordinal, _)| *ordinal);
    found
}

/// Claims are made once and stay when their pod goes: that is what makes the set stateful.
fn make_claims(inner: &mut Inner, set: &Value, pod: &str) {
    for template in meta::items(set, "/spec/volumeClaimTemplates") {
        let name = format!("{}-{pod}", meta::name(template));
        let key = Key::new(Kind::PersistentVolumeClaim, meta::namespace(set), name.as_str());
        if inner.get(&key).is_some() {
            continue;
        }
        let claim = json!({
            "metadata": {"name": name, "labels": set.pointer("/spec/selector/matchLabels")},
            "spec": template["spec"],
        });
        if let Err(error) = create(inner, Kind::PersistentVolumeClaim, &key.namespace, claim, &|_| None, Mode::Commit) {
            tracing::warn!(%error, claim = key.name, "a claim could not be made");
        }
    }
}

fn report(inner: &mut Inner, key: &Key, revision: &str) {
    let Some(set) = inner.get(key) else { return };
    let pods = pods_of(inner, &set);
    let label = |pod: &Object| {
        let labels = pod.pointer("/metadata/labels");
        labels.and_then(|labels| labels.get(REVISION_LABEL)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let updated = pods.iter().filter(|pod| label(pod) == revision && !meta::is_deleting(pod)).count();
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let wanted = wanted(&set);
    let mut set = Value::clone(&set);
    let before = meta::text(&set, "/status/currentRevision").to_owned();
    let current = if before.is_empty() || updated == wanted { revision.to_owned() } else { before };
    let on_current = pods.iter().filter(|pod| label(pod) == current && !meta::is_deleting(pod)).count();
    let generation = set["metadata"]["generation"].clone();
    if !set["status"].is_object() {
        set["status"] = json!({});
    }
    let status = &mut set["status"];
    status["replicas"] = json!(pods.len());
    status["availableReplicas"] = json!(ready);
    status["observedGeneration"] = generation;
    status["collisionCount"] = json!(0);
    status["currentRevision"] = json!(current);
    status["updateRevision"] = json!(revision);
    count(status, "readyReplicas", ready);
    count(status, "currentReplicas", on_current);
    count(status, "updatedReplicas", updated);
    inner.put(key, set);
}
