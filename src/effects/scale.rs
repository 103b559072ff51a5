//! A Deployment's replica count, and the drill's mark, in one conditional write.
//!
//! The Deployment itself is patched and not its `scale`, so that value and annotations change together and "ours" can be
//! decided from the object alone, also by another runner or a person.

use super::{Hands, LooksLike, Trouble, refused, timed};
use crate::store::{InjectPermit, UndoPermit};
use crate::targets::cluster::{DRILL_ANNOTATION, EPOCH_ANNOTATION, REPLICAS_ANNOTATION, is_not_found};
use crate::targets::deployments::wanted_replicas;
use firedrill_core::effect::{Holding, ObjectRef, Reply, Version};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

async fn patch(hands: &Hands, object: &ObjectRef, body: &Value) -> Result<(), Trouble> {
    let api: Api<Deployment> = hands.namespaced(&object.namespace);
    #[expect(clippy::disallowed_methods, reason = "the one write of this effect; its callers hold permits")]
    timed(async { api.patch(&object.name, &PatchParams::default(), &Patch::Merge(body)).await }).await.map(|_| ())
}

pub(super) async fn apply(hands: &Hands, object: &ObjectRef, was: i32, put: i32, permit: InjectPermit) -> Reply {
    let body = json!({
        "metadata": { "uid": object.uid, "resourceVersion": permit.version().0,
            "annotations": { DRILL_ANNOTATION: hands.drill, REPLICAS_ANNOTATION: was.to_string() } },
        "spec": { "replicas": put }
    });
    patch(hands, object, &body).await.map_or_else(refused, |()| Reply::Applied)
}

pub(super) async fn look(hands: &Hands, object: &ObjectRef, was: i32, put: i32) -> LooksLike {
    let api: Api<Deployment> = hands.namespaced(&object.namespace);
    let found = match timed(async { api.get(&object.name).await }).await {
        Ok(found) => found,
        Err(Trouble::Api(e)) if is_not_found(&e) => return Ok((Holding::Gone, Version::default())),
        Err(e) => return Err(e.to_string()),
    };
    let version = Version(found.metadata.resource_version.clone().unwrap_or_default());
    if found.metadata.uid != object.uid {
        return Ok((Holding::Other("it was deleted and made anew".to_owned()), version));
    }
    let mark = found.metadata.annotations.as_ref().and_then(|a| a.get(DRILL_ANNOTATION));
    let replicas = wanted_replicas(&found);
    let holding = match mark {
        Some(drill) if *drill == hands.drill && replicas == put => Holding::Ours,
        Some(drill) if *drill != hands.drill => Holding::Other(format!("marked by drill {drill}")),
        _ if replicas == was && mark.is_none() => Holding::Prior,
        _ => Holding::Other(format!("somebody set it to {replicas}")),
    };
    Ok((holding, version))
}

pub(super) async fn undo(
    hands: &Hands,
    object: &ObjectRef,
    was: i32,
    seen: &Version,
    _: UndoPermit,
) -> Result<(), String> {
    let body = json!({
        "metadata": { "uid": object.uid, "resourceVersion": seen.0, "annotations": no_marks() },
        "spec": { "replicas": was }
    });
    patch(hands, object, &body).await.map_err(|e| e.to_string())
}

/// Takes our marks off an object that somebody else has changed meanwhile, and leaves their change; a mark of another drill
/// is theirs too.
pub(super) async fn relinquish(hands: &Hands, object: &ObjectRef, _: UndoPermit) -> Result<(), String> {
    let api: Api<Deployment> = hands.namespaced(&object.namespace);
    let found = match timed(async { api.get(&object.name).await }).await {
        Ok(found) => found.metadata,
        Err(Trouble::Api(e)) if is_not_found(&e) => return Ok(()),
        Err(e) => return Err(e.to_string()),
    };
    if found.annotations.as_ref().and_then(|a| a.get(DRILL_ANNOTATION)) != Some(&hands.drill) {
        return Ok(());
    }
    let body = json!({ "metadata": { "uid": found.uid, "resourceVersion": found.resource_version, "annotations": no_marks() } });
    patch(hands, object, &body).await.map_err(|e| e.to_string())
}

/// Moves the object's version on, so that what an older runner may still send finds a conflict. The mark that does it is
/// taken off again at once.
pub(super) async fn touch(hands: &Hands, object: &ObjectRef, epoch: u64) -> Result<(), String> {
    for mark in [json!(format!("{}/{epoch}", hands.drill)), Value::Null] {
        let body = json!({ "metadata": { "annotations": { EPOCH_ANNOTATION: mark } } });
        match patch(hands, object, &body).await {
            Err(Trouble::Api(e)) if is_not_found(&e) => return Ok(()),
            other => other.map_err(|e| e.to_string())?,
        }
    }
    Ok(())
}

fn no_marks() -> Value {
    json!({ DRILL_ANNOTATION: null, REPLICAS_ANNOTATION: null, EPOCH_ANNOTATION: null })
}
