//! What the server says of itself: versions, groups, resources, health.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::events;
use super::kinds::{Info, Kind, Manner, Scope};
use super::route::has_subresource;
use super::status::ApiError;

/// The Kubernetes version whose manners are followed.
const MINOR: &str = "33";

/// Something to say: JSON or plain text.
#[derive(Debug)]
pub(crate) enum Information {
    /// An object.
    Json(Value),
    /// A word.
    Text(&'static str),
}

/// Answers a path without objects.
pub(crate) fn information(path: &str, served: &[Kind]) -> Result<Information, ApiError> {
    let parts: Vec<&str> = path.split('/').collect();
    let value = match parts.as_slice() {
        ["version"] => json!({
            "major": "1", "minor": MINOR, "gitVersion": format!("v1.{MINOR}.0+sandbox"), "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
            "platform": format!("linux/{}", std::env::consts::ARCH),
        }),
        ["readyz" | "livez" | "healthz", ..] => return Ok(Information::Text("ok")),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => {
            let groups: Vec<Value> = groups(served).iter().map(|(group, version)| api_group(group, version)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", group] => {
            let groups = groups(served);
            let version = groups.get(group).ok_or_else(ApiError::no_such_group)?;
            let mut object = api_group(group, version);
            object["kind"] = json!("APIGroup");
            object["apiVersion"] = json!("v1");
            object
        }
        ["api", "v1"] => resources("v1", served)?,
        ["apis", group, version] if groups(served).contains_key(group) => {
            resources(&format!("{group}/{version}"), served)?
        }
        ["api", ..] => return Err(ApiError::no_such_path()),
        _ => return Err(ApiError::no_such_group()),
    };
    Ok(Information::Json(value))
}

fn groups(served: &[Kind]) -> BTreeMap<&'static str, &'static str> {
    let mut groups: BTreeMap<&str, &str> = served
        .iter()
        .map(|kind| kind.info())
        .filter(|info| !info.group.is_empty())
        .map(|info| (info.group, info.version))
        .collect();
    groups.insert("events.k8s.io", "v1");
    groups.insert("authentication.k8s.io", "v1");
    groups.insert("authorization.k8s.io", "v1");
    groups
}

fn api_group(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

fn resources(api_version: &str, served: &[Kind]) -> Result<Value, ApiError> {
    let mut listed: Vec<Value> = served
        .iter()
        .filter(|kind| kind.info().api_version() == api_version)
        .flat_map(|kind| resource_with_subresources(*kind))
        .collect();
    if api_version == events::NEW {
        listed.extend(resource_with_subresources(Kind::Event));
    }
    if api_version == "authorization.k8s.io/v1" {
        listed.push(json!({
            "name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview", "namespaced": false,
            "kind": "SelfSubjectAccessReview", "verbs": ["create"],
        }));
    }
    if api_version == "authentication.k8s.io/v1" {
        listed.push(json!({
            "name": "selfsubjectreviews", "singularName": "selfsubjectreview", "namespaced": false,
            "kind": "SelfSubjectReview", "verbs": ["create"],
        }));
    }
    if listed.is_empty() {
        return Err(ApiError::no_such_path());
    }
    Ok(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}))
}

fn resource_with_subresources(kind: Kind) -> Vec<Value> {
    let info: &Info = kind.info();
    let namespaced = info.scope == Scope::Namespaced;
    let mut listed = vec![json!({
        "name": info.plural, "singularName": kind.name().to_lowercase(), "namespaced": namespaced, "kind": kind.name(),
        "shortNames": info.short,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    })];
    for (subresource, of_kind, verbs) in [
        ("status", kind.name(), &["get", "patch", "update"][..]),
        ("scale", "Scale", &["get", "patch", "update"]),
        ("eviction", "Eviction", &["create"]),
        ("log", kind.name(), &["get"]),
    ] {
        if has_subresource(kind, subresource) {
            let name = format!("{}/{subresource}", info.plural);
            listed.push(
                json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": of_kind, "verbs": verbs}),
            );
        }
    }
    listed
}

/// The kinds that are served: custom ones only when defined.
pub(crate) fn served(installed: impl Fn(Kind) -> bool) -> Vec<Kind> {
    Kind::ALL.iter().copied().filter(|kind| !kind.has(Manner::Custom) || installed(*kind)).collect()
}
