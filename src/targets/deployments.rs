//! Looking at Deployments: the counts that are wanted, and the pods that really are there.

use crate::spec::estate::{DeploymentsTarget, Selection};
use crate::targets::cluster::{ClusterError, DRILL_ANNOTATION, Reader};
use firedrill_core::sight::{DeploymentView, DeploymentsView, Sight, TargetView};
use k8s_openapi::api::apps::v1::Deployment;

/// Deployments that can be looked at again and again.
#[derive(Debug)]
pub struct DeploymentEyes {
    name: String,
    target: DeploymentsTarget,
    reader: Reader,
}

impl DeploymentEyes {
    /// Eyes on the target called `name`.
    pub fn new(name: &str, target: &DeploymentsTarget, reader: Reader) -> Self {
        Self { name: name.to_owned(), target: target.clone(), reader }
    }

    /// Looks once. Deployments named and not there are not in the view.
    ///
    /// # Errors
    /// When the cluster's API cannot be asked.
    pub async fn look(&self) -> Result<Sight, ClusterError> {
        let from_ns = crate::clock::now();
        let found = selected(&self.reader, &self.target).await?;
        let mut deployments: Vec<DeploymentView> = found.iter().map(view).collect();
        deployments.sort_by(|a, b| a.name.cmp(&b.name));
        let view = TargetView::Deployments(DeploymentsView { deployments });
        Ok(Sight { target: self.name.clone(), from_ns, to_ns: crate::clock::now(), view })
    }
}

/// The Deployments that a target selects.
///
/// # Errors
/// When the cluster's API cannot be asked.
pub async fn selected(reader: &Reader, target: &DeploymentsTarget) -> Result<Vec<Deployment>, ClusterError> {
    let selector = match &target.select {
        Selection::Selector(selector) => selector.as_str(),
        Selection::All | Selection::Names(_) => "",
    };
    let listed = reader.deployments(target.namespace.as_str(), selector).await?;
    let wanted = |d: &Deployment| match &target.select {
        Selection::Names(names) => names.iter().any(|n| d.metadata.name.as_deref() == Some(n.as_str())),
        Selection::All | Selection::Selector(_) => true,
    };
    Ok(listed.items.into_iter().filter(wanted).collect())
}

/// What one Deployment looks like.
pub fn view(deployment: &Deployment) -> DeploymentView {
    let meta = &deployment.metadata;
    let status = deployment.status.clone().unwrap_or_default();
    let annotations = meta.annotations.clone().unwrap_or_default();
    DeploymentView {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        replicas: wanted_replicas(deployment),
        existing: status.replicas.unwrap_or(0),
        ready: status.ready_replicas.unwrap_or(0),
        observed: status.observed_generation >= meta.generation,
        drill: annotations.get(DRILL_ANNOTATION).cloned(),
    }
}

/// The count a Deployment asks for; 1 where it names none, as the API server has it.
pub fn wanted_replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}
