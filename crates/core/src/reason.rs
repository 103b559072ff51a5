//! The reasons behind a verdict: each judges one kind of evidence, weighs it, says it in one sentence, and says what to
//! do next.

use crate::baseline::{Baseline, Health};
use crate::exercised::{Exercise, Expectation, Expected};
use crate::figure::{duration, floor, interval};
use crate::ledger::{Loss, QUIET_LIMIT};
use crate::objective::{Held, ObjectiveKind, Standing};
use crate::recovery::{Disruption, Recovered, Recovery};
use crate::time::{Known, Nanos};
use crate::verdict::Residue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a reason weighs, from the lightest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth saying; changes no verdict.
    Note,
    /// Proven good.
    Good,
    /// Needed and not known.
    Unknown,
    /// Somebody stopped the drill.
    Stopped,
    /// Proven bad.
    Bad,
    /// The drill was not begun.
    Refused,
}

/// What a reason is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// A refusal by preflight or baseline.
    Refusal,
    /// A guard, a person or a signal.
    Stop,
    /// An objective and its measurement.
    Objective(ObjectiveKind),
    /// Whether the service came back.
    Recovery,
    /// It failed again after it had been stable.
    Relapse,
    /// Whether the fault landed and lasted.
    Landing,
    /// What was exercised.
    Exercise,
    /// Acknowledged writes.
    Loss,
    /// Two servers took writes at once.
    SplitBrain,
    /// A check after the recovery.
    Check,
    /// The probes themselves.
    Probes,
    /// A step that failed or whose outcome is unknown.
    Step,
    /// The runner was lost and replaced.
    Runner,
    /// What is left of the fault.
    Residue,
}

/// One reason of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// What it is about.
    pub kind: ReasonKind,
    /// How much it weighs.
    pub severity: Severity,
    /// One sentence for people, without the verdict's word.
    pub sentence: String,
    /// What to do next; empty when there is nothing to do.
    pub next_action: String,
}

/// Why preflight or baseline refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// One sentence: what was found and what was expected.
    pub sentence: String,
    /// What to do next.
    pub next_action: String,
}

/// Who stopped a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// A guard of the estate or the experiment, and what it saw.
    Guard(String),
    /// A person: a signal, `halt`, or an answer to a question.
    Person(String),
}

/// Whether the fault landed and lasted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Landing {
    /// The drill has no fault (a restore).
    NoFault,
    /// It was seen on the target and lasted as declared.
    Landed,
    /// It was never seen on the target.
    NotLanded(String),
    /// Somebody undid it before it had lasted as declared.
    NotSustained(String),
}

/// One check after the recovery: integrity, members, steady state, a query of the experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub outcome: CheckOutcome,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// As expected; what was found.
    Held(String),
    /// Otherwise; what was found.
    Broken(String),
    /// It could not be carried out, and why.
    Unknown(String),
}

/// A step (an effect or work) that did not go as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepTrouble {
    /// The step, for people.
    pub step: String,
    /// What happened.
    pub what: String,
    /// Whether that speaks against the service (a backup that cannot be restored) or leaves it unknown (an API that
    /// did not answer).
    pub against: Against,
}

/// What a failed step speaks against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    /// The service or its backups: proven bad.
    Service,
    /// The drill: something needed stays unknown.
    Drill,
}

fn reason(kind: ReasonKind, severity: Severity, sentence: impl Into<String>, next_action: &str) -> Reason {
    Reason { kind, severity, sentence: sentence.into(), next_action: next_action.to_owned() }
}

/// A refusal.
pub(crate) fn of_refusal(refusal: Refusal) -> Reason {
    let Refusal { sentence, next_action } = refusal;
    Reason { kind: ReasonKind::Refusal, severity: Severity::Refused, sentence, next_action }
}

/// The runner was lost and another went on.
pub(crate) fn of_takeover(how: String) -> Reason {
    reason(ReasonKind::Runner, Severity::Note, how, "Find out why the runner died.")
}

/// A drill that asked for nothing has proven nothing.
pub(crate) fn nothing_asked() -> Reason {
    reason(ReasonKind::Check, Severity::Unknown, "nothing was asked of the service", "Declare objectives or checks.")
}

/// See [`ReasonKind`].
pub(crate) fn of_stop(stop: Stop) -> Reason {
    let (sentence, next) = match stop {
        Stop::Guard(why) => {
            (format!("a guard stopped the drill: {why}"), "Look at what the guard saw before the next drill.")
        }
        Stop::Person(why) => (format!("stopped by a person: {why}"), "Run the drill again when it suits."),
    };
    reason(ReasonKind::Stop, Severity::Stopped, sentence, next)
}

