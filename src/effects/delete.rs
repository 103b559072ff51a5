//! A pod is deleted, on condition of its UID: never its successor of the same name.

use super::{Hands, LooksLike, Trouble, refused, timed};
use crate::store::InjectPermit;
use crate::targets::cluster::is_not_found;
use firedrill_core::effect::{Holding, ObjectRef, Reply, Version};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};

pub(super) async fn apply(hands: &Hands, pod: &ObjectRef, grace_s: Option<u32>, _permit: InjectPermit) -> Reply {
    let api: Api<Pod> = hands.namespaced(&pod.namespace);
    // The UID alone: a pod's status changes all the time, and its identity is what the plan named.
    let params = DeleteParams {
        grace_period_seconds: grace_s,
        preconditions: Some(Preconditions { uid: pod.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    #[expect(clippy::disallowed_methods, reason = "an effect, with its permit")]
    match timed(async { api.delete(&pod.name, &params).await }).await {
        Ok(_) => Reply::Applied,
        Err(Trouble::Api(e)) if is_not_found(&e) => {
            Reply::Rejected("the pod was gone before it was deleted".to_owned())
        }
        Err(e) => refused(e),
    }
}

/// A pod that is terminating counts as deleted: that cannot be taken back.
pub(super) async fn look(hands: &Hands, pod: &ObjectRef) -> LooksLike {
    let api: Api<Pod> = hands.namespaced(&pod.namespace);
    let found = match timed(async { api.get(&pod.name).await }).await {
        Ok(found) => found,
        Err(Trouble::Api(e)) if is_not_found(&e) => return Ok((Holding::Gone, Version::default())),
        Err(e) => return Err(e.to_string()),
    };
    let same = found.metadata.uid == pod.uid && found.metadata.deletion_timestamp.is_none();
    let version = Version(found.metadata.resource_version.unwrap_or_default());
    Ok((if same { Holding::Prior } else { Holding::Gone }, version))
}

/// Nothing gives a process back. A take-over marks the pod, so that a late delete by an older runner is at least visible
/// in the audit log; its UID already keeps it from the successor.
pub(super) fn touch() {}
