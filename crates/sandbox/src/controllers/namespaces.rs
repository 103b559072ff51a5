//! Namespaces that are being deleted: emptied first, then gone.

use super::driver::Controller;
use crate::api::delete::{DeleteOptions, delete};
use crate::api::{Change, ChangeKind, Inner, Key, Kind, meta};

/// The controller of namespaces.
pub(super) struct Namespaces;

impl Controller for Namespaces {
    fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.to_vec()
    }

    fn concerned(&mut self, kind: Kind, change: &Change, inner: &Inner) -> Vec<Key> {
        let key = match kind {
            Kind::Namespace => Key::of(kind, &change.object),
            _ if change.kind == ChangeKind::Deleted => Key::new(Kind::Namespace, "", meta::namespace(&change.object)),
            _ => return Vec::new(),
        };
        let deleting = inner.get(&key).is_some_and(|namespace| meta::is_deleting(&namespace));
        if deleting { vec![key] } else { Vec::new() }
    }

    fn reconcile(&mut self, inner: &mut Inner, key: &Key) {
        let Some(namespace) = inner.get(key).filter(|namespace| meta::is_deleting(namespace)) else { return };
        let contents = |inner: &Inner| -> Vec<(Key, bool)> {
            Kind::ALL
                .iter()
                .flat_map(|&kind| inner.range(kind, Some(&key.name)).map(move |object| (kind, object)))
                .map(|(kind, object)| (Key::of(kind, object), meta::is_deleting(object)))
                .collect()
        };
        for (inside, deleting) in contents(inner) {
            if !deleting {
                let _ = delete(inner, &inside, &DeleteOptions::default());
            }
        }
        if contents(inner).is_empty() && meta::items(&namespace, "/metadata/finalizers").is_empty() {
            inner.remove(key);
        }
    }
}