/// See [`ReasonKind`].
pub(crate) fn of_residue(residue: Residue, left: String) -> Option<Reason> {
    match residue {
        Residue::Clean => None,
        Residue::Superseded => Some(reason(ReasonKind::Residue, Severity::Note, left, "")),
        Residue::Outstanding => Some(reason(
            ReasonKind::Residue,
            Severity::Bad,
            left,
            "Run `firedrill undo`; the target stays locked until then.",
        )),
    }
}

/// See [`ReasonKind`].
pub(crate) fn of_baseline(baseline: &Baseline) -> Option<Reason> {
    let name = format!("{} ({})", baseline.stream.probe, baseline.stream.view.word());
    let (sentence, next) = match baseline.health {
        Health::Healthy => return None,
        Health::Failing => (
            format!(
                "probe {name} failed {} of {} times before the fault",
                baseline.failed,
                baseline.ok + baseline.failed
            ),
            "Repair the probe or the service first.",
        ),
        Health::Unwatched => (format!("probe {name} asked too little before the fault"), "Give the runner more room."),
    };
    Some(reason(ReasonKind::Probes, Severity::Unknown, sentence, next))
}

/// See [`ReasonKind`].
pub(crate) fn of_landing(landing: Landing) -> Option<Reason> {
    let next = "Find out what kept the fault from taking hold: the drill has proven nothing.";
    match landing {
        Landing::NoFault | Landing::Landed => None,
        Landing::NotLanded(why) => {
            Some(reason(ReasonKind::Landing, Severity::Unknown, format!("the fault never landed: {why}"), next))
        }
        Landing::NotSustained(by) => {
            Some(reason(ReasonKind::Landing, Severity::Unknown, format!("the fault was not sustained: {by}"), next))
        }
    }
}

/// See [`ReasonKind`].
pub(crate) fn of_recovery(recovery: &Recovery) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let lower_ns = recovery.recovery_time.known().map_or(Nanos::ZERO, |i| i.lower_ns);
    match recovery.recovered {
        Recovered::Yes => {
            let sentence = match (recovery.disruption, recovery.recovery_time.known()) {
                (Disruption::None, _) => "no probe failed".to_owned(),
                (_, Some(time)) => format!("stable again after {}", interval(*time)),
                (_, None) => "stable again".to_owned(),
            };
            reasons.push(reason(ReasonKind::Recovery, Severity::Good, sentence, ""));
        }
        Recovered::No => reasons.push(reason(
            ReasonKind::Recovery,
            Severity::Bad,
            format!("not recovered by the deadline, at least {}", floor(lower_ns)),
            "Bring the service back; then look at the timeline for what held it.",
        )),
        Recovered::Unknown => reasons.push(reason(
            ReasonKind::Recovery,
            Severity::Unknown,
            format!("not seen stable for {} before observing ended", duration(recovery.stable_for_ns)),
            "Run it again with a later deadline, or look at why observing ended.",
        )),
    }
    for stream in &recovery.relapsed {
        let sentence = format!("{} ({}) failed again after it had been stable", stream.probe, stream.view.word());
        reasons.push(reason(ReasonKind::Relapse, Severity::Note, sentence, ""));
    }
    for stream in &recovery.failing_at_injection {
        let sentence = format!("{} ({}) was failing already at the injection", stream.probe, stream.view.word());
        reasons.push(reason(ReasonKind::Probes, Severity::Unknown, sentence, "Run it again from a steady state."));
    }
    reasons
}

/// See [`ReasonKind`].
pub(crate) fn of_exercise(expected: Expected, exercise: &Exercise) -> Reason {
    match exercise.meets(expected) {
        Expectation::Met => reason(ReasonKind::Exercise, Severity::Good, exercise.because.join("; "), ""),
        Expectation::Weaker(why) => reason(
            ReasonKind::Exercise,
            Severity::Unknown,
            format!("not exercised: {why}"),
            "Choose a fault that the system cannot answer with less.",
        ),
        Expectation::Unknown(why) => reason(
            ReasonKind::Exercise,
            Severity::Unknown,
            format!("what was exercised is not known: {why}"),
            "Give firedrill the rights to see the members, then run it again.",
        ),
    }
}

