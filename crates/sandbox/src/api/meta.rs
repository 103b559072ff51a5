//! Metadata as the server keeps it: identity, versions, deletion, owners.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What Kubernetes makes random name endings of: no vowels, so no words, and nothing easily confused.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// How long a random ending is.
const SUFFIX_LENGTH: u32 = 5;

/// A value anywhere in an object, by a path of plain names such as `/spec/replicas`. Controllers ask this all the time,
/// and JSON pointers proper would copy every name to look for escapes in it.
pub(crate) fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').skip(1).try_fold(object, |value, name| value.get(name))
}

/// A string anywhere in an object; empty when absent.
pub(crate) fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number anywhere in an object.
pub(crate) fn number(object: &Value, path: &str) -> Option<i64> {
    at(object, path).and_then(Value::as_i64)
}

/// The elements of a list anywhere in an object; none when absent.
pub(crate) fn items<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    at(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `metadata.name`.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `metadata.namespace`, empty for cluster-wide objects.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// `metadata.uid`.
pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// `metadata.resourceVersion`.
pub(crate) fn resource_version(object: &Value) -> &str {
    text(object, "/metadata/resourceVersion")
}

/// Whether deletion has begun.
pub(crate) fn is_deleting(object: &Value) -> bool {
    at(object, "/metadata/deletionTimestamp").is_some_and(|stamp| !stamp.is_null())
}

/// An annotation's value.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// The map at `key`, made when it is missing or something else.
pub(crate) fn map_at<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    let slot = object.as_object_mut().map(|map| map.entry(key).or_insert_with(|| json!({})));
    match slot {
        Some(slot) => {
            if !slot.is_object() {
                *slot = json!({});
            }
            slot.as_object_mut().unwrap_or_else(|| unreachable!("made an object just above"))
        }
        None => unreachable!("made an object just above"),
    }
}

/// The `metadata` map.
pub(crate) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    map_at(object, "metadata")
}

/// Sets `object[key]` only when it is missing or null.
pub(crate) fn default_to(map: &mut Map<String, Value>, key: &str, value: impl FnOnce() -> Value) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.to_owned(), value());
    }
}

/// Now, as metadata writes it: whole seconds.
pub(crate) fn now() -> String {
    stamp(Timestamp::now())
}

/// A time as metadata writes it: whole seconds.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A fresh identity.
pub(crate) fn fresh_uid() -> String {
    Uuid::now_v7().to_string()
}

/// A random ending for a name, as `generateName` appends.
pub(crate) fn suffix() -> String {
    // The low 62 bits of a version 7 id are random.
    let mut seed = Uuid::now_v7().as_u128() & ((1 << 62) - 1);
    let base = SUFFIX_ALPHABET.len() as u128;
    (0..SUFFIX_LENGTH)
        .map(|_| {
            let digit = usize::try_from(seed % base).unwrap_or(0);
            seed /= base;
            char::from(SUFFIX_ALPHABET[digit])
        })
        .collect()
}

/// The reference by which `owner` is named as the controller of another object.
pub(crate) fn controller_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": text(owner, "/apiVersion"), "kind": text(owner, "/kind"),
        "name": name(owner), "uid": uid(owner), "controller": true, "blockOwnerDeletion": true,
    })
}

/// The uid of the object's controller, empty without one.
pub(crate) fn controller_uid(object: &Value) -> &str {
    items(object, "/metadata/ownerReferences")
        .iter()
        .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
        .map_or("", |owner| text(owner, "/uid"))
}

#[cfg(test)]
mod tests {
    use super::suffix;

    #[test]
    fn suffixes_differ_and_are_of_the_alphabet() {
        let many: std::collections::HashSet<String> = (0..100).map(|_| suffix()).collect();
        assert!(many.len() > 95, "{} of 100 differ", many.len());
        assert!(
            many.iter().all(|one| one.len() == 5 && one.bytes().all(|byte| super::SUFFIX_ALPHABET.contains(&byte)))
        );
    }
}
