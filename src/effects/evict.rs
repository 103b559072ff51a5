//! A pod is evicted: deleted on the same conditions as by a delete, if the disruption budgets let it go.

use super::{Hands, Trouble, refused, timed};
use crate::store::InjectPermit;
use crate::targets::cluster::is_not_found;
use firedrill_core::effect::{ObjectRef, Reply};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

pub(super) async fn apply(hands: &Hands, pod: &ObjectRef, grace_s: Option<u32>, permit: InjectPermit) -> Reply {
    let api: Api<Pod> = hands.namespaced(&pod.namespace);
    let version = Some(&permit.version().0).filter(|v| !v.is_empty());
    // Written out: the client's own eviction misspells its options, and with them the preconditions.
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": pod.name, "namespace": pod.namespace },
        "deleteOptions": {
            "gracePeriodSeconds": grace_s,
            "preconditions": { "uid": pod.uid, "resourceVersion": version }
        }
    });
    let params = PostParams::default();
    #[expect(clippy::disallowed_methods, reason = "an effect, with its permit")]
    let evicted =
        timed(async { api.create_subresource::<_, Value>("eviction", &pod.name, &params, &body).await }).await;
    match evicted {
        Ok(_) => Reply::Applied,
        Err(Trouble::Api(e)) if is_not_found(&e) => {
            Reply::Rejected("the pod was gone before it was evicted".to_owned())
        }
        Err(Trouble::Api(kube::Error::Api(status))) if status.code == 429 => Reply::Rejected(held_back(&status)),
        Err(e) => refused(e),
    }
}

/// What keeps a pod from being evicted now: a budget, or an API server that has too much to do.
fn held_back(status: &kube::core::Status) -> String {
    let causes = status.details.iter().flat_map(|d| &d.causes);
    let budgets: Vec<&str> = causes.filter(|c| c.reason == "DisruptionBudget").map(|c| c.message.as_str()).collect();
    if budgets.is_empty() {
        status.message.clone()
    } else {
        format!(
            "a PodDisruptionBudget does not let the pod go: {}. An eviction asks the budgets; `by: delete-pod` would not",
            budgets.join("; ")
        )
    }
}
