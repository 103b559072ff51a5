//! The first screen: verdict, why, what to do; the figures against their objectives; residue.

use super::{bar, status, unknown, words};
use crate::render::text::{capitalised, clean, counted};
use crate::render::{figure, text};
use firedrill_core::report::{
    Attainment, CheckStatus, ClockRule, DetectAndDecide, Exercise, ObjectiveKind, Recovery, Report, ResidueState,
    Trigger, UndoOutcome, Verdict,
};
use firedrill_core::time::Known;
use maud::{Markup, html};

pub(super) fn draw(report: &Report) -> Markup {
    let judgement = &report.judgement;
    html! {
        header {
            p class="word" { (icon(judgement.verdict)) span { (judgement.verdict.word()) } }
            h1 { (words(&report.experiment.title)) }
            p class="cause" { (words(&judgement.cause)) }
            (reasons(report))
            p class="next" { strong { "Next: " } (words(&judgement.next_action)) }
        }
        (alarm(report))
        (meta(report))
        @if judgement.verdict == Verdict::Refused {
            div class="cards two" { (refusal(report)) (residue(report)) }
        } @else {
            div class="cards" { (headline(report)) (loss(report)) (exercised(report)) (residue(report)) }
        }
    }
}

/// A shape for each verdict, so that colour is not the only sign.
fn icon(verdict: Verdict) -> Markup {
    let path = match verdict {
        Verdict::Pass => "M6.5 12.5l4 4 7.5-8.5",
        Verdict::Fail => "M7.5 7.5l9 9m0-9l-9 9",
        Verdict::Inconclusive => "M9 9.5a3 3 0 1 1 4.3 2.7c-.9.5-1.3 1-1.3 2m0 3v.1",
        Verdict::Aborted => "M8.5 8.5h7v7h-7z",
        Verdict::Refused => "M7 12h10",
    };
    html! {
        svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" aria-hidden="true" {
            circle cx="12" cy="12" r="10.5" {}
            path d=(path) {}
        }
    }
}

/// The reasons, unless there is but one and the cause says it already.
fn reasons(report: &Report) -> Markup {
    let reasons = &report.judgement.reasons;
    let cause = &report.judgement.cause;
    let worth = reasons.len() > 1 || reasons.iter().any(|r| r.remedy.is_some() || r.source.is_some());
    html! {
        @if worth {
            ul class="reasons" {
                @for reason in reasons {
                    li {
                        @if !(reasons.len() == 1 && cause.contains(&reason.text)) { (words(&reason.text)) " " }
                        @if let Some(remedy) = &reason.remedy { span class="note" { (words(remedy)) } }
                        @if let Some(source) = &reason.source { span class="note" { "Rule: " (super::code(source)) } }
                    }
                }
            }
        }
    }
}

/// Residue that is still there is said before everything else.
fn alarm(report: &Report) -> Markup {
    html! {
        @if report.residue.state == ResidueState::Outstanding {
            div class="alarm" role="alert" {
                strong { "Something of this drill is still there. The target stays locked until it is gone." }
                ul class="reasons" {
                    @for effect in &report.residue.effects {
                        @if let UndoOutcome::Outstanding { why, by_hand } = &effect.outcome {
                            li { (words(&effect.object)) ": " (words(&effect.done)) ". " (words(why))
                                span class="note" { "By hand: " (words(by_hand)) } }
                        }
                    }
                }
            }
        }
    }
}

fn meta(report: &Report) -> Markup {
    let identity = &report.identity;
    let trigger = match &identity.trigger {
        Trigger::Hand(by) => format!("run by {by}"),
        Trigger::Schedule(schedule) => format!("by schedule ({schedule})"),
        Trigger::Runbook(runbook) => format!("by the runbook {runbook}"),
        Trigger::Demo => "by the demo".to_owned(),
    };
    let approved = identity.approver.known().map(|by| format!("approved by {by}"));
    let opened = firedrill_core::report::Moment(0);
    html! {
        p class="meta" {
            span { (words(&report.experiment.name)) }
            span { (words(&report.estate.environment)) }
            span { "started " (figure::date(&report.clock, opened)) }
            span { "took " (figure::duration(report.clock.closed_ns.since(opened))) }
            span { (words(&trigger)) }
            @if let Some(approved) = approved { span { (words(&approved)) } }
            span { "drill " (words(&identity.drill)) }
        }
    }
}

