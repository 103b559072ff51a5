//! Events are one store with two faces: `v1` and `events.k8s.io/v1`.

use serde_json::{Map, Value, json};

/// The newer face.
pub(crate) const NEW: &str = "events.k8s.io/v1";

/// `(newer name, older name)`; everything else is called the same.
const NAMES: [(&str, &str); 7] = [
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// From the newer face to what is stored.
pub(crate) fn stored(event: Value) -> Value {
    renamed(event, "v1", |name| NAMES.iter().find(|(new, _)| *new == name).map(|(_, old)| *old))
}

/// From what is stored to the newer face.
pub(crate) fn presented(event: &Value) -> Value {
    renamed(event.clone(), NEW, |name| NAMES.iter().find(|(_, old)| *old == name).map(|(new, _)| *new))
}

fn renamed(event: Value, api_version: &str, rename: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(fields) = event else { return event };
    let mut renamed: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (rename(&name).map_or(name, str::to_owned), value)).collect();
    renamed.insert("apiVersion".to_owned(), json!(api_version));
    Value::Object(renamed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn both_faces_tell_the_same_event() {
        let new = json!({"apiVersion": super::NEW, "kind": "Event", "metadata": {"name": "e"}, "note": "n",
            "regarding": {"name": "p"}, "reportingController": "firedrill", "reason": "r"});
        let old = super::stored(new.clone());
        assert_eq!(old["message"], "n");
        assert_eq!(old["involvedObject"]["name"], "p");
        assert_eq!(super::presented(&old), new);
    }
}
