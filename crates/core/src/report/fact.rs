//! A fact: one thing found, with its unit and where it came from, so that no fault needs code in a renderer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// What it is (`system identifier`).
    pub label: String,
    /// Its value, as it is to be read.
    pub value: String,
    /// Its unit, if it has one (`bytes`, `ms`).
    pub unit: Option<String>,
    /// Where it was seen (`pg_control_system() on postgresql-1`).
    pub source: String,
}

impl Fact {
    /// A fact without a unit.
    pub fn new(label: impl Into<String>, value: impl Into<String>, source: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), unit: None, source: source.into() }
    }

    /// The same, with its unit.
    #[must_use]
    pub fn in_unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }
}
