//! Looking at Deployments: the counts that are wanted, and the pods that really are there.

use crate::spec::estate::{DeploymentsTarget, Selection};
use crate::targets::cluster::{ClusterError, DRILL_ANNOTATION, Reader};
use crate::targets::pods_behind::{Counted, PodsBehind, words};
use firedrill_core::sight::{DeploymentView, DeploymentsView, Sight, TargetView};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use std::sync::Arc;

/// Deployments that can be looked at again and again.
#[derive(Debug)]
pub struct DeploymentEyes {
    name: String,
    target: DeploymentsTarget,
    reader: Reader,
    pods: PodsBehind,
    /// What the look before saw, by name: what has not changed is shared with it.
    seen: Vec<Arc<DeploymentView>>,
}

impl DeploymentEyes {
    /// Eyes on the target called `name`.
    pub fn new(name: &str, target: &DeploymentsTarget, reader: Reader) -> Self {
        Self { name: name.to_owned(), target: target.clone(), reader, pods: PodsBehind::default(), seen: Vec::new() }
    }

    /// Looks once. Deployments named and not there are not in the view.
    ///
    /// # Errors
    /// When the cluster's API cannot be asked.
    pub async fn look(&mut self) -> Result<Sight, ClusterError> {
        let from_ns = crate::clock::now();
        let mut counted: Vec<Counted> = Vec::with_capacity(self.seen.len());
        let count = |d: Deployment| counted.push((view(&d), d.spec.unwrap_or_default().selector));
        each(&self.reader, &self.target, count).await?;
        self.pods.complete(&self.reader, self.target.namespace.as_str(), &mut counted).await?;
        let shared = |now: DeploymentView| {
            let place = self.seen.binary_search_by(|known| known.name.cmp(&now.name));
            let known = place.ok().map(|at| &self.seen[at]).filter(|known| ***known == now);
            known.map_or_else(|| Arc::new(now), Arc::clone)
        };
        let mut deployments: Vec<Arc<DeploymentView>> = counted.into_iter().map(|(view, _)| shared(view)).collect();
        deployments.sort_by(|a, b| a.name.cmp(&b.name));
        self.seen.clone_from(&deployments);
        let view = TargetView::Deployments(DeploymentsView { deployments });
        Ok(Sight { target: self.name.clone(), from_ns, to_ns: crate::clock::now(), view })
    }
}

/// The Deployments that a target selects, without the record of who manages which field: it is longer than all the rest.
///
/// # Errors
/// When the cluster's API cannot be asked.
pub async fn selected(reader: &Reader, target: &DeploymentsTarget) -> Result<Vec<Deployment>, ClusterError> {
    let mut found = Vec::new();
    let mut keep = |mut deployment: Deployment| {
        deployment.metadata.managed_fields = None;
        found.push(deployment);
    };
    each(reader, target, &mut keep).await?;
    Ok(found)
}

async fn each(
    reader: &Reader,
    target: &DeploymentsTarget,
    mut take: impl FnMut(Deployment),
) -> Result<(), ClusterError> {
    let selector = match &target.select {
        Selection::Selector(selector) => selector.as_str(),
        Selection::All | Selection::Names(_) => "",
    };
    let wanted = |d: &Deployment| match &target.select {
        Selection::Names(names) => names.iter().any(|n| d.metadata.name.as_deref() == Some(n.as_str())),
        Selection::All | Selection::Selector(_) => true,
    };
    let take = |deployment: Deployment| {
        if wanted(&deployment) {
            take(deployment);
        }
    };
    reader.each_deployment(target.namespace.as_str(), selector, take).await
}

/// What one Deployment looks like.
pub fn view(deployment: &Deployment) -> DeploymentView {
    let meta = &deployment.metadata;
    let status = deployment.status.as_ref();
    let count = |of: fn(&DeploymentStatus) -> Option<i32>| status.and_then(of).unwrap_or(0);
    let failure = status.and_then(|s| s.conditions.as_ref()?.iter().find(|c| c.type_ == "ReplicaFailure"));
    let failure = failure.filter(|c| c.status == "True");
    DeploymentView {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        replicas: wanted_replicas(deployment),
        existing: count(|s| s.replicas),
        ready: count(|s| s.ready_replicas),
        observed: status.and_then(|s| s.observed_generation) >= meta.generation,
        drill: meta.annotations.as_ref().and_then(|a| a.get(DRILL_ANNOTATION)).cloned(),
        trouble: failure.map(|c| words("", c.reason.as_deref(), c.message.as_deref())),
    }
}

/// The count a Deployment asks for; 1 where it names none, as the API server has it.
pub fn wanted_replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}
