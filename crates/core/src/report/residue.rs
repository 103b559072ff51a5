//! Residue: what of the fault is still there, effect by effect.

use super::moment::Moment;
use crate::time::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of everything the drill did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResidueState {
    /// Nothing is left.
    Clean,
    /// Nothing of ours is left; somebody else changed something meanwhile, and it was left as they made it.
    Superseded,
    /// Something is still there: an alarm, and the target stays locked.
    Outstanding,
}

impl ResidueState {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Superseded => "superseded",
            Self::Outstanding => "outstanding",
        }
    }
}

/// What became of one effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UndoOutcome {
    /// firedrill put it back and looked.
    Undone,
    /// It was intended and never took place.
    NeverApplied,
    /// It was back already, put there by somebody or something else.
    Reverted(String),
    /// Somebody changed it meanwhile: what was found, left alone.
    Superseded(String),
    /// By its nature it cannot be undone, and why that is no residue (`a new pod took its place`).
    Irreversible(String),
    /// It is still there: why, and how to remove it by hand.
    Outstanding {
        /// Why it could not be undone.
        why: String,
        /// What a person can do.
        by_hand: String,
    },
}

/// One effect of the drill on the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EffectLine {
    /// The object it was done to (`deployment shop/web`).
    pub object: String,
    /// What was done (`replicas 5 → 0`).
    pub done: String,
    /// What was there before, as it was captured (`replicas 5, annotation absent`).
    pub prior: Known<String>,
    /// What became of it.
    pub outcome: UndoOutcome,
    /// When that was last looked at.
    pub looked_at_ns: Known<Moment>,
}

/// What is left of the drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Residue {
    /// The state of all of it.
    pub state: ResidueState,
    /// When everything was last looked at.
    pub looked_at_ns: Known<Moment>,
    /// Every effect, in the order of its intent. Empty when nothing was touched.
    pub effects: Vec<EffectLine>,
}