/// See [`ReasonKind`].
pub(crate) fn of_loss(loss: &Known<Loss>) -> Vec<Reason> {
    let loss = match loss {
        Known::Known(loss) => loss,
        Known::Unknown(why) => {
            let sentence = format!("the loss is not known: {why}");
            return vec![reason(ReasonKind::Loss, Severity::Unknown, sentence, "Read the ledger's table by hand.")];
        }
    };
    let mut reasons = Vec::new();
    if loss.quiet_ns.is_none_or(|quiet| quiet > QUIET_LIMIT) {
        let quiet = loss.quiet_ns.map_or("not once".to_owned(), |ns| format!("for {}", duration(ns)));
        reasons.push(reason(
            ReasonKind::Loss,
            Severity::Unknown,
            format!("the ledger had acknowledged nothing ({quiet}) when the disruption came"),
            "Let the ledger write until the fault lands.",
        ));
    }
    if loss.split_brain_count() > 0 {
        reasons.push(reason(
            ReasonKind::SplitBrain,
            Severity::Bad,
            format!(
                "{} writes acknowledged after the fault had landed are lost: two servers took writes",
                loss.split_brain_count()
            ),
            "Keep both servers as they are and compare their data before anything else.",
        ));
    }
    if loss.doubtful_count() > 0 {
        reasons.push(reason(
            ReasonKind::Loss,
            Severity::Unknown,
            format!("two readings disagree about {} acknowledged writes", loss.doubtful_count()),
            "Find out which server each reading came from.",
        ));
    }
    if loss.lost_count() > 0 {
        let sentence = format!("{} of {} acknowledged writes are lost", loss.lost_count(), loss.acknowledged);
        reasons.push(reason(ReasonKind::Loss, Severity::Note, sentence, ""));
    }
    if loss.unexpected > 0 {
        let sentence = format!("{} writes were found that no sample tells of", loss.unexpected);
        reasons.push(reason(ReasonKind::Loss, Severity::Note, sentence, ""));
    }
    reasons
}

/// See [`ReasonKind`].
pub(crate) fn of_objective(held: &Held) -> Reason {
    let what = held.objective.kind.words();
    let limit = duration(held.objective.limit_ns);
    let measured = held.measured.known().map_or_else(String::new, |i| interval(*i));
    let (severity, sentence, next) = match &held.standing {
        Standing::Met => (Severity::Good, format!("{what} {measured}, objective {limit}"), ""),
        Standing::Missed => (
            Severity::Bad,
            format!("{what} {measured}, objective {limit}"),
            "Shorten what the timeline shows as longest, then drill again.",
        ),
        Standing::Straddles => (
            Severity::Unknown,
            format!("{what} {measured}: the objective of {limit} lies within what is not known"),
            "Use a finer probe, or look for what kept it from asking.",
        ),
        Standing::Unmeasured(why) => (
            Severity::Unknown,
            format!("{what} was not measured: {why}"),
            match held.objective.kind {
                ObjectiveKind::RestoreDuration | ObjectiveKind::BackupAge | ObjectiveKind::BackupRecoveryPoint => {
                    "It is measured when a restore comes to its end."
                }
                _ => "Give the experiment a probe that measures it.",
            },
        ),
    };
    reason(ReasonKind::Objective(held.objective.kind), severity, sentence, next)
}

/// See [`ReasonKind`].
pub(crate) fn of_check(check: Check) -> Reason {
    let Check { name, expected, outcome } = check;
    let (severity, sentence, next) = match outcome {
        CheckOutcome::Held(found) => (Severity::Good, format!("{name}: {found}"), ""),
        CheckOutcome::Broken(found) => (
            Severity::Bad,
            format!("{name}: found {found}, expected {expected}"),
            "Look at the check's evidence in the report.",
        ),
        CheckOutcome::Unknown(why) => {
            (Severity::Unknown, format!("{name} could not be checked: {why}"), "Repair the check.")
        }
    };
    reason(ReasonKind::Check, severity, sentence, next)
}

/// See [`ReasonKind`].
pub(crate) fn of_trouble(trouble: StepTrouble) -> Reason {
    let StepTrouble { step, what, against } = trouble;
    let (severity, next) = match against {
        Against::Service => {
            (Severity::Bad, "Do not count on it until the same drill passes. Find out what made it so.")
        }
        Against::Drill => (Severity::Unknown, "Look at the step in the report's timeline, and run the drill again."),
    };
    reason(ReasonKind::Step, severity, format!("{step}: {what}"), next)
}
