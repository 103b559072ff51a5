//! What happened: checks, the timeline in words, the ledger, what was done and undone, who stopped it.

use super::table::{Column, Row, Tone, table};
use super::{fig, section, status, unknown, words};
use crate::render::figure;
use crate::render::text::counted;
use firedrill_core::report::{Check, CheckStatus, ClockRule, EventKind, Ledger, Report, UndoOutcome, Verdict};
use firedrill_core::time::Known;
use maud::{Markup, html};

pub(super) fn draw(report: &Report) -> Markup {
    let restore = report.recovery.known().is_some_and(|r| r.rule == ClockRule::RestoreOnly);
    html! {
        (section(if restore { "Checks of what was restored" } else { "Checks after the recovery" }, checks("verification checks", &report.verification)))
        (section("Stopped", report.abort.as_ref().map(|abort| html! {
            p { (figure::utc_time(&report.clock, abort.at_ns)) " UTC, by " (words(&abort.by)) ": " (words(&abort.why)) }
        })))
        (section("What happened", events(report)))
        (section("Acknowledged writes", ledgers(report)))
        (section("Done and undone", effects(report)))
        (section("Deviations", deviations(report)))
        @if report.judgement.verdict != Verdict::Refused { (preflight(report)) }
    }
}

/// What was looked at before anything was touched. When it refused the drill, it comes first.
pub(super) fn preflight(report: &Report) -> Markup {
    section("Checks before the injection", checks("preflight checks", &report.preflight))
}

fn checks(label: &str, checks: &[Check]) -> Option<Markup> {
    let rows: Vec<Row> = checks
        .iter()
        .map(|check| {
            let tone = match check.status {
                CheckStatus::Failed => Tone::Bad,
                CheckStatus::Unknown => Tone::Open,
                CheckStatus::Ok | CheckStatus::NotReached => Tone::Plain,
            };
            let cells = vec![
                html! { (status(check.status)) " " (words(&check.name)) },
                words(&check.expected),
                html! {
                    @match (&check.found, check.status) {
                        (Known::Known(found), _) => (words(found)),
                        (Known::Unknown(why), CheckStatus::NotReached) => span class="note" { "not reached: " (words(why)) },
                        (Known::Unknown(why), _) => (unknown(why)),
                    }
                    @if let (CheckStatus::Failed | CheckStatus::Unknown, Some(remedy)) = (check.status, &check.remedy) { span class="note" { (words(remedy)) } }
                },
                html! { span class="note" { (words(&check.source)) } },
            ];
            Row { tone, cells }
        })
        .collect();
    table(
        label,
        &[Column::Text("check"), Column::Text("expected"), Column::Text("found"), Column::Text("seen in")],
        &rows,
    )
}

/// What the times of events count from.
fn since(report: &Report) -> &'static str {
    if report.events.iter().any(|e| e.kind == EventKind::Injected) { "since injection" } else { "since the start" }
}

fn events(report: &Report) -> Option<Markup> {
    let origin = report.origin();
    let rows: Vec<Row> = report
        .events
        .iter()
        .map(|event| {
            Row::plain(vec![
                words(&event.text),
                fig(&figure::offset_of(event.at, origin)),
                html! { (figure::utc_time(&report.clock, event.at.latest_ns)) },
                html! { span class="note" { (words(&event.evidence)) } },
            ])
        })
        .collect();
    table(
        "events",
        &[Column::Text("event"), Column::Number(since(report)), Column::Number("UTC"), Column::Text("known from")],
        &rows,
    )
}

fn ledgers(report: &Report) -> Option<Markup> {
    let loss = report.loss.known().filter(|l| !l.ledgers.is_empty())?;
    Some(html! { @for ledger in &loss.ledgers { (ledger_part(ledger, report)) } })
}

