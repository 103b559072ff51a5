//! An agent's own pod, as the agent itself reads and marks it. It touches no other object.

use super::agent_words::{AgentState, ORDER_ANNOTATION, STATE_ANNOTATION};
use super::{Trouble, timed};
use crate::targets::cluster::{Cluster, is_conflict};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// The pod that an agent runs in.
pub(crate) struct OwnPod {
    api: Api<Pod>,
    name: String,
}

/// What an agent finds on its own pod.
#[derive(Debug)]
pub(crate) struct OwnMarks {
    /// The version it was read at.
    pub(crate) version: String,
    /// What it was told to do last.
    pub(crate) order: Option<String>,
    /// What it has said of itself last.
    pub(crate) state: Option<AgentState>,
}

/// Why an agent's word about itself was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsaid {
    /// The pod has moved on from the version: worth another look.
    #[error("the pod has moved on")]
    Moved,
    /// Anything else.
    #[error("{0}")]
    Trouble(String),
}

impl OwnPod {
    pub(crate) fn new(cluster: &Cluster, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(cluster.client(), namespace), name: name.to_owned() }
    }

    /// Reads it.
    ///
    /// # Errors
    /// A sentence, when the API does not answer.
    pub(crate) async fn read(&self) -> Result<OwnMarks, String> {
        let found = timed(async { self.api.get(&self.name).await }).await.map_err(|e| e.to_string())?.metadata;
        let annotations = found.annotations.unwrap_or_default();
        Ok(OwnMarks {
            version: found.resource_version.unwrap_or_default(),
            order: annotations.get(ORDER_ANNOTATION).cloned(),
            state: AgentState::of(&annotations),
        })
    }

    /// Says something of itself; where a `version` is given, only while the pod is still at it.
    ///
    /// # Errors
    /// When it was not taken, or nobody knows.
    pub(crate) async fn say(&self, state: &AgentState, version: Option<&str>) -> Result<(), Unsaid> {
        let text = serde_json::to_string(state).map_err(|e| Unsaid::Trouble(e.to_string()))?;
        let mut body = json!({ "metadata": { "annotations": { STATE_ANNOTATION: text } } });
        if let Some(version) = version {
            body["metadata"]["resourceVersion"] = json!(version);
        }
        let params = PatchParams::default();
        #[expect(clippy::disallowed_methods, reason = "an agent marks its own pod, and nothing else")]
        match timed(async { self.api.patch(&self.name, &params, &Patch::Merge(&body)).await }).await {
            Ok(_) => Ok(()),
            Err(Trouble::Api(e)) if is_conflict(&e) => Err(Unsaid::Moved),
            Err(e) => Err(Unsaid::Trouble(e.to_string())),
        }
    }
}
