//! The verdict: one word about the service, the reasons behind it, and the exit code.
//!
//! FAIL if anything is proven bad; else ABORTED if a guard or a person stopped the drill; else INCONCLUSIVE if anything
//! needed is unknown; else PASS. A drill that was refused did nothing and is REFUSED. Residue is judged apart: a
//! service can pass a drill whose traces still lie about.

use crate::baseline::Baseline;
use crate::exercised::{Exercise, Expected};
use crate::ledger::Loss;
use crate::objective::Held;
use crate::reason::{
    Against, Check, Landing, Reason, ReasonKind, Refusal, Severity, StepTrouble, Stop, nothing_asked, of_baseline,
    of_check, of_exercise, of_landing, of_loss, of_objective, of_recovery, of_refusal, of_residue, of_stop,
    of_takeover, of_trouble,
};
use crate::recovery::Recovery;
use crate::time::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Word {
    /// All that was asked is proven good.
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

impl Word {
    /// As it is printed.
    pub fn text(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Aborted => "ABORTED",
            Self::Refused => "REFUSED",
        }
    }
}

/// What is left of the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Residue {
    /// Nothing.
    Clean,
    /// A person or a controller changed something meanwhile, and it was left as they want it.
    Superseded,
    /// Something is still there, or nobody could look: an alarm, and the target stays locked.
    Outstanding,
}

/// All that a verdict is made of. [`Verdict::of`] takes it apart field by field, so that a new field cannot be
/// forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// Why it was refused; empty when it was begun.
    pub refusals: Vec<Refusal>,
    /// Who stopped it, if anybody did.
    pub stop: Option<Stop>,
    /// How the runner was lost and replaced, if it was: the ordinary rules go on, and what nobody watched is unknown.
    pub takeover: Option<String>,
    /// The baselines of all streams.
    pub baselines: Vec<Baseline>,
    /// Whether the fault landed.
    pub landing: Landing,
    /// The recovery; `None` when nothing was probed.
    pub recovery: Option<Recovery>,
    /// What was expected to be exercised, and what was; `None` when the experiment expects nothing.
    pub exercise: Option<(Expected, Exercise)>,
    /// The loss by the ledger; `None` when the drill has no ledger.
    pub loss: Option<Known<Loss>>,
    /// All objectives with their measurements.
    pub objectives: Vec<Held>,
    /// The checks after the recovery.
    pub checks: Vec<Check>,
    /// Steps that did not go as planned.
    pub troubles: Vec<StepTrouble>,
    /// What is left of the fault, in one sentence where it is not clean.
    pub residue: (Residue, String),
}

/// The verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The word.
    pub word: Word,
    /// What is left of the fault.
    pub residue: Residue,
    /// Every reason, the heaviest first. Never empty.
    pub reasons: Vec<Reason>,
}

impl Verdict {
    /// Judges.
    pub fn of(judged: Judged) -> Self {
        let Judged {
            refusals,
            stop,
            takeover,
            baselines,
            landing,
            recovery,
            exercise,
            loss,
            objectives,
            checks,
            troubles,
            residue: (residue, left),
        } = judged;
        let mut reasons: Vec<Reason> = Vec::new();
        let refused = !refusals.is_empty();
        reasons.extend(refusals.into_iter().map(of_refusal));
        reasons.extend(stop.map(of_stop));
        reasons.extend(of_residue(residue, left));
        reasons.extend(takeover.map(of_takeover));
        if !refused {
            // What was never begun proves nothing about the service.
            let (of_drill, of_service): (Vec<StepTrouble>, Vec<StepTrouble>) =
                troubles.into_iter().partition(|t| t.against == Against::Drill);
            // First what explains that other things are not known: a fault that did not come about.
            reasons.extend(of_drill.into_iter().map(of_trouble));
            reasons.extend(of_landing(landing));
            reasons.extend(loss.iter().flat_map(of_loss));
            reasons.extend(objectives.iter().map(of_objective));
            reasons.extend(recovery.iter().flat_map(of_recovery));
            reasons.extend(checks.into_iter().map(of_check));
            reasons.extend(of_service.into_iter().map(of_trouble));
            reasons.extend(exercise.map(|(expected, exercise)| of_exercise(expected, &exercise)));
            reasons.extend(baselines.iter().filter_map(of_baseline));
        }
        if reasons.iter().all(|r| r.severity == Severity::Note || r.kind == ReasonKind::Residue) {
            reasons.push(nothing_asked());
        }
        reasons.sort_by_key(|r| std::cmp::Reverse(r.severity));
        let word = match reasons.iter().filter(|r| r.kind != ReasonKind::Residue).map(|r| r.severity).max() {
            Some(Severity::Refused) => Word::Refused,
            Some(Severity::Bad) => Word::Fail,
            Some(Severity::Stopped) => Word::Aborted,
            Some(Severity::Good) => Word::Pass,
            Some(Severity::Unknown | Severity::Note) | None => Word::Inconclusive,
        };
        Self { word, residue, reasons }
    }

    /// The one sentence of cause: the heaviest reason of the verdict's word (residue has a sentence of its own).
    pub fn cause(&self) -> &str {
        self.reasons.iter().find(|r| r.kind != ReasonKind::Residue).map_or("", |r| &r.sentence)
    }

    /// What to do next: of the heaviest reason that says so.
    pub fn next_action(&self) -> &str {
        self.reasons.iter().map(|r| r.next_action.as_str()).find(|action| !action.is_empty()).unwrap_or("")
    }

    /// The exit code of a command that ran this drill. Outstanding residue is over all others.
    pub fn exit_code(&self) -> ExitCode {
        match (self.residue, self.word) {
            (Residue::Outstanding, _) => ExitCode::ResidueOutstanding,
            (_, Word::Pass) => ExitCode::Pass,
            (_, Word::Fail) => ExitCode::Fail,
            (_, Word::Inconclusive) => ExitCode::Inconclusive,
            (_, Word::Aborted) => ExitCode::Aborted,
            (_, Word::Refused) => ExitCode::Refused,
        }
    }
}

/// What the process exits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExitCode {
    /// PASS.
    Pass = 0,
    /// FAIL.
    Fail = 1,
    /// Wrong usage or an invalid file.
    Usage = 2,
    /// INCONCLUSIVE.
    Inconclusive = 3,
    /// ABORTED.
    Aborted = 4,
    /// REFUSED.
    Refused = 5,
    /// Residue is outstanding, whatever the verdict.
    ResidueOutstanding = 6,
    /// A bug in firedrill.
    Bug = 70,
}

impl ExitCode {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The code of several drills together: the one that needs a person most. Residue, then a bug, FAIL, ABORTED,
    /// INCONCLUSIVE, REFUSED, wrong usage, PASS.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let rank = |code: Self| match code {
            Self::ResidueOutstanding => 7,
            Self::Bug => 6,
            Self::Fail => 5,
            Self::Aborted => 4,
            Self::Inconclusive => 3,
            Self::Refused => 2,
            Self::Usage => 1,
            Self::Pass => 0,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}
