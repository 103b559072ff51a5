//! Strategic merge: lists whose elements have a key are merged element by element, others are replaced.

use serde_json::{Map, Value};

/// A directive of a patch, beside its fields.
const DIRECTIVE: &str = "$patch";

/// Merges `patch` into `object`; `null` removes.
pub(crate) fn merge(object: &mut Value, patch: &Value) {
    let Some(changes) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if changes.get(DIRECTIVE).and_then(Value::as_str) == Some("replace") {
        let kept = changes.iter().filter(|(key, _)| !key.starts_with('$'));
        *object = Value::Object(kept.map(|(key, value)| (key.clone(), value.clone())).collect());
        return;
    }
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(target) = object.as_object_mut() else { return };
    for (key, change) in changes {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            remove_from(target, list, change);
        } else if key.starts_with('$') {
            // $setElementOrder and $retainKeys say how to order and prune; the sandbox keeps the order there is.
        } else if change.is_null() || deletes(change) {
            target.remove(key);
        } else {
            let slot = target.entry(key.clone()).or_insert(Value::Null);
            merge_field(key, slot, change);
        }
    }
}

fn merge_field(key: &str, slot: &mut Value, change: &Value) {
    match change {
        Value::Object(_) => merge(slot, change),
        Value::Array(elements) => match (list_kind(key, elements), slot.as_array_mut()) {
            (ListKind::Keyed(by), Some(present)) => merge_keyed(present, elements, by),
            (ListKind::Set, Some(present)) => {
                for element in elements {
                    if !present.contains(element) {
                        present.push(element.clone());
                    }
                }
            }
            (ListKind::Keyed(by), None) => {
                let mut present = Vec::new();
                merge_keyed(&mut present, elements, by);
                *slot = Value::Array(present);
            }
            _ => *slot = change.clone(),
        },
        _ => *slot = change.clone(),
    }
}

/// How a list is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListKind {
    /// By the value of this field of its elements.
    Keyed(&'static str),
    /// As a set of plain values.
    Set,
    /// Not at all: the patch's list replaces it.
    Atomic,
}

fn list_kind(key: &str, elements: &[Value]) -> ListKind {
    let by = match key {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "webhooks" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "hostAliases" => "ip",
        "conditions" | "addresses" => "type",
        "ownerReferences" => "uid",
        "topologySpreadConstraints" => "topologyKey",
        // A container's ports have another key than a service's.
        "ports" if elements.iter().any(|element| element.get("containerPort").is_some()) => "containerPort",
        "ports" if elements.iter().any(|element| element.get("port").is_some()) => "port",
        "finalizers" => return ListKind::Set,
        _ => return ListKind::Atomic,
    };
    ListKind::Keyed(by)
}

fn merge_keyed(present: &mut Vec<Value>, elements: &[Value], by: &str) {
    if elements.iter().any(|element| element.get(DIRECTIVE).and_then(Value::as_str) == Some("replace")) {
        present.clear();
    }
    for element in elements {
        let Some(identity) = element.get(by) else { continue };
        let place = present.iter().position(|one| one.get(by) == Some(identity));
        match place {
            Some(place) if deletes(element) => {
                present.remove(place);
            }
            Some(place) => merge(&mut present[place], element),
            None if deletes(element) => {}
            None => {
                let mut fresh = Value::Object(Map::new());
                merge(&mut fresh, element);
                present.push(fresh);
            }
        }
    }
}

fn deletes(change: &Value) -> bool {
    change.get(DIRECTIVE).and_then(Value::as_str) == Some("delete")
}

fn remove_from(target: &mut Map<String, Value>, list: &str, gone: &Value) {
    let gone = gone.as_array().map_or(&[][..], Vec::as_slice);
    if let Some(present) = target.get_mut(list).and_then(Value::as_array_mut) {
        present.retain(|element| !gone.contains(element));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge;

    #[test]
    fn containers_merge_by_name_and_arguments_are_replaced() {
        let mut object = json!({"spec": {"containers": [
            {"name": "web", "image": "a", "args": ["1", "2"], "env": [{"name": "X", "value": "1"}]},
            {"name": "side", "image": "s"},
        ]}});
        merge(
            &mut object,
            &json!({"spec": {"containers": [
                {"name": "web", "args": ["3"], "env": [{"name": "Y", "value": "2"}]},
                {"name": "side", "$patch": "delete"},
            ]}}),
        );
        assert_eq!(
            object,
            json!({"spec": {"containers": [{"name": "web", "image": "a", "args": ["3"],
                "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]}})
        );
    }

    #[test]
    fn null_removes_and_finalizers_are_a_set() {
        let mut object = json!({"metadata": {"annotations": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]}});
        merge(
            &mut object,
            &json!({"metadata": {"annotations": {"a": null}, "finalizers": ["z"],
            "$deleteFromPrimitiveList/finalizers": ["x"]}}),
        );
        assert_eq!(object["metadata"]["annotations"], json!({"b": "2"}));
        let finalizers = object["metadata"]["finalizers"].as_array().expect("a list").clone();
        assert!(finalizers.contains(&json!("y")) && finalizers.contains(&json!("z")), "{finalizers:?}");
    }
}
