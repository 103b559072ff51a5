//! A pod is deleted, on condition of its UID: never its successor of the same name.

use super::{Hands, LooksLike, Trouble, refused, timed};
use crate::store::InjectPermit;
use crate::targets::cluster::{EPOCH_ANNOTATION, is_conflict, is_not_found};
use firedrill_core::effect::{Holding, ObjectRef, Reply, Version};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

pub(super) async fn apply(hands: &Hands, pod: &ObjectRef, grace_s: Option<u32>, permit: InjectPermit) -> Reply {
    let api: Api<Pod> = hands.namespaced(&pod.namespace);
    // The UID keeps it from the pod's successor; the version, from landing after another runner has taken over.
    let version = Some(permit.version().0.clone()).filter(|v| !v.is_empty());
    let params = DeleteParams {
        grace_period_seconds: grace_s,
        preconditions: Some(Preconditions { uid: pod.uid.clone(), resource_version: version }),
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

/// Moves the pod's version on, so that a delete that an older runner may still send finds a conflict. The mark that does it
/// is taken off again at once.
pub(super) async fn touch(hands: &Hands, pod: &ObjectRef, epoch: u64) -> Result<(), String> {
    let api: Api<Pod> = hands.namespaced(&pod.namespace);
    for mark in [json!(format!("{}/{epoch}", hands.drill)), Value::Null] {
        let body = json!({ "metadata": { "uid": pod.uid, "annotations": { EPOCH_ANNOTATION: mark } } });
        #[expect(clippy::disallowed_methods, reason = "part of a take-over, whose record is durable")]
        let touched = timed(async { api.patch(&pod.name, &PatchParams::default(), &Patch::Merge(&body)).await }).await;
        match touched {
            Ok(_) => {}
            // Gone, or another pod by now: nothing can hit it any more.
            Err(Trouble::Api(e)) if is_not_found(&e) || is_conflict(&e) => return Ok(()),
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(())
}
