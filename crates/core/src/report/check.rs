//! Checks: what was expected and what was found, before the injection and after the recovery.

use crate::time::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// It holds.
    Ok,
    /// It does not.
    Failed,
    /// It cannot be told.
    Unknown,
    /// It was not made, because something before it failed.
    NotReached,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What is checked (`one primary, all members streaming`).
    pub name: String,
    /// What has to hold.
    pub expected: String,
    /// What was found.
    pub found: Known<String>,
    /// What it came to.
    pub status: CheckStatus,
    /// Where it was seen, or where the rule is written.
    pub source: String,
    /// What to do when it does not hold.
    pub remedy: Option<String>,
}
