//! What was really exercised, named from evidence, against what the experiment expected.

use super::fact::Fact;
use crate::time::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether what happened is at least what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exercise {
    /// It is.
    AsExpected,
    /// It is weaker: the drill proves nothing of what it was made for.
    NotExercised,
    /// The fault took hold and was undone by somebody before it had lasted as declared.
    NotSustained,
    /// It cannot be told.
    Undecided,
    /// The drill never came to it.
    NotReached,
}

/// What was exercised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exercised {
    /// What the experiment expected (`promotion`).
    pub expected: String,
    /// What happened by its name: `failover`, `hand-over`, `restart in place`, `nothing`, `scale to zero`, `restore`.
    pub found: Known<String>,
    /// How the two stand to each other.
    pub status: Exercise,
    /// One sentence of detail (`postgresql-0 → postgresql-1, timeline 1 → 2`).
    pub detail: String,
    /// What it is named from.
    pub evidence: Vec<Fact>,
}
