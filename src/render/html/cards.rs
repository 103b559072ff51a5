//! The cards of the first screen: recovery time, loss, what was exercised, residue; or what refused the drill.

use super::table::Tone;
use super::{bar, fig, status, unknown, words};
use crate::render::figure;
use crate::render::text::{capitalised, clean, counted};
use firedrill_core::report::{
    Attainment, Backup, CheckStatus, ClockRule, DetectAndDecide, Exercise, Loss, Objective, ObjectiveKind, Recovery,
    Report, ResidueState, UndoOutcome, Verdict,
};
use firedrill_core::time::{Interval, Known};
use maud::{Markup, html};

/// A figure longer than this is set smaller.
const SHORT_CHARS: usize = 9;

pub(super) fn draw(report: &Report) -> Markup {
    if report.judgement.verdict == Verdict::Refused {
        return html! { div class="cards two" { (refusal(report)) (residue(report)) } };
    }
    html! { div class="cards" { (time(report)) (loss(report)) (exercised(report)) (residue(report)) } }
}

/// A card. It stands out when it is what went wrong, or what is open.
fn card(tone: Tone, title: &str, body: &Markup) -> Markup {
    let class = match tone {
        Tone::Plain => "card",
        Tone::Bad => "card culprit",
        Tone::Open => "card doubt",
    };
    html! { div class=(class) { h2 { (title) } (body) } }
}

/// The figure of a card, with what stands beside it in small.
fn big(class: Option<&str>, text: &str, beside: Option<&str>) -> Markup {
    let size = if text.chars().count() > SHORT_CHARS { "big long" } else { "big" };
    html! {
        p class=(size) { span class=[class] { (words(&figure::unbroken(text))) } @if let Some(beside) = beside { " " small { (beside) } } }
    }
}

fn note(text: &str) -> Markup {
    html! { p class="note" { (words(text)) } }
}

fn attained(objective: Option<&Objective>) -> (Tone, Option<&'static str>) {
    match objective.map(|o| o.attainment) {
        Some(Attainment::Met) => (Tone::Plain, Some("good")),
        Some(Attainment::Missed) => (Tone::Bad, Some("bad")),
        Some(Attainment::Undecided) => (Tone::Open, Some("opened")),
        Some(Attainment::NotReached) | None => (Tone::Plain, None),
    }
}

fn of_limit(objective: Option<&Objective>) -> Option<String> {
    objective.map(|o| format!("of {}", figure::duration(o.limit_ns)))
}

/// The measured time against its objective.
fn time(report: &Report) -> Markup {
    let recovery = match &report.recovery {
        Known::Known(recovery) => recovery,
        Known::Unknown(why) => {
            return card(Tone::Plain, "Recovery time (RTO)", &html! { (big(None, "Not measured", None)) (note(why)) });
        }
    };
    if recovery.rule == ClockRule::RestoreOnly {
        let took = recovery.restore_duration.as_ref().unwrap_or(&recovery.rto);
        return measured(report.objective(&ObjectiveKind::RestoreDuration), took, "Restore duration", &html! {});
    }
    let views = report.streams.iter().filter(|s| s.info.excluded.is_none()).count();
    let title = match views {
        0 | 1 => "Recovery time (RTO)".to_owned(),
        n => format!("Recovery time (RTO), worst of {n} views"),
    };
    measured(report.objective(&ObjectiveKind::Rto), &recovery.rto, &title, &times(recovery))
}

fn measured(objective: Option<&Objective>, length: &Known<Interval>, title: &str, more: &Markup) -> Markup {
    let (tone, class) = attained(objective);
    let body = html! {
        @match length {
            Known::Known(length) => (big(class, &capitalised(&figure::interval(*length)), of_limit(objective).as_deref())),
            Known::Unknown(why) => { (big(None, "Not known", None)) (note(why)) },
        }
        @if let Some(objective) = objective { (bar::draw(objective).unwrap_or_default()) }
        (more)
    };
    card(tone, title, &body)
}

/// The other times that belong beside it, always.
fn times(recovery: &Recovery) -> Markup {
    let pairs = [
        ("since the injection", &recovery.since_injection),
        ("users without service", &recovery.user_outage),
        ("downtime in total", &recovery.total_downtime),
        ("redundancy back after", &recovery.redundancy),
    ];
    let declared = match recovery.detect_and_decide {
        DetectAndDecide::Exercised => None,
        DetectAndDecide::Declared(length) => Some(format!(
            "Detection and decision were not exercised; {} declared for them is included.",
            figure::duration(length)
        )),
        DetectAndDecide::NotExercised => {
            Some("Detection and decision were not exercised, and nothing is declared for them.".to_owned())
        }
    };
    html! {
        dl class="pairs" {
            @for (name, value) in pairs {
                dt { (name) }
                dd { @match value {
                    Known::Known(length) => (fig(&figure::interval(*length))),
                    Known::Unknown(why) => (unknown(why)),
                } }
            }
        }
        @if let Some(declared) = declared { p class="note gap" { (declared) } }
    }
}

fn loss(report: &Report) -> Markup {
    if let Some(backup) = &report.backup {
        return backup_age(report, backup);
    }
    let objective = report.objective(&ObjectiveKind::Rpo);
    let (tone, _) = attained(objective);
    let body = match &report.loss {
        Known::Unknown(why) => html! { (big(None, "Not known", None)) (note(why)) },
        Known::Known(loss) if loss.ledgers.is_empty() => {
            html! { (big(None, "Not measured", None)) (note("no ledger wrote in this drill")) }
        }
        Known::Known(loss) => lost(loss, objective),
    };
    card(tone, "Data loss (RPO)", &body)
}

