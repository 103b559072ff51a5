//! The block that closes a run on a terminal: verdict, what was measured, where the report lies.

use super::figure;
use super::text::{clean, counted};
use firedrill_core::report::{
    Attainment, CheckStatus, ClockRule, ObjectiveKind, Report, ResidueState, UndoOutcome, Verdict,
};
use firedrill_core::time::{Known, Nanos};
use std::fmt::Write as _;

/// Whether to colour. Who calls knows the terminal and `NO_COLOR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text only.
    Plain,
    /// ANSI colours.
    Colour,
}

/// What the report does not know, and the closing block may say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'b> {
    /// What the outage really was, where an independent observer knows (the demo).
    pub truth: Option<Nanos>,
    /// Where the report was filed.
    pub filed: Option<&'b str>,
    /// How wide the terminal is; lines are folded to it. At least 40 is assumed.
    pub width: Option<usize>,
}

/// The block, with a newline at its end.
pub fn closing(report: &Report, paint: Paint, beside: Beside<'_>) -> String {
    let verdict = report.judgement.verdict;
    let word = verdict.word();
    let indent = word.len() + 3;
    let width = beside.width.unwrap_or(100).max(40);
    let mut lines: Vec<String> = vec![];
    if verdict == Verdict::Refused {
        lines.extend(refusal(report));
    } else {
        lines.push(clean(&report.experiment.title));
        lines.push(figures(report, beside.truth));
        if verdict != Verdict::Pass {
            lines.push(clean(&report.judgement.cause));
            lines.push(format!("next: {}", clean(&report.judgement.next_action)));
        }
    }
    lines.extend(outstanding(report));
    let mut folded = lines.into_iter().flat_map(|line| fold(&line, width.saturating_sub(indent).max(24)));
    let mut out = format!(" {}  {}\n", painted(word, verdict, paint), folded.next().unwrap_or_default());
    // A path is never folded: it is there to be copied.
    for line in folded.chain(beside.filed.map(clean)) {
        let _ = writeln!(out, "{}{line}", " ".repeat(indent));
    }
    out
}

fn painted(word: &str, verdict: Verdict, paint: Paint) -> String {
    let colour = match verdict {
        Verdict::Pass => "32",
        Verdict::Fail => "31",
        Verdict::Inconclusive => "33",
        Verdict::Aborted => "35",
        Verdict::Refused => "34",
    };
    match paint {
        Paint::Plain => word.to_owned(),
        Paint::Colour => format!("\u{1b}[1;{colour}m{word}\u{1b}[0m"),
    }
}

/// What refused it, then what to do.
fn refusal(report: &Report) -> Vec<String> {
    let mut lines = vec![clean(&report.judgement.cause)];
    let what_to_do = report.judgement.reasons.iter().filter_map(|reason| {
        let remedy = reason.remedy.as_deref()?;
        Some(match &reason.source {
            Some(source) => clean(&format!("{remedy} in {source}")),
            None => clean(remedy),
        })
    });
    lines.extend(what_to_do);
    if lines.len() == 1 {
        lines.push(clean(&report.judgement.next_action));
    }
    lines
}

fn figures(report: &Report, truth: Option<Nanos>) -> String {
    let mut parts = vec![time(report, truth)];
    parts.extend(lost(report));
    if let Some(failed) =
        Some(report.verification.iter().filter(|c| c.status == CheckStatus::Failed).count()).filter(|n| *n > 0)
    {
        parts.push(format!("{} failed", counted(failed as u64, "check", "checks")));
    }
    parts.push(match report.residue.state {
        ResidueState::Clean => "residue none".to_owned(),
        state => format!("residue {}", state.word()),
    });
    parts.join(" · ")
}

fn time(report: &Report, truth: Option<Nanos>) -> String {
    let found = clean(report.exercised.found.known().map_or("what happened is not known", String::as_str));
    let Some(recovery) = report.recovery.known() else {
        return format!("{found}, recovery not measured");
    };
    let (kind, measured) = if recovery.rule == ClockRule::RestoreOnly {
        (ObjectiveKind::RestoreDuration, recovery.restore_duration.as_ref())
    } else {
        (ObjectiveKind::Rto, Some(&recovery.rto))
    };
    let Some(Known::Known(length)) = measured else {
        return format!("{found}, time not known");
    };
    let mut beside = Vec::new();
    if let Some(objective) = report.objective(&kind) {
        let missed = if objective.attainment == Attainment::Missed { ", missed" } else { "" };
        beside.push(format!("objective {}{missed}", figure::duration(objective.limit_ns)));
    }
    beside.extend(truth.map(|truth| format!("truth {}", figure::duration(truth))));
    let joined = if beside.is_empty() { String::new() } else { format!(" ({})", beside.join("; ")) };
    let after = if recovery.rule == ClockRule::RestoreOnly { "in" } else { "after" };
    format!("{found} {after} {}{joined}", figure::interval(*length))
}

fn lost(report: &Report) -> Option<String> {
    match &report.loss {
        Known::Known(loss) if loss.ledgers.is_empty() => None,
        Known::Known(loss) => {
            Some(format!("{} of {} writes lost", figure::count(loss.lost()), figure::count(loss.acknowledged())))
        }
        Known::Unknown(_) if report.backup.is_some() => {
            let age = &report.backup.as_ref()?.age;
            Some(format!("backup {} old", figure::known_interval(age)))
        }
        Known::Unknown(_) => Some("loss not known".to_owned()),
    }
}

fn outstanding(report: &Report) -> Vec<String> {
    let effects = report.residue.effects.iter();
    effects
        .filter_map(|effect| match &effect.outcome {
            UndoOutcome::Outstanding { why, by_hand } => {
                Some(clean(&format!("still there: {} ({why}). By hand: {by_hand}", effect.object)))
            }
            _ => None,
        })
        .collect()
}

/// Folds at spaces; a word longer than a line stays whole.
fn fold(line: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.last_mut().expect("there is always a line");
        let room = last.chars().count() + 1 + word.chars().count() <= width;
        if last.is_empty() {
            last.push_str(word);
        } else if room {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
