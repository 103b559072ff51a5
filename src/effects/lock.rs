//! The lock: a Lease beside the target. Whoever finds another drill's there does not begin.

use super::{Hands, LooksLike, refused, timed};
use crate::store::{InjectPermit, UndoPermit};
use crate::targets::cluster::is_not_found;
use firedrill_core::effect::{Holding, ObjectRef, Reply, Version};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};

/// Who a drill is, in the Lease that it holds.
pub(super) fn holder(drill: &str) -> String {
    format!("firedrill/{drill}")
}

/// Makes the Lease. One that is there already is somebody's, and refuses.
pub(super) async fn apply(hands: &Hands, lease: &ObjectRef, key: &str, _permit: InjectPermit) -> Reply {
    let body: Lease = match serde_json::from_value(serde_json::json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": lease.name, "namespace": lease.namespace,
            "annotations": { "firedrill.dev/key": key, "firedrill.dev/runner": hands.runner, "firedrill.dev/experiment": hands.experiment },
            "labels": { "app.kubernetes.io/managed-by": "firedrill" } },
        "spec": { "holderIdentity": holder(&hands.drill) }
    })) {
        Ok(body) => body,
        Err(e) => return Reply::Rejected(e.to_string()),
    };
    let api: Api<Lease> = hands.namespaced(&lease.namespace);
    #[expect(clippy::disallowed_methods, reason = "an effect, with its permit")]
    match timed(async { api.create(&PostParams::default(), &body).await }).await {
        Ok(_) => Reply::Applied,
        Err(refusal) => match refused(refusal) {
            Reply::Conflict(_) => Reply::Rejected(describe_holder(&api, lease).await),
            other => other,
        },
    }
}

async fn describe_holder(api: &Api<Lease>, lease: &ObjectRef) -> String {
    let found = timed(async { api.get(&lease.name).await }).await.ok();
    let annotation = |key: &str| {
        found
            .as_ref()
            .and_then(|l| l.metadata.annotations.as_ref()?.get(key).cloned())
            .unwrap_or_else(|| "unknown".to_owned())
    };
    let by =
        found.as_ref().and_then(|l| l.spec.as_ref()?.holder_identity.clone()).unwrap_or_else(|| "unknown".to_owned());
    format!(
        "another drill holds {lease}: {by}, of experiment {}, run by {}. If that runner is alive, wait for it; if it died, run `firedrill undo` there; if its host is lost for good, see runbooks/residue.md",
        annotation("firedrill.dev/experiment"),
        annotation("firedrill.dev/runner")
    )
}

/// Why the lock was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum Unrenewed {
    /// It is not this drill's any more.
    #[error("the lock at the target is lost: {0}")]
    Lost(String),
    /// It could not be renewed now.
    #[error("the lock at the target could not be renewed: {0}")]
    NotNow(String),
}

/// Moves the Lease's time on, while it is this drill's.
pub(super) async fn renew(hands: &Hands, lease: &ObjectRef) -> Result<(), Unrenewed> {
    let version = match look(hands, lease).await {
        Ok((Holding::Ours, version)) => version.0,
        Ok((Holding::Other(by), _)) => return Err(Unrenewed::Lost(by)),
        Ok(_) => return Err(Unrenewed::Lost("the Lease is not there".to_owned())),
        Err(why) => return Err(Unrenewed::NotNow(why)),
    };
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let body = serde_json::json!({ "metadata": { "resourceVersion": version }, "spec": { "renewTime": now } });
    let api: Api<Lease> = hands.namespaced(&lease.namespace);
    let (params, patch) = (PatchParams::default(), Patch::Merge(body));
    #[expect(clippy::disallowed_methods, reason = "keeps what a durable intent made, and only while it is ours")]
    let renewed = timed(api.patch(&lease.name, &params, &patch)).await;
    renewed.map(|_| ()).map_err(|e| Unrenewed::NotNow(e.to_string()))
}

pub(super) async fn look(hands: &Hands, lease: &ObjectRef) -> LooksLike {
    let api: Api<Lease> = hands.namespaced(&lease.namespace);
    let found = match timed(async { api.get(&lease.name).await }).await {
        Ok(found) => found,
        Err(super::Trouble::Api(e)) if is_not_found(&e) => return Ok((Holding::Gone, Version::default())),
        Err(e) => return Err(e.to_string()),
    };
    let by = found.spec.and_then(|s| s.holder_identity).unwrap_or_default();
    let version = Version(found.metadata.resource_version.unwrap_or_default());
    let holding = if by == holder(&hands.drill) { Holding::Ours } else { Holding::Other(format!("held by {by}")) };
    Ok((holding, version))
}

pub(super) async fn undo(hands: &Hands, lease: &ObjectRef, seen: &Version, _permit: UndoPermit) -> Result<(), String> {
    let api: Api<Lease> = hands.namespaced(&lease.namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions { resource_version: Some(seen.0.clone()), uid: None }),
        ..DeleteParams::default()
    };
    #[expect(clippy::disallowed_methods, reason = "an undo, with its permit")]
    match timed(async { api.delete(&lease.name, &params).await }).await {
        Ok(_) => Ok(()),
        Err(super::Trouble::Api(e)) if is_not_found(&e) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}
