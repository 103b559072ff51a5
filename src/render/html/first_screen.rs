//! The first screen: verdict, why, what to do; the figures against their objectives; residue.

use super::{cards, words};
use crate::render::figure;
use firedrill_core::report::{Moment, Report, ResidueState, UndoOutcome, Verdict};
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
        (cards::draw(report))
        (mind(report))
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

/// The reasons. A single one that the cause says already is not said twice; where its rule is written, is.
fn reasons(report: &Report) -> Markup {
    let judgement = &report.judgement;
    let said = |text: &str| judgement.cause.to_lowercase().contains(&text.to_lowercase());
    let advised = |text: &str| judgement.next_action.to_lowercase().contains(&text.to_lowercase());
    let rule = |source: &Option<String>| {
        html! { @if let Some(source) = source { span class="note" { "Rule: " (super::code(source)) } } }
    };
    html! {
        @match judgement.reasons.as_slice() {
            [] => {},
            [only] if said(&only.text) => p class="reasons lone" {
                @if let Some(remedy) = only.remedy.as_ref().filter(|r| !advised(r)) { span class="note" { (words(remedy)) } }
                (rule(&only.source))
            },
            reasons => ul class="reasons" {
                @for reason in reasons {
                    li {
                        (words(&reason.text))
                        @if let Some(remedy) = &reason.remedy { span class="note" { (words(remedy)) } }
                        (rule(&reason.source))
                    }
                }
            },
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
                            li { b { (words(&effect.object)) } ": " (words(&effect.done)) "; " (words(why))
                                span class="note" { "By hand: " (super::code(by_hand)) } }
                        }
                    }
                }
            }
        }
    }
}

/// What a reader must know before believing a figure.
fn mind(report: &Report) -> Markup {
    html! {
        @for deviation in &report.deviations {
            p class="note mind" { b { "Mind: " } (words(&deviation.text)) ": " (words(&deviation.meaning)) "." }
        }
    }
}

fn meta(report: &Report) -> Markup {
    let identity = &report.identity;
    let trigger = format!("run {}", identity.trigger.words());
    let approved = identity.approver.known().map(|by| format!("approved by {by}"));
    let opened = Moment(0);
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