/// The measured time against its objective.
fn headline(report: &Report) -> Markup {
    let Known::Known(recovery) = &report.recovery else {
        let why = if let Known::Unknown(why) = &report.recovery { why } else { "" };
        return html! {
            div class="card" { h2 { "Recovery time (RTO)" } p class="big" { "Not measured" } p class="note" { (words(why)) } }
        };
    };
    let (kind, measured, name) = if recovery.rule == ClockRule::RestoreOnly {
        (
            ObjectiveKind::RestoreDuration,
            recovery.restore_duration.clone().unwrap_or_else(|| recovery.rto.clone()),
            "Restore duration".to_owned(),
        )
    } else {
        (ObjectiveKind::Rto, recovery.rto.clone(), recovery_name(report))
    };
    let objective = report.objective(&kind);
    html! {
        div class="card" {
            h2 { (name) }
            @match &measured {
                Known::Known(length) => p class="big" {
                    span class=[objective.and_then(|o| attainment_class(o.attainment))] { (capitalised(&figure::interval(*length))) }
                    @if let Some(objective) = objective { " " small { "of " (figure::duration(objective.limit_ns)) } }
                },
                Known::Unknown(why) => { p class="big" { "Not known" } p class="note" { (words(why)) } },
            }
            @if let Some(objective) = objective { (bar::draw(objective).unwrap_or_default()) }
            @if recovery.rule != ClockRule::RestoreOnly { (times(recovery)) }
        }
    }
}

fn recovery_name(report: &Report) -> String {
    let counted = report.streams.iter().filter(|s| s.info.excluded.is_none()).count();
    match counted {
        0 | 1 => "Recovery time (RTO)".to_owned(),
        n => format!("Recovery time (RTO), worst of {n} views"),
    }
}

fn attainment_class(attainment: Attainment) -> Option<&'static str> {
    match attainment {
        Attainment::Met => Some("good"),
        Attainment::Missed => Some("bad"),
        Attainment::Undecided => Some("opened"),
        Attainment::NotReached => None,
    }
}

/// The other times that belong beside it, always.
fn times(recovery: &Recovery) -> Markup {
    let pairs = [
        ("since the injection", &recovery.since_injection),
        ("users without service", &recovery.user_outage),
        ("downtime in total", &recovery.total_downtime),
        ("redundancy back after", &recovery.redundancy),
    ];
    html! {
        dl class="pairs" {
            @for (name, value) in pairs {
                dt { (name) }
                dd { @match value {
                    Known::Known(length) => (figure::interval(*length)),
                    Known::Unknown(why) => (unknown(why)),
                } }
            }
        }
        p class="note" style="margin-top:8px" {
            @match recovery.detect_and_decide {
                DetectAndDecide::Exercised => {},
                DetectAndDecide::Declared(length) => { "Detection and decision were not exercised; " (figure::duration(length)) " declared for them is included." },
                DetectAndDecide::NotExercised => { "Detection and decision were not exercised, and nothing is declared for them." },
            }
        }
    }
}

