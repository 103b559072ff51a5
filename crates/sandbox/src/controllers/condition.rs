//! Conditions in a status: set in place, with the time of their last change.

use serde_json::{Value, json};

use crate::api::meta;

/// Sets the condition `kind` in `status.conditions`; the time moves only when its status does.
pub(crate) fn set_condition(object: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
    let conditions = meta::map_at(object, "status").entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else { return };
    let place = conditions.iter().position(|condition| meta::text(condition, "/type") == kind);
    let since = place
        .map(|place| &conditions[place])
        .filter(|condition| meta::text(condition, "/status") == status)
        .map_or_else(meta::now, |condition| meta::text(condition, "/lastTransitionTime").to_owned());
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since});
    for (name, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            condition[name] = json!(text);
        }
    }
    match place {
        Some(place) => conditions[place] = condition,
        None => conditions.push(condition),
    }
}

/// Whether a condition is `True`.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    meta::items(object, "/status/conditions")
        .iter()
        .any(|condition| meta::text(condition, "/type") == kind && meta::text(condition, "/status") == "True")
}

/// Whether a pod is ready and not on its way out.
pub(crate) fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready") && !meta::is_deleting(pod)
}

/// Whether a pod has ended for good.
pub(crate) fn has_ended(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&meta::text(pod, "/status/phase"))
}

/// Puts a count into a status, or nothing for 0, as upstream leaves zeros out.
pub(crate) fn count(status: &mut Value, name: &str, value: usize) {
    if let Some(map) = status.as_object_mut() {
        if value == 0 {
            map.remove(name);
        } else {
            map.insert(name.to_owned(), json!(value));
        }
    }
}
