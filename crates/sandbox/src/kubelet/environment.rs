//! A container's environment: literal values, references to fields, secrets and config maps, and what the kubelet sets.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use serde_json::Value;

use crate::api::{Key, Kind, Store, meta};

/// What a reference in a container's environment could not find.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} \"{name}\" has no key \"{key}\"")]
pub(super) struct MissingReference {
    kind: &'static str,
    name: String,
    key: String,
}

/// Builds the environment on top of `base`.
pub(super) fn environment(
    store: &Store,
    pod: &Value,
    container: &Value,
    base: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, MissingReference> {
    let mut environment = base.clone();
    for variable in meta::items(container, "/env") {
        let name = meta::text(variable, "/name").to_owned();
        let value = match variable.get("valueFrom") {
            Some(source) => match referred(store, pod, source, &environment)? {
                Some(value) => value,
                None => continue,
            },
            None => expand(meta::text(variable, "/value"), &environment),
        };
        environment.insert(name, value);
    }
    Ok(environment)
}

/// What `valueFrom` refers to; nothing for a missing optional one.
fn referred(
    store: &Store,
    pod: &Value,
    source: &Value,
    environment: &BTreeMap<String, String>,
) -> Result<Option<String>, MissingReference> {
    if let Some(path) = source.pointer("/fieldRef/fieldPath").and_then(Value::as_str) {
        return Ok(Some(field(pod, path, environment)));
    }
    for (reference, kind) in [("secretKeyRef", Kind::Secret), ("configMapKeyRef", Kind::ConfigMap)] {
        let Some(wanted) = source.get(reference) else { continue };
        let (name, key) = (meta::text(wanted, "/name"), meta::text(wanted, "/key"));
        let object = store.get(&Key::new(kind, meta::namespace(pod), name));
        let value = object.as_deref().and_then(|object| content(kind, object).remove(key));
        let optional = wanted.get("optional").and_then(Value::as_bool) == Some(true);
        return match value {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
            None if optional => Ok(None),
            None => Err(MissingReference { kind: kind.name(), name: name.to_owned(), key: key.to_owned() }),
        };
    }
    Ok(None)
}

/// The contents of a secret or config map, decoded.
pub(super) fn content(kind: Kind, object: &Value) -> BTreeMap<String, Vec<u8>> {
    let data = object.get("data").and_then(Value::as_object);
    data.into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            let bytes = match kind {
                Kind::Secret => serde_json::from_value::<ByteString>(value.clone()).ok()?.0,
                _ => value.as_str()?.as_bytes().to_vec(),
            };
            Some((key.clone(), bytes))
        })
        .collect()
}

/// A field of the pod, by the paths that the downward API knows.
fn field(pod: &Value, path: &str, environment: &BTreeMap<String, String>) -> String {
    if path == "status.podIP" {
        // Not yet in the pod's status when its first process starts.
        return environment.get("POD_IP").cloned().unwrap_or_default();
    }
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let map = pod.pointer(&format!("/{}", map.replace('.', "/")));
        return map.and_then(|map| map.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    meta::text(pod, &format!("/{}", path.replace('.', "/"))).to_owned()
}

/// Replaces `$(NAME)` where the name is known; `$$(NAME)` stays `$(NAME)`.
pub(super) fn expand(text: &str, environment: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix("$(").and_then(|inside| inside.split_once(')')) {
            match environment.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push_str(&rest[..name.len() + 3]),
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{environment, expand};
    use crate::api::Store;

    #[test]
    fn known_names_are_replaced_and_others_stay() {
        let known = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(expand("x$(A)y$(B)$$(A)$z$", &known), "x1y$(B)$(A)$z$");
    }

    #[test]
    fn fields_and_missing_secrets() {
        let store = Store::new(10);
        let pod = json!({"metadata": {"name": "p", "namespace": "shop", "labels": {"role": "primary"}}});
        let base = BTreeMap::from([("POD_IP".to_owned(), "127.7.7.7".to_owned())]);
        let container = json!({"env": [
            {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "ROLE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['role']"}}},
            {"name": "AT", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "ALL", "value": "$(WHO)@$(AT)"},
        ]});
        let built = environment(&store, &pod, &container, &base).expect("all found");
        assert_eq!(built["ALL"], "p@127.7.7.7");
        assert_eq!(built["ROLE"], "primary");
        let container = json!({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
        let missing = environment(&store, &pod, &container, &base).expect_err("no such secret");
        assert_eq!(missing.to_string(), "Secret \"s\" has no key \"k\"");
    }
}
