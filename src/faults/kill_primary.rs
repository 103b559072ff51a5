//! `kill-primary`: the primary of a database cluster is removed, and another must take over.

use crate::spec::scalar::{Name, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Removes the primary of a PostgreSQL cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KillPrimary {
    /// A `postgres` target.
    pub target: Name,
    /// How.
    #[serde(default)]
    pub by: KillBy,
    /// For `delete-pod`: how long the pod may take to stop; the pod's own grace period by default.
    pub grace: Option<Span>,
}

/// How a primary is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KillBy {
    /// Its pod is deleted, with its UID as the precondition.
    #[default]
    DeletePod,
}

impl KillPrimary {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str = "kill-primary: { target: orders-db, by: delete-pod }";
}
