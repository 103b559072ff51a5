//! A reconciler as those of Git-driven delivery are: it puts a deployment's count back as soon as somebody changes it.

use serde_json::{Value, json};

use super::driver::Controller;
use crate::api::{Change, Inner, Key, Kind, meta};

/// The annotation that switches it on, with the count it insists on.
pub(crate) const HOLD_REPLICAS: &str = "sandbox.firedrill.example/hold-replicas";

/// The reconciler.
pub(super) struct HeldReplicas;

impl Controller for HeldReplicas {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::Deployment]
    }

    fn concerned(&mut self, kind: Kind, change: &Change, _: &Inner) -> Vec<Key> {
        vec![Key::of(kind, &change.object)]
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let Some(deployment) = inner.get(key).filter(|deployment| !meta::is_deleting(deployment)) else { return };
        let held = meta::annotation(&deployment, HOLD_REPLICAS).and_then(|count| count.parse::<u32>().ok());
        if let Some(held) = held {
            let mut deployment = Value::clone(&deployment);
            deployment["spec"]["replicas"] = json!(held);
            inner.put(key, deployment);
        }
    }
}
