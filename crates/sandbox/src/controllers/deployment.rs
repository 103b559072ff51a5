//! Deployments: one replica set for each template, the newest one scaled up before the older ones go.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::condition::{count, set_condition};
use super::driver::Controller;
use super::replicas::{controlled, owner_key, pods_of};
use crate::api::write::{Mode, create};
use crate::api::{Change, Inner, Key, Kind, Object, meta};

/// The label that tells the replica sets of one deployment apart.
const HASH_LABEL: &str = "pod-template-hash";

/// The controller of deployments.
pub(super) struct Deployments;

impl Controller for Deployments {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::Deployment, Kind::ReplicaSet]
    }

    fn concerned(&mut self, kind: Kind, change: &Change, _: &Inner) -> Vec<Key> {
        match kind {
            Kind::Deployment => vec![Key::of(kind, &change.object)],
            _ => owner_key(&change.object, Kind::Deployment).into_iter().collect(),
        }
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let Some(deployment) = inner.get(key) else { return };
        if meta::is_deleting(&deployment) {
            return;
        }
        let hash = template_hash(&deployment);
        let name = format!("{}-{hash}", key.name);
        if !sets_of(inner, &deployment).iter().any(|set| meta::name(set) == name) {
            make_set(inner, &deployment, &name, &hash);
        }
        let sets = sets_of(inner, &deployment);
        let (newest, older): (Vec<_>, Vec<_>) = sets.iter().partition(|set| meta::name(set) == name);
        let wanted = meta::number(&deployment, "/spec/replicas").unwrap_or(0);
        let recreate = meta::text(&deployment, "/spec/strategy/type") == "Recreate";
        let older_gone = older.iter().all(|set| pods_of(inner, set).is_empty());
        let Some(newest) = newest.first() else { return };
        if !recreate || older_gone {
            scale(inner, newest, wanted);
        }
        let replaced = meta::number(newest, "/status/availableReplicas").unwrap_or(0) >= wanted;
        if recreate || replaced {
            for set in older {
                scale(inner, set, 0);
            }
        }
        report(inner, key, &name);
    }
}

fn sets_of(inner: &Inner, deployment: &Value) -> Vec<Object> {
    controlled(inner, deployment, Kind::ReplicaSet)
}

/// A short name for a template. Fixed keys: the same template has the same name in every process.
pub(super) fn template_hash(owner: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    owner.pointer("/spec/template").unwrap_or(&Value::Null).to_string().hash(&mut hasher);
    format!("{:010x}", hasher.finish() & 0xff_ffff_ffff)
}

fn make_set(inner: &mut Inner, deployment: &Value, name: &str, hash: &str) {
    let mut template = deployment.pointer("/spec/template").cloned().unwrap_or_default();
    let mut selector = deployment.pointer("/spec/selector").cloned().unwrap_or_default();
    template["metadata"]["labels"][HASH_LABEL] = json!(hash);
    selector["matchLabels"][HASH_LABEL] = json!(hash);
    let set = json!({
        "metadata": {
            "name": name, "labels": template["metadata"]["labels"],
            "ownerReferences": [meta::controller_reference(deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    });
    if let Err(error) = create(inner, Kind::ReplicaSet, meta::namespace(deployment), set, &|_| None, Mode::Commit) {
        tracing::warn!(%error, deployment = meta::name(deployment), "a replica set could not be made");
    }
}

fn scale(inner: &mut Inner, set: &Value, replicas: i64) {
    let mut set = set.clone();
    set["spec"]["replicas"] = json!(replicas);
    inner.put(&Key::of(Kind::ReplicaSet, &set), set);
}

fn report(inner: &mut Inner, key: &Key, newest: &str) {
    let Some(deployment) = inner.get(key) else { return };
    let sets = sets_of(inner, &deployment);
    let sum = |pointer: &str| {
        let total: i64 = sets.iter().filter_map(|set| meta::number(set, pointer)).sum();
        usize::try_from(total).unwrap_or(0)
    };
    let (total, ready, available) =
        (sum("/status/replicas"), sum("/status/readyReplicas"), sum("/status/availableReplicas"));
    let updated = sets
        .iter()
        .filter(|set| meta::name(set) == newest)
        .filter_map(|set| meta::number(set, "/status/replicas"))
        .find_map(|count| usize::try_from(count).ok())
        .unwrap_or(0);
    let wanted = usize::try_from(meta::number(&deployment, "/spec/replicas").unwrap_or(0)).unwrap_or(0);
    let mut deployment = Value::clone(&deployment);
    let generation = deployment["metadata"]["generation"].clone();
    if !deployment["status"].is_object() {
        deployment["status"] = json!({});
    }
    let status = &mut deployment["status"];
    status["observedGeneration"] = generation;
    count(status, "replicas", total);
    count(status, "updatedReplicas", updated);
    count(status, "readyReplicas", ready);
    count(status, "availableReplicas", available);
    count(status, "unavailableReplicas", wanted.max(total).saturating_sub(available));
    // A quarter may be missing, rounded down, as the default strategy says.
    if available >= wanted - wanted / 4 {
        let message = "Deployment has minimum availability.";
        set_condition(&mut deployment, "Available", "True", "MinimumReplicasAvailable", message);
    } else {
        let message = "Deployment does not have minimum availability.";
        set_condition(&mut deployment, "Available", "False", "MinimumReplicasUnavailable", message);
    }
    if updated == wanted && available == wanted && total == wanted {
        let message = format!("ReplicaSet \"{newest}\" has successfully progressed.");
        set_condition(&mut deployment, "Progressing", "True", "NewReplicaSetAvailable", &message);
    } else {
        let message = format!("ReplicaSet \"{newest}\" is progressing.");
        set_condition(&mut deployment, "Progressing", "True", "ReplicaSetUpdated", &message);
    }
    inner.put(key, deployment);
}
