//! Garbage collection: what is owned goes when its last owner is gone, also when it was made too late to see it.

use serde_json::Value;

use super::driver::Controller;
use crate::api::delete::{DeleteOptions, FOREGROUND, ORPHAN, delete, release};
use crate::api::{Change, ChangeKind, Inner, Key, Kind, meta};

/// The collector.
pub(super) struct Garbage;

impl Controller for Garbage {
    fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.to_vec()
    }

    fn concerned(&mut self, kind: Kind, change: &Change, inner: &Inner) -> Vec<Key> {
        let key = Key::of(kind, &change.object);
        if change.kind == ChangeKind::Deleted {
            // What it owned; and an owner that waits in the foreground may have waited for this one.
            let owners = owners(&change.object).iter();
            let waiting = owners.filter_map(|owner| owner_key(inner, owner, &key.namespace));
            return inner.owned_by(meta::uid(&change.object)).cloned().chain(waiting).collect();
        }
        if owners(&change.object).is_empty() && !meta::is_deleting(&change.object) { Vec::new() } else { vec![key] }
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let Some(object) = inner.get(key) else { return };
        if meta::is_deleting(&object) {
            finish(inner, key, &object);
            return;
        }
        let references = owners(&object);
        let (present, absent): (Vec<&Value>, Vec<&Value>) =
            references.iter().partition(|owner| owner_key(inner, owner, &key.namespace).is_some());
        if absent.is_empty() {
            return;
        }
        if present.is_empty() {
            let uid = Some(meta::uid(&object).to_owned());
            let _ = delete(inner, key, &DeleteOptions { uid, ..DeleteOptions::default() });
        } else {
            let kept = present.into_iter().cloned().collect();
            set_owners(inner, key, kept);
        }
    }
}

/// An owner that is going in the foreground or leaves orphans.
fn finish(inner: &mut Inner, key: &Key, object: &Value) {
    let has = |finalizer: &str| meta::items(object, "/metadata/finalizers").iter().any(|one| one == finalizer);
    let owned: Vec<Key> = inner.owned_by(meta::uid(object)).cloned().collect();
    if has(ORPHAN) {
        for dependent in &owned {
            let Some(orphan) = inner.get(dependent) else { continue };
            let kept = owners(&orphan).iter().filter(|owner| meta::text(owner, "/uid") != meta::uid(object)).cloned();
            set_owners(inner, dependent, kept.collect());
        }
        release(inner, key, ORPHAN);
    }
    if has(FOREGROUND) {
        let mut blocked = false;
        for dependent in &owned {
            let Some(inside) = inner.get(dependent) else { continue };
            blocked |= owners(&inside).iter().any(|owner| {
                meta::text(owner, "/uid") == meta::uid(object)
                    && owner.get("blockOwnerDeletion").and_then(Value::as_bool) == Some(true)
            });
            if !meta::is_deleting(&inside) {
                let propagation = Some("Foreground".to_owned()).filter(|_| dependent.kind != Kind::Pod);
                let _ = delete(inner, dependent, &DeleteOptions { propagation, ..DeleteOptions::default() });
            }
        }
        if !blocked || owned.iter().all(|dependent| inner.get(dependent).is_none()) {
            release(inner, key, FOREGROUND);
        }
    }
}

fn owners(object: &Value) -> &[Value] {
    meta::items(object, "/metadata/ownerReferences")
}

/// The owner that a reference names, if it is that very one. Owners live in the same namespace or in none.
fn owner_key(inner: &Inner, reference: &Value, namespace: &str) -> Option<Key> {
    let kind = Kind::by_reference(meta::text(reference, "/apiVersion"), meta::text(reference, "/kind"))?;
    let name = meta::text(reference, "/name");
    [Key::new(kind, namespace, name), Key::new(kind, "", name)]
        .into_iter()
        .find(|key| inner.get(key).is_some_and(|owner| meta::uid(&owner) == meta::text(reference, "/uid")))
}

fn set_owners(inner: &mut Inner, key: &Key, owners: Vec<Value>) {
    let Some(object) = inner.get(key) else { return };
    let mut object = Value::clone(&object);
    let metadata = meta::metadata(&mut object);
    if owners.is_empty() {
        metadata.remove("ownerReferences");
    } else {
        metadata.insert("ownerReferences".to_owned(), Value::Array(owners));
    }
    inner.put(key, object);
}
