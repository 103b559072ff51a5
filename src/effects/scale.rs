//! A Deployment's replica count, and the drill's mark, in one conditional write.
//!
//! The Deployment itself is patched and not its `scale`, so that value and annotations change together and "ours" can be
//! decided from the object alone, also by another runner or a person.

use super::looks::Seen;
use super::{Hands, LooksLike, Trouble, refused};
use crate::store::{InjectPermit, UndoPermit};
use crate::targets::cluster::{
    DEAD_MAN_ANNOTATION, DRILL_ANNOTATION, EPOCH_ANNOTATION, REPLICAS_ANNOTATION, is_not_found,
};
use firedrill_core::effect::{Holding, ObjectRef, Reply, Version};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

async fn patch(hands: &Hands, object: &ObjectRef, body: &Value) -> Result<(), Trouble> {
    let api: Api<Deployment> = hands.namespaced(&object.namespace);
    let (params, patch) = (PatchParams::default(), Patch::Merge(body));
    #[expect(clippy::disallowed_methods, reason = "the one write of this effect; its callers hold permits")]
    hands.pace.send(|| api.patch(&object.name, &params, &patch)).await.map(|_| ())
}

pub(super) async fn apply(hands: &Hands, object: &ObjectRef, was: i32, put: i32, permit: InjectPermit) -> Reply {
    let body = json!({
        "metadata": { "uid": object.uid, "resourceVersion": permit.version().0,
            "annotations": { DRILL_ANNOTATION: hands.drill, REPLICAS_ANNOTATION: was.to_string(), DEAD_MAN_ANNOTATION: null } },
        "spec": { "replicas": put }
    });
    patch(hands, object, &body).await.map_or_else(refused, |()| Reply::Applied)
}

pub(super) async fn look(hands: &Hands, object: &ObjectRef, was: i32, put: i32) -> LooksLike {
    let api = hands.namespaced(&object.namespace);
    let Some(seen) = hands.looks.look(&hands.pace, api, &object.namespace, &object.name).await? else {
        return Ok((Holding::Gone, Version::default()));
    };
    let holding = if seen.uid == object.uid {
        holding(&seen, &hands.drill, was, put)
    } else {
        Holding::Other("it was deleted and made anew".to_owned())
    };
    Ok((holding, seen.version))
}

/// Whose value it is. A count alone says nothing: what it means stands in the marks beside it.
fn holding(seen: &Seen, drill: &str, was: i32, put: i32) -> Holding {
    match (seen.drill.as_deref(), seen.dead_man.as_deref()) {
        (Some(mark), _) if mark == drill && seen.replicas == put => Holding::Ours,
        (Some(mark), _) if mark != drill => Holding::Other(format!("marked by drill {mark}")),
        (None, Some(mark)) if mark == drill && seen.replicas == was => Holding::ByDeadMan,
        (None, mark) if mark != Some(drill) && seen.replicas == was => Holding::Prior,
        _ => Holding::Other(format!("somebody set it to {}", seen.replicas)),
    }
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

/// Takes our marks off an object that somebody else has changed meanwhile, or that a dead man put back, and leaves its
/// count; a mark of another drill is theirs.
pub(super) async fn relinquish(hands: &Hands, object: &ObjectRef, _: UndoPermit) -> Result<(), String> {
    let api: Api<Deployment> = hands.namespaced(&object.namespace);
    let seen = match hands.pace.send(|| api.get(&object.name)).await {
        Ok(found) => Seen::of(&found),
        Err(Trouble::Api(e)) if is_not_found(&e) => return Ok(()),
        Err(e) => return Err(e.to_string()),
    };
    if ![&seen.drill, &seen.dead_man].into_iter().any(|mark| mark.as_ref() == Some(&hands.drill)) {
        return Ok(());
    }
    let body = json!({ "metadata": { "uid": seen.uid, "resourceVersion": seen.version.0, "annotations": no_marks() } });
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
    json!({ DRILL_ANNOTATION: null, REPLICAS_ANNOTATION: null, EPOCH_ANNOTATION: null, DEAD_MAN_ANNOTATION: null })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_means_what_the_marks_beside_it_say() {
        let seen = |replicas: i32, drill: Option<&str>, dead_man: Option<&str>| Seen {
            uid: None,
            version: Version::default(),
            replicas,
            drill: drill.map(str::to_owned),
            dead_man: dead_man.map(str::to_owned),
        };
        let of = |replicas, drill, dead_man| holding(&seen(replicas, drill, dead_man), "mine", 3, 0);
        assert_eq!(of(3, None, None), Holding::Prior);
        assert_eq!(of(0, Some("mine"), None), Holding::Ours);
        assert_eq!(of(3, None, Some("mine")), Holding::ByDeadMan);
        assert_eq!(
            of(3, None, Some("another")),
            Holding::Prior,
            "what is left of another drill says nothing of this one"
        );
        for (replicas, drill, dead_man) in
            [(0, None, None), (2, Some("mine"), None), (0, Some("another"), None), (2, None, Some("mine"))]
        {
            assert!(matches!(of(replicas, drill, dead_man), Holding::Other(_)), "{replicas} {drill:?} {dead_man:?}");
        }
    }
}
