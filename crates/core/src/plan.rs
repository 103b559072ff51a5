//! The plan of a drill: every effect with its identity, decided before anything is touched, and nothing left to choose.

use crate::effect::{Effect, StepId};
use crate::time::Nanos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a step is performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before the baseline: locks, tables, staging. Nothing a user could notice.
    Arm,
    /// The fault itself.
    Inject,
}

/// One effect and its place in the order of undoing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When.
    pub stage: Stage,
    /// Undo goes from the highest rank to the lowest; steps of one rank go together.
    pub rank: u16,
    /// What.
    pub effect: Effect,
}

/// How the service comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Heal {
    /// By itself.
    Itself,
    /// By itself, when another member takes over; then these steps, which keep the old primary down, are put back at once.
    Promotion {
        /// The steps.
        release: Vec<StepId>,
    },
    /// By itself, after these steps were held for a time and let go. While they are held the service may look whole, and
    /// is not: nothing that is seen before counts.
    Afterwards {
        /// The steps.
        release: Vec<StepId>,
        /// How long they are held once they are done.
        hold_ns: Nanos,
    },
    /// By firedrill putting back what it took, wave by wave, each once the one before it is ready.
    Undo {
        /// The steps of each wave.
        waves: Vec<Vec<StepId>>,
        /// How long the fault is held once its effect was seen.
        hold_ns: Nanos,
    },
    /// By work of firedrill: a restore.
    Work,
}

/// Something long that touches only what a confirmed effect gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Restore the chosen backup into staging and ask it the questions.
    Restore,
    /// Read the ledger back; twice, since the first reading may come too early.
    ReadLedger {
        /// 1 or 2.
        pass: u8,
    },
}

/// What is done, in order and in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The word of the fault or operation.
    pub fault: String,
    /// The steps; a step's id is its position.
    pub steps: Vec<Step>,
    /// How the service comes back.
    pub heal: Heal,
    /// The targets that are watched, by name.
    pub watch: Vec<String>,
    /// How many members the watched database cluster has when it is whole.
    pub members: u16,
    /// Whether acknowledged writes are counted.
    pub ledger: Ledgered,
    /// What else a reader should know, with its source.
    pub facts: Vec<Fact>,
    /// What might be thought to be touched, and is not.
    pub untouched: Vec<String>,
}

/// Whether acknowledged writes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ledgered {
    /// A ledger probe watches: its writes are read back at the end.
    Yes,
    /// None does.
    No,
}

/// What reports print of a fault, so that none needs code of its own in a renderer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// What it is.
    pub label: String,
    /// The value.
    pub value: String,
    /// Where it comes from: an API, a query, a file.
    pub source: String,
}

impl Fact {
    /// A fact from its three parts.
    pub fn new(label: impl Into<String>, value: impl Into<String>, source: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), source: source.into() }
    }
}

impl Plan {
    /// A step by its id.
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[usize::from(id.0)]
    }

    /// The ids of a stage, in order.
    pub fn stage(&self, stage: Stage) -> impl Iterator<Item = StepId> + '_ {
        self.ids().filter(move |id| self.step(*id).stage == stage)
    }

    /// All ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = StepId> + use<> {
        (0..u16::try_from(self.steps.len()).unwrap_or(u16::MAX)).map(StepId)
    }
}