fn ledger_part(ledger: &Ledger, report: &Report) -> Markup {
    let n = figure::count;
    let reads: Vec<String> = ledger
        .reads
        .iter()
        .map(|r| format!("{} found on {} at {} UTC", n(r.found), r.node, figure::utc_time(&report.clock, r.at_ns)))
        .collect();
    html! {
        h3 { (words(&ledger.probe)) }
        dl class="facts" {
            dt { "attempted" } dd { (n(ledger.attempted)) ": " (n(ledger.acknowledged)) " acknowledged, " (n(ledger.failed)) " failed, " (n(ledger.unknown)) " of unknown outcome (" (n(ledger.unknown_found)) " found)" }
            dt { "lost" } dd { b class=(if ledger.lost == 0 { "good" } else { "bad" }) { (n(ledger.lost)) }
                @if ledger.lost_after_landing > 0 { ", of which " b class="bad" { (n(ledger.lost_after_landing)) } " acknowledged after the fault had landed (split brain)" } }
            dt { "never attempted, yet found" } dd { (n(ledger.unexpected)) }
            dt { "read back" } dd { @if reads.is_empty() { (unknown("the ledger was not read")) } @else { (words(&reads.join("; "))) } }
            dt { "written as" } dd { (words(&ledger.writes_as)) " into " (super::code(&ledger.table)) }
            dt { "purged" } dd { @match &ledger.purged { Known::Known(text) => (words(text)), Known::Unknown(why) => (unknown(why)) } }
        }
        @if !ledger.lost_ids.is_empty() {
            h3 { "Lost writes" @if ledger.lost > ledger.lost_ids.len() as u64 { " (the oldest " (ledger.lost_ids.len()) " of " (n(ledger.lost)) ")" } }
            ul class="ids" { @for id in &ledger.lost_ids { li { (words(id)) } } }
        }
    }
}

fn effects(report: &Report) -> Option<Markup> {
    let rows: Vec<Row> = report
        .residue
        .effects
        .iter()
        .map(|effect| {
            let (tone, outcome) = outcome(&effect.outcome);
            let looked = match &effect.looked_at_ns {
                Known::Known(at) => html! { (figure::utc_time(&report.clock, *at)) },
                Known::Unknown(why) => unknown(why),
            };
            let prior = match &effect.prior {
                Known::Known(prior) => words(prior),
                Known::Unknown(why) => unknown(why),
            };
            Row { tone, cells: vec![words(&effect.object), words(&effect.done), prior, outcome, looked] }
        })
        .collect();
    let columns = [
        Column::Text("object"),
        Column::Text("done"),
        Column::Text("before"),
        Column::Text("now"),
        Column::Number("looked at, UTC"),
    ];
    table("effects", &columns, &rows)
}

fn outcome(of: &UndoOutcome) -> (Tone, Markup) {
    match of {
        UndoOutcome::Undone => (Tone::Plain, html! { b class="good" { "undone" } }),
        UndoOutcome::NeverApplied => (Tone::Plain, html! { "never took place" }),
        UndoOutcome::Reverted(by) => (Tone::Plain, html! { "was back already: " (words(by)) }),
        UndoOutcome::Superseded(what) => {
            (Tone::Open, html! { b class="opened" { "superseded" } ", left: " (words(what)) })
        }
        UndoOutcome::Irreversible(why) => (Tone::Plain, html! { "not undone by nature: " (words(why)) }),
        UndoOutcome::Outstanding { why, by_hand } => (
            Tone::Bad,
            html! { b class="bad" { "outstanding" } ": " (words(why)) span class="note" { "By hand: " (super::code(by_hand)) } },
        ),
    }
}

fn deviations(report: &Report) -> Option<Markup> {
    let steps = report.clock.steps.iter().map(|step| {
        let by = firedrill_core::time::Nanos(step.by_ns.unsigned_abs());
        let direction = if step.by_ns < 0 { "back" } else { "forward" };
        Row::plain(vec![
            html! { "The wall clock stepped " (direction) " by " (figure::duration(by)) " at " (figure::utc_time(&report.clock, step.at_ns)) " UTC." },
            html! { "Durations are monotonic and not affected; times of day after it are." },
        ])
    });
    let runners = (report.identity.runners.len() > 1).then(|| {
        Row::plain(vec![
            html! { (counted(report.identity.runners.len() as u64, "runner", "runners")) " held this drill: " (words(&report.identity.runners.join(" → "))) "." },
            html! { "What nobody watched in between leaves upper bounds open." },
        ])
    });
    let noted = report.deviations.iter().map(|d| Row::plain(vec![words(&d.text), words(&d.meaning)]));
    let rows: Vec<Row> = noted.chain(steps).chain(runners).collect();
    table("deviations", &[Column::Text("what"), Column::Text("what it means")], &rows)
}
