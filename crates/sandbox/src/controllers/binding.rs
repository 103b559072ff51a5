//! Binding: pods to nodes, claims to their directories.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::condition::set_condition;
use super::driver::Controller;
use crate::api::{Change, Inner, Key, Kind, meta};

/// Binds pods and claims. Pods of one owner go round the nodes, so that they stand apart.
#[derive(Default)]
pub(super) struct Binding {
    placed: HashMap<String, usize>,
}

impl Controller for Binding {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::Pod, Kind::Node, Kind::PersistentVolumeClaim]
    }

    fn concerned(&mut self, kind: Kind, change: &Change, inner: &Inner) -> Vec<Key> {
        match kind {
            Kind::Node => {
                inner.range(Kind::Pod, None).filter(|pod| waits(pod)).map(|pod| Key::of(Kind::Pod, pod)).collect()
            }
            Kind::Pod if !waits(&change.object) => Vec::new(),
            _ => vec![Key::of(kind, &change.object)],
        }
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let Some(object) = inner.get(key) else { return };
        let mut object = Value::clone(&object);
        if key.kind == Kind::PersistentVolumeClaim {
            object["status"]["phase"] = json!("Bound");
            inner.put(key, object);
            return;
        }
        if !waits(&object) {
            return;
        }
        let nodes: Vec<String> = inner
            .range(Kind::Node, None)
            .filter(|node| node.pointer("/spec/unschedulable").and_then(Value::as_bool) != Some(true))
            .map(|node| meta::name(node).to_owned())
            .collect();
        if nodes.is_empty() {
            let message = "0 nodes are available: all are unschedulable.";
            set_condition(&mut object, "PodScheduled", "False", "Unschedulable", message);
        } else {
            let count = self.placed.entry(meta::controller_uid(&object).to_owned()).or_default();
            object["spec"]["nodeName"] = json!(nodes[*count % nodes.len()]);
            *count += 1;
            set_condition(&mut object, "PodScheduled", "True", "", "");
        }
        inner.put(key, object);
    }
}

fn waits(pod: &Value) -> bool {
    meta::text(pod, "/spec/nodeName").is_empty() && !meta::is_deleting(pod)
}