fn loss(report: &Report) -> Markup {
    if let Some(backup) = &report.backup {
        let objective = report.objective(&ObjectiveKind::BackupAge).or_else(|| report.objective(&ObjectiveKind::Rpo));
        return html! {
            div class="card" {
                h2 { "Age of the backup (RPO)" }
                p class="big" { (capitalised(&figure::known_interval(&backup.age)))
                    @if let Some(objective) = objective { " " small { "of " (figure::duration(objective.limit_ns)) } } }
                p class="note" { "worst case over 30 days: "
                    @match &backup.worst_case { Known::Known(length) => (figure::duration(*length)), Known::Unknown(why) => (unknown(why)) } }
            }
        };
    }
    let objective = report.objective(&ObjectiveKind::Rpo);
    html! {
        div class="card" {
            h2 { "Data loss (RPO)" }
            @match &report.loss {
                Known::Unknown(why) => { p class="big" { "Not known" } p class="note" { (words(why)) } },
                Known::Known(loss) if loss.ledgers.is_empty() => { p class="big" { "Not measured" } p class="note" { "no ledger wrote in this drill" } },
                Known::Known(loss) => {
                    p class="big" { span class=(if loss.lost() == 0 { "good" } else { "bad" }) { (figure::count(loss.lost())) } " " small { "of " (figure::count(loss.acknowledged())) } }
                    p class="note" { "acknowledged writes lost"
                        @if loss.lost() > 0 { @if let Known::Known(time) = &loss.time { ", " (figure::interval(*time)) " of them" } }
                        "; " (unknown_outcomes(loss)) "." }
                    @if let Some(objective) = objective { p class="note" { "Objective " (figure::duration(objective.limit_ns)) "." } }
                },
            }
        }
    }
}

fn unknown_outcomes(loss: &firedrill_core::report::Loss) -> String {
    let unknown: u64 = loss.ledgers.iter().map(|l| l.unknown).sum();
    let found: u64 = loss.ledgers.iter().map(|l| l.unknown_found).sum();
    match unknown {
        0 => "none of unknown outcome".to_owned(),
        _ => format!(
            "{} of unknown outcome, of which {} found",
            figure::count(unknown),
            text::counted(found, "was", "were")
        ),
    }
}

fn exercised(report: &Report) -> Markup {
    let exercised = &report.exercised;
    let (class, said) = match exercised.status {
        Exercise::AsExpected => ("good", "as expected".to_owned()),
        Exercise::NotExercised => ("opened", format!("expected {}: not exercised", clean(&exercised.expected))),
        Exercise::NotSustained => ("opened", "not sustained".to_owned()),
        Exercise::Undecided => ("opened", format!("expected {}: cannot be told", clean(&exercised.expected))),
        Exercise::NotReached => ("opened", "not reached".to_owned()),
    };
    html! {
        div class="card" {
            h2 { "What was exercised" }
            p class="big" { (words(&capitalised(exercised.found.known().map_or("not known", String::as_str)))) }
            p class="note" { b class=(class) { (said) } ": " (words(&exercised.detail)) }
        }
    }
}

fn residue(report: &Report) -> Markup {
    let residue = &report.residue;
    let (class, big) = match residue.state {
        ResidueState::Clean if residue.effects.is_empty() => ("good", "Nothing touched"),
        ResidueState::Clean => ("good", "None"),
        ResidueState::Superseded => ("opened", "Superseded"),
        ResidueState::Outstanding => ("bad", "Outstanding"),
    };
    let settled = residue.effects.iter().filter(|e| !matches!(e.outcome, UndoOutcome::Outstanding { .. })).count();
    html! {
        div class="card" {
            h2 { "Residue" }
            p class="big" { span class=(class) { (big) } }
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
        }
    }
}

/// What refused the drill, with what to do about it.
fn refusal(report: &Report) -> Markup {
    let refusing = report.preflight.iter().filter(|c| matches!(c.status, CheckStatus::Failed | CheckStatus::Unknown));
    html! {
        div class="card" {
            h2 { "What refused it" }
            @for check in refusing {
                p style="margin-top:8px" { (status(check.status)) " " b { (words(&check.name)) } }
                dl class="pairs" style="margin-top:2px" {
                    dt { "found" } dd { @match &check.found { Known::Known(found) => (words(found)), Known::Unknown(why) => (unknown(why)) } }
                    dt { "expected" } dd { (words(&check.expected)) }
                    @if let Some(remedy) = &check.remedy { dt { "what to do" } dd { (words(remedy)) } }
                }
            }
        }
    }
}
