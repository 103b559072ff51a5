//! The timeline: what happened when, in words, with its evidence; and the phases a reader thinks in.

use super::moment::{Bracket, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of event it is: renderers draw some of them as marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The drill was opened, checked, planned, approved.
    Preparation,
    /// Probes were healthy for the set time.
    BaselineHeld,
    /// The fault was injected: between request and reply.
    Injected,
    /// The fault was seen on the target.
    Landed,
    /// The first failure a user could see.
    Disruption,
    /// Somebody was alerted.
    Alerted,
    /// Another member took over.
    Promoted,
    /// The recovery was begun, by firedrill or by people.
    RecoveryBegan,
    /// The first good answer of the stable run.
    FirstAck,
    /// K seconds without a failure.
    Stable,
    /// All members back.
    Redundant,
    /// A wave of a recovery, or a phase of a restore.
    Step,
    /// Another runner took over.
    TookOver,
    /// A guard tripped, or somebody stopped the drill.
    Stopped,
    /// The deadline passed without a recovery.
    DeadlinePassed,
    /// What was done was being undone, or was.
    Undo,
    /// Verified.
    Verified,
    /// The drill was closed.
    Closed,
    /// Anything else worth reading.
    Note,
}

impl EventKind {
    /// Whether the timeline draws a mark for it.
    pub fn is_mark(self) -> bool {
        !matches!(
            self,
            Self::Preparation | Self::BaselineHeld | Self::Note | Self::Verified | Self::Closed | Self::Undo
        )
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventLine {
    /// When, within bounds.
    pub at: Bracket,
    /// What kind.
    pub kind: EventKind,
    /// What happened, in one to three words for the drawing (`promoted`).
    pub word: String,
    /// What happened, for the table (`postgresql-1 promoted, timeline 2`).
    pub text: String,
    /// What it is known from.
    pub evidence: String,
}

/// The kind of a phase, which gives it its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseKind {
    /// Before the injection.
    Baseline,
    /// From the injection until users are served again, or the fault is held.
    Disrupted,
    /// firedrill is recovering.
    Recovering,
    /// People are at work.
    People,
    /// Served again, not yet stable.
    Settling,
    /// Stable; verifying and undoing.
    Verifying,
}

/// A phase of the drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// Its kind.
    pub kind: PhaseKind,
    /// Its name on the drawing.
    pub label: String,
    /// From when to when.
    pub span: Span,
}
