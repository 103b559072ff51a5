//! Who else manages the replica counts of Deployments: HPA, KEDA, Argo CD, Flux. Each means something else for a drill
//! that holds a count at zero.

use crate::guards::preflight::Preflight;
use crate::targets::cluster::{ClusterError, Reader};
use k8s_openapi::api::apps::v1::Deployment;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use std::collections::BTreeMap;

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: format!("{group}/{version}"),
        kind: kind.into(),
        plural: plural.into(),
    }
}

/// Whether an autoscaling object scales one of these Deployments; which.
fn scales(object: &DynamicObject, names: &[String]) -> Option<String> {
    let target = object.data.pointer("/spec/scaleTargetRef")?;
    let kind = target.get("kind").and_then(|k| k.as_str()).unwrap_or("Deployment");
    let name = target.get("name").and_then(|n| n.as_str())?;
    (kind == "Deployment" && names.iter().any(|n| n == name)).then(|| name.to_owned())
}

/// The managers of one Deployment by its own labels and annotations.
fn by_marks(deployment: &Deployment) -> Vec<&'static str> {
    let empty = BTreeMap::new();
    let labels = deployment.metadata.labels.as_ref().unwrap_or(&empty);
    let annotations = deployment.metadata.annotations.as_ref().unwrap_or(&empty);
    let mut found = Vec::new();
    if annotations.contains_key("argocd.argoproj.io/tracking-id") || labels.contains_key("argocd.argoproj.io/instance")
    {
        found.push("Argo CD");
    }
    if labels.keys().any(|k| k.starts_with("kustomize.toolkit.fluxcd.io/") || k.starts_with("helm.toolkit.fluxcd.io/"))
    {
        found.push("Flux");
    }
    found
}

/// Writes down who manages the counts, and what that means. None of it forbids the drill: what counts is whether the fault
/// is sustained, and that is watched.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn detect(
    reader: &Reader,
    preflight: &mut Preflight,
    namespace: &str,
    deployments: &[Deployment],
) -> Result<(), ClusterError> {
    let names: Vec<String> = deployments.iter().filter_map(|d| d.metadata.name.clone()).collect();
    let mut found = Vec::new();
    let hpa = resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
    for name in reader.list_any(&hpa, Some(namespace)).await?.iter().filter_map(|o| scales(o, &names)) {
        found.push(format!(
            "{name}: an HPA, which turns itself off at zero (ScalingDisabled) and would never restore it; the undo sets the captured count"
        ));
    }
    let keda = resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects");
    for name in reader.list_any(&keda, Some(namespace)).await?.iter().filter_map(|o| scales(o, &names)) {
        found.push(format!("{name}: KEDA, which may scale it back by itself; then the fault counts as not sustained"));
    }
    for deployment in deployments {
        for manager in by_marks(deployment) {
            let name = deployment.metadata.name.as_deref().unwrap_or_default();
            found
                .push(format!("{name}: {manager}, which may revert the count; then the fault counts as not sustained"));
        }
    }
    let shown = if found.is_empty() { "nobody else".to_owned() } else { found.join("; ") };
    preflight.note("who else manages the replica counts", "said", shown);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(metadata: &serde_json::Value) -> Deployment {
        serde_json::from_value(serde_json::json!({ "metadata": metadata })).unwrap()
    }

    #[test]
    fn gitops_tools_are_known_by_their_marks() {
        let argo = deployment(
            &serde_json::json!({ "name": "web", "annotations": { "argocd.argoproj.io/tracking-id": "a:apps/Deployment:shop/web" } }),
        );
        let flux =
            deployment(&serde_json::json!({ "name": "web", "labels": { "kustomize.toolkit.fluxcd.io/name": "shop" } }));
        let plain = deployment(&serde_json::json!({ "name": "web", "labels": { "app": "web" } }));
        assert_eq!(by_marks(&argo), ["Argo CD"]);
        assert_eq!(by_marks(&flux), ["Flux"]);
        assert!(by_marks(&plain).is_empty());
    }
}
