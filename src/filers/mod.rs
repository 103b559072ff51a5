//! Where reports go: one file per destination, one word each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an estate's `file` may hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilerSpec {
    /// A directory, relative to where firedrill runs.
    Directory(String),
}
