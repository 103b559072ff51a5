//! `scale-to-zero`: deployments lose all their replicas, are held there, and are brought back in waves.

use crate::spec::scalar::{Name, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Scales deployments to zero and brings them back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScaleToZero {
    /// A `deployments` target.
    pub target: Name,
    /// How long they stay at zero, counted from when the loss was *seen*: no ready endpoint, probes down.
    #[serde(default = "default_hold")]
    pub hold: Span,
    /// The order in which they return: each wave once the one before it is ready. Those not named come last, together.
    #[serde(default)]
    pub waves: Vec<Vec<Name>>,
}

fn default_hold() -> Span {
    Span::secs(10)
}

impl ScaleToZero {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str =
        "scale-to-zero: { target: web, hold: 10s, waves: [[storefront], [cart, checkout]] }";
}
