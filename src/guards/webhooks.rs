//! Admission webhooks in a drill's way: those that are served from what goes, and those that nobody serves already. The API
//! server asks them before it accepts the undo, and before it lets pods come back.

use crate::guards::preflight::Preflight;
use crate::targets::cluster::{ClusterError, Reader};
use firedrill_core::time::Known;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use kube::discovery::ApiResource;
use serde_json::Value;
use std::collections::BTreeMap;

/// What coming back needs the API server to accept: the counts, the pods that follow, the lock's end.
const NEEDED: [(&str, &str, &str); 4] = [
    ("apps", "deployments", "UPDATE"),
    ("apps", "replicasets", "UPDATE"),
    ("", "pods", "CREATE"),
    ("coordination.k8s.io", "leases", "DELETE"),
];

/// A webhook as its configuration has it.
struct Hook {
    configuration: String,
    body: Value,
}

impl Hook {
    /// The Service that serves it, namespace first; nothing for one that is behind a URL.
    fn service(&self) -> Option<(&str, &str)> {
        let of = |key| self.body.pointer(&format!("/clientConfig/service/{key}")).and_then(Value::as_str);
        of("namespace").zip(of("name"))
    }

    /// Whether it is asked of something that coming back needs in a namespace with these labels, and its silence is a no.
    /// What an object's own labels or a condition would leave out is not left out here.
    fn is_in_the_way(&self, namespace: &BTreeMap<String, String>) -> bool {
        let fails = self.body.get("failurePolicy").and_then(Value::as_str) != Some("Ignore");
        let rules = self.body.get("rules").and_then(Value::as_array);
        fails && self.selects(namespace) && rules.into_iter().flatten().any(is_needed)
    }

    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let Some(selector) = self.body.get("namespaceSelector").filter(|s| !s.is_null()) else { return true };
        let selector =
            serde_json::from_value::<LabelSelector>(selector.clone()).ok().and_then(|s| Selector::try_from(s).ok());
        selector.is_none_or(|selector| selector.matches(labels))
    }
}

fn is_needed(rule: &Value) -> bool {
    let names = |key: &str, wanted: &[&str]| {
        let listed = rule.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        listed.into_iter().any(|name| wanted.contains(&name))
    };
    NEEDED.iter().any(|(group, resource, operation)| {
        names("apiGroups", &["*", group])
            && names("resources", &["*", "*/*", resource])
            && names("operations", &["*", operation])
    })
}

async fn hooks(reader: &Reader) -> Result<Vec<Hook>, ClusterError> {
    let mut hooks = Vec::new();
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let resource = ApiResource {
            group: "admissionregistration.k8s.io".into(),
            version: "v1".into(),
            api_version: "admissionregistration.k8s.io/v1".into(),
            kind: kind.into(),
            plural: format!("{}s", kind.to_ascii_lowercase()),
        };
        for object in reader.list_any(&resource, None).await? {
            let configuration = object.metadata.name.clone().unwrap_or_default();
            let bodies = object.data.get("webhooks").and_then(Value::as_array).cloned().unwrap_or_default();
            hooks.extend(bodies.into_iter().map(|body| Hook { configuration: configuration.clone(), body }));
        }
    }
    Ok(hooks)
}

/// No webhook may be served from what goes, and none that coming back needs may be down.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn check(reader: &Reader, preflight: &mut Preflight, namespace: &str) -> Result<(), ClusterError> {
    let hooks = hooks(reader).await?;
    let mut within: Vec<String> = Vec::new();
    let (outside, inside): (Vec<&Hook>, Vec<&Hook>) =
        hooks.iter().partition(|hook| hook.service().is_none_or(|(of, _)| of != namespace));
    within.extend(inside.iter().map(|hook| hook.configuration.clone()));
    within.dedup();
    preflight.require(
        "admission webhooks served from the namespace",
        "none",
        shown(&within),
        Known::Known(within.is_empty()),
        "Its loss could make the API refuse the undo. Choose a narrower target, or move the webhook.",
    );
    let found = reader.namespace(namespace).await?;
    let mut labels = found.and_then(|n| n.metadata.labels).unwrap_or_default();
    // Every API server sees to this one.
    labels.entry("kubernetes.io/metadata.name".to_owned()).or_insert_with(|| namespace.to_owned());
    let mut silent: Vec<String> = Vec::new();
    let mut doubt = None;
    for hook in outside.into_iter().filter(|hook| hook.is_in_the_way(&labels)) {
        let Some((of, service)) = hook.service() else { continue };
        match reader.is_served(of, service).await {
            Ok(true) => {}
            Ok(false) => silent.push(format!("{}, of service {of}/{service}", hook.configuration)),
            Err(why) => doubt = Some(format!("whether {} answers: {why}", hook.configuration)),
        }
    }
    silent.dedup();
    let ok = match doubt {
        Some(doubt) if silent.is_empty() => Known::Unknown(doubt),
        _ => Known::Known(silent.is_empty()),
    };
    preflight.require(
        "admission webhooks that do not answer",
        "none",
        shown(&silent),
        ok,
        "The API would refuse to bring the deployments or their pods back. Bring the webhook back, or take it away; \
         deploy/cluster/preflight.yaml lets the runner see whether it is served.",
    );
    Ok(())
}

fn shown(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hook(changes: &Value) -> Hook {
        let rule = json!({ "apiGroups": ["apps"], "resources": ["deployments"], "operations": ["UPDATE"] });
        let mut body = json!({ "failurePolicy": "Fail", "rules": [rule],
            "clientConfig": { "service": { "namespace": "policy", "name": "judge" } } });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Hook { configuration: "judge".to_owned(), body }
    }

    #[test]
    fn a_webhook_is_in_the_way_when_its_silence_keeps_something_from_coming_back() {
        let shop = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), "shop".to_owned())]);
        let rule = |groups: &[&str], resources: &[&str], operations: &[&str]| json!({ "rules": [{ "apiGroups": groups, "resources": resources, "operations": operations }] });
        let only =
            |name: &str| json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } } });
        for (changes, expected) in [
            (json!({}), true),
            (json!({ "failurePolicy": null }), true),
            (json!({ "failurePolicy": "Ignore" }), false),
            (only("shop"), true),
            (only("another"), false),
            (json!({ "namespaceSelector": { "matchExpressions": [{ "key": "a", "operator": "?" }] } }), true),
            (rule(&[""], &["pods"], &["CREATE"]), true),
            (rule(&["*"], &["*/*"], &["*"]), true),
            (rule(&["apps"], &["deployments"], &["CREATE"]), false),
            (rule(&["apps"], &["deployments/status"], &["UPDATE"]), false),
            (rule(&["batch"], &["jobs"], &["*"]), false),
        ] {
            assert_eq!(hook(&changes).is_in_the_way(&shop), expected, "{changes}");
        }
        let behind_a_url = json!({ "clientConfig": { "url": "https://judge.example/" } });
        assert_eq!(hook(&behind_a_url).service(), None);
        assert_eq!(hook(&json!({})).service(), Some(("policy", "judge")));
    }
}