fn lost(loss: &Loss, objective: Option<&Objective>) -> Markup {
    let class = if loss.lost() == 0 { "good" } else { "bad" };
    let beside = format!("of {}", figure::count(loss.acknowledged()));
    let mut said = "acknowledged writes lost".to_owned();
    if let (1.., Known::Known(time)) = (loss.lost(), &loss.time) {
        said = format!("{said}, the oldest {} before users were affected", figure::interval(*time));
    }
    html! {
        (big(Some(class), &figure::count(loss.lost()), Some(&beside)))
        p class="note" { (said) "; " (unknown_outcomes(loss)) "." }
        @if let Some(objective) = objective { p class="note" { "Objective " (figure::duration(objective.limit_ns)) "." } }
    }
}

fn unknown_outcomes(loss: &Loss) -> String {
    let unknown: u64 = loss.ledgers.iter().map(|l| l.unknown).sum();
    let found: u64 = loss.ledgers.iter().map(|l| l.unknown_found).sum();
    match unknown {
        0 => "none of unknown outcome".to_owned(),
        _ => format!("{} of unknown outcome, of which {} found", figure::count(unknown), counted(found, "was", "were")),
    }
}

/// A restore loses what was written after its backup was started.
fn backup_age(report: &Report, backup: &Backup) -> Markup {
    let objective = report.objective(&ObjectiveKind::BackupAge).or_else(|| report.objective(&ObjectiveKind::Rpo));
    let (tone, class) = match (&backup.defect, attained(objective)) {
        (Some(_), _) => (Tone::Bad, None),
        (None, attained) => attained,
    };
    let body = html! {
        (big(class, &capitalised(&figure::known_interval(&backup.age)), of_limit(objective).as_deref()))
        @if let Some(defect) = &backup.defect { p class="note" { b class="bad" { (words(defect)) } } }
        p class="note" { "worst case over 30 days: " @match &backup.worst_case {
            Known::Known(length) => (figure::duration(*length)),
            Known::Unknown(why) => (unknown(why)),
        } }
    };
    card(tone, "Age of the backup (RPO)", &body)
}

fn exercised(report: &Report) -> Markup {
    let exercised = &report.exercised;
    let expected = clean(&exercised.expected);
    let (tone, class, said) = match exercised.status {
        Exercise::AsExpected => (Tone::Plain, "good", "as expected".to_owned()),
        Exercise::NotExercised => (Tone::Open, "opened", format!("expected {expected}: not exercised")),
        Exercise::NotSustained => (Tone::Open, "opened", "not sustained".to_owned()),
        Exercise::Undecided => (Tone::Open, "opened", format!("expected {expected}: cannot be told")),
        Exercise::NotReached => (Tone::Plain, "opened", "not reached".to_owned()),
    };
    let found = exercised.found.known().map_or("not known", String::as_str);
    let body = html! {
        (big(None, &capitalised(found), None))
        p class="note" {
            b class=(class) { (said) }
            @if !exercised.detail.is_empty() { ": " (words(&exercised.detail)) }
        }
    };
    card(tone, "What was exercised", &body)
}

fn residue(report: &Report) -> Markup {
    let residue = &report.residue;
    let (tone, class, state) = match residue.state {
        ResidueState::Clean if residue.effects.is_empty() => (Tone::Plain, "good", "Nothing touched"),
        ResidueState::Clean => (Tone::Plain, "good", "None"),
        ResidueState::Superseded => (Tone::Open, "opened", "Superseded"),
        ResidueState::Outstanding => (Tone::Bad, "bad", "Outstanding"),
    };
    let settled = residue.effects.iter().filter(|e| !matches!(e.outcome, UndoOutcome::Outstanding { .. })).count();
    let body = html! {
        (big(Some(class), state, None))
        p class="note" {
            @match &residue.looked_at_ns {
                Known::Known(at) => { "looked at " (figure::utc_time(&report.clock, *at)) " UTC" },
                Known::Unknown(why) => { "not looked at: " (words(why)) },
            }
            @if !residue.effects.is_empty() {
                "; " (settled) " of " (counted(residue.effects.len() as u64, "effect", "effects")) " settled"
            }
            "."
        }
    };
    card(tone, "Residue", &body)
}

/// What refused the drill, with what to do about it. What is no check is told by its reason.
fn refusal(report: &Report) -> Markup {
    let refusing: Vec<_> =
        report.preflight.iter().filter(|c| matches!(c.status, CheckStatus::Failed | CheckStatus::Unknown)).collect();
    let body = html! {
        @if refusing.is_empty() { @for reason in &report.judgement.reasons { p class="gap" { (words(&reason.text)) } } }
        @for check in refusing {
            p class="gap" { (status(check.status)) " " b { (words(&check.name)) } }
            dl class="pairs tight" {
                dt { "found" } dd { @match &check.found {
                    Known::Known(found) => (words(found)),
                    Known::Unknown(why) => (unknown(why)),
                } }
                dt { "expected" } dd { (words(&check.expected)) }
                @if let Some(remedy) = &check.remedy { dt { "what to do" } dd { (words(remedy)) } }
            }
        }
    };
    card(Tone::Plain, "What refused it", &body)
}
