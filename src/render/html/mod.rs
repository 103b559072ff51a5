//! The report as one self-contained page: no network, no script, light and dark, phone and paper.
//!
//! It says first what matters first: the verdict, why, what to do; then the figures against their objectives; then
//! what users saw; then, for the doubter, everything it is known from.

mod bar;
mod cards;
mod evidence;
mod first_screen;
mod service;
mod story;
mod style;
mod table;
mod work;

use super::figure;
use super::text::clean;
use firedrill_core::report::{CheckStatus, Report, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The whole page.
pub fn render(report: &Report) -> String {
    let verdict = report.judgement.verdict;
    let title = format!(
        "{} · {} · {}",
        verdict.word(),
        clean(&report.experiment.name),
        report.clock.utc(report.origin()).strftime("%-d %b %Y")
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(format!("firedrill {}", clean(&report.tool.version)));
                title { (title) }
                style { (PreEscaped(style::sheet())) }
            }
            body {
                main class=(verdict_class(verdict)) {
                    (first_screen::draw(report))
                    (service::seen(report))
                    (work::draw(report))
                    @if verdict == Verdict::Refused { (story::preflight(report)) }
                    (service::measured(report))
                    (story::draw(report))
                    (evidence::draw(report))
                }
            }
        }
    };
    let mut page = page.into_string();
    page.push('\n');
    page
}

/// The class that gives a verdict its colours.
fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "v-pass",
        Verdict::Fail => "v-fail",
        Verdict::Inconclusive => "v-open",
        Verdict::Aborted => "v-stopped",
        Verdict::Refused => "v-refused",
    }
}

/// Words from outside: cleaned, escaped, and isolated from the direction of the text around them.
fn words(text: &str) -> Markup {
    let class = unbreakable(text).then_some("long");
    html! { bdi class=[class] { (clean(text)) } }
}

/// Whether a text holds a word so long that it has to be broken anywhere; others keep their words whole.
fn unbreakable(text: &str) -> bool {
    text.split([' ', '-']).any(|word| word.chars().count() > 20)
}

/// A figure whose units stay with their numbers when the line is too short for all of it.
fn fig(text: &str) -> Markup {
    html! { (figure::unbroken(text)) }
}

/// The same, as something a machine wrote.
fn code(text: &str) -> Markup {
    html! { code { (words(text)) } }
}

/// What is not known, and why.
fn unknown(why: &str) -> Markup {
    html! { span class="unknown" { "not known: " (words(why)) } }
}

/// What there is none of, and why; that is no gap in what is known.
fn absent(why: &str) -> Markup {
    html! { span class="note" { "none: " (words(why)) } }
}

/// What a check came to: a sign, which also has its word for those who do not see it.
fn status(of: CheckStatus) -> Markup {
    let (class, sign, word) = match of {
        CheckStatus::Ok => ("s-ok", "✓", "holds"),
        CheckStatus::Failed => ("s-bad", "✗", "failed"),
        CheckStatus::Unknown => ("s-open", "?", "not known"),
        CheckStatus::NotReached => ("s-off", "–", "not reached"),
    };
    html! { span class=(format!("sign {class}")) role="img" aria-label=(word) title=(word) { (sign) } }
}

/// A section with its heading, or nothing when there is nothing to say.
fn section(heading: &str, body: Option<Markup>) -> Markup {
    html! {
        @if let Some(body) = body {
            section { h2 { (heading) } (body) }
        }
    }
}
