//! The verdict, what led to it, and what is to be done next.

use super::moment::Moment;
use crate::time::{Interval, Known, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The judgement of the service. Residue is judged apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Everything that was asked is proven good.
    Pass,
    /// Something is proven bad.
    Fail,
    /// Something needed is not known.
    Inconclusive,
    /// A guard or a person stopped it.
    Aborted,
    /// It was never begun.
    Refused,
}

impl Verdict {
    /// Every verdict, in the order in which they are explained.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Fail, Self::Inconclusive, Self::Aborted, Self::Refused];

    /// The word in reports and on the terminal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Aborted => "ABORTED",
            Self::Refused => "REFUSED",
        }
    }
}

/// How a reason bears on the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bearing {
    /// It is proven bad.
    Fails,
    /// It stopped the drill.
    Aborts,
    /// It is needed and not known.
    LeavesOpen,
    /// It forbade the drill to start.
    Refuses,
}

/// One reason for a verdict that is not a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// How it bears on the verdict.
    pub bearing: Bearing,
    /// What was found, against what was expected; one sentence.
    pub text: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Where the rule is written (`experiments/estates/production.yaml:14:9`).
    pub source: Option<String>,
}

/// What the drill came to. The reader sees this first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// One or two sentences: what happened and why that is the verdict.
    pub cause: String,
    /// What somebody has to do next; "Nothing is owed" when there is nothing.
    pub next_action: String,
    /// Every reason, the weightiest first. Empty for a pass.
    pub reasons: Vec<Reason>,
    /// The exit code of the run: 0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 ABORTED, 5 REFUSED, 6 residue outstanding.
    pub exit_code: u8,
}

/// What an objective limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveKind {
    /// Recovery time.
    Rto,
    /// Loss, as time.
    Rpo,
    /// How long a restore takes that nobody waited for.
    RestoreDuration,
    /// The age of the newest usable backup (a backup's RPO).
    BackupAge,
    /// Until all members are back.
    Redundancy,
    /// Until somebody was alerted.
    Alert,
    /// Any other time, by its name in the experiment.
    Other(String),
}

impl ObjectiveKind {
    /// What people call it.
    pub fn label(&self) -> &str {
        match self {
            Self::Rto => "recovery time (RTO)",
            Self::Rpo => "data loss (RPO)",
            Self::RestoreDuration => "restore duration",
            Self::BackupAge => "backup age",
            Self::Redundancy => "redundancy",
            Self::Alert => "alert",
            Self::Other(name) => name,
        }
    }
}

/// How a measured interval stands to its objective: PASS needs the upper bound within, FAIL the lower bound beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Attainment {
    /// The upper bound is within the objective.
    Met,
    /// The lower bound is beyond it, or the loss is of a kind that no objective allows.
    Missed,
    /// The objective lies between the bounds, or the measure is not known.
    Undecided,
    /// The drill never came to the point of measuring it.
    NotReached,
}

/// One objective and what was measured against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Objective {
    /// What it limits.
    pub kind: ObjectiveKind,
    /// At most this.
    pub limit_ns: Nanos,
    /// Where it comes from (`BIA-2026-04`).
    pub source: Option<String>,
    /// What was measured.
    pub measured: Known<Interval>,
    /// How the two stand to each other.
    pub attainment: Attainment,
}

/// Who or what stopped a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Abort {
    /// When it was asked for.
    pub at_ns: Moment,
    /// The guard (`abort-when: storefront down for 2m`) or the person or signal.
    pub by: String,
    /// Why, as far as it was said.
    pub why: String,
}

/// Something that did not go as the plan or the rules say, and what it means for the figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deviation {
    /// What it was.
    pub text: String,
    /// What it means for what the report says.
    pub meaning: String,
}
