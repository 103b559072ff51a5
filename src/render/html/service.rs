//! What users saw: the drawings, the objectives, the outages and latencies of each view.

use super::table::{Column, Row, Tone, table};
use super::{fig, section, unknown, words};
use crate::render::svg::{Format, Part, phase_class, timeline};
use crate::render::{figure, text};
use firedrill_core::report::{Attainment, Latency, Objective, ObjectiveKind, Report, StreamReport};
use firedrill_core::time::{Interval, Known};
use maud::{Markup, html};

/// What users saw, drawn.
pub(super) fn seen(report: &Report) -> Markup {
    section("What users saw", drawings(report))
}

/// The same in figures, against what was demanded.
pub(super) fn measured(report: &Report) -> Markup {
    html! {
        (section("Objectives", objectives(report)))
        (section("Outages", outages(report)))
        (section("Views", views(report)))
    }
}

fn drawings(report: &Report) -> Option<Markup> {
    let whole = figure_of(report, Part::Whole, "whole")?;
    let zoom = figure_of(report, Part::Zoom, "zoom");
    Some(html! {
        (whole)
        @if let Some(zoom) = zoom {
            h3 { "The seconds around the outage" }
            (zoom)
        }
        (key(report))
    })
}

fn figure_of(report: &Report, part: Part, id: &str) -> Option<Markup> {
    let drawn: Vec<(Markup, &str)> = Format::ALL
        .into_iter()
        .filter_map(|(format, class)| Some((timeline(report, part, format, &format!("{id}-{class}"))?, class)))
        .collect();
    (!drawn.is_empty()).then(|| {
        html! { figure { @for (svg, class) in drawn { div class=(class) { (svg) } } } }
    })
}

fn key(report: &Report) -> Markup {
    let timeouts: Vec<String> = {
        let mut lengths: Vec<_> = report.streams.iter().map(|s| s.info.timeout_ns).collect();
        lengths.sort_unstable();
        lengths.dedup();
        lengths.into_iter().map(figure::duration).collect()
    };
    let late = report.streams.iter().filter_map(|s| s.lateness.known()).map(|l| l.max_ns).max();
    html! {
        p class="key" style="margin-top:12px" {
            span { i class="k-up" style="height:6px" {} "answered correctly within " (timeouts.join(" or ")) }
            span { i class="k-down" style="height:14px" {} "a request sent then was not" }
            span { i class="k-edge" style="width:3px;height:14px" {} "within this band began or ended the outage" }
            @if report.streams.iter().any(|s| s.counts.unknown > 0) { span { i class="k-unasked" {} "not asked" } }
        }
        p class="key" style="margin-top:4px" {
            @for phase in &report.phases {
                span { i class=(phase_class(phase.kind)) {} (words(&phase.label)) " " (figure::duration(phase.span.length())) }
            }
        }
        @if let Some(late) = late {
            p class="note" style="margin-top:4px" { "Requests left at most " (figure::duration(late)) " after their fixed times." }
        }
    }
}

fn objectives(report: &Report) -> Option<Markup> {
    let rows: Vec<Row> = report
        .objectives
        .iter()
        .map(|objective| {
            let (tone, said) = match objective.attainment {
                Attainment::Met => (Tone::Plain, html! { span class="good" { b { "met" } } }),
                Attainment::Missed => (Tone::Bad, html! { span class="bad" { b { "missed" } } }),
                Attainment::Undecided => (Tone::Open, html! { span class="opened" { b { "undecided" } } }),
                Attainment::NotReached => (Tone::Plain, html! { span class="note" { "not reached" } }),
            };
            let cells = vec![
                words(&text::capitalised(objective.kind.label())),
                said,
                html! { (measured_or_why(objective)) },
                html! { "at most " (figure::duration(objective.limit_ns)) },
                objective.source.as_deref().map_or_else(|| html! {}, words),
            ];
            Row { tone, cells }
        })
        .collect();
    let columns = [
        Column::Text("objective"),
        Column::Text("came to"),
        Column::Text("measured"),
        Column::Text("limit"),
        Column::Text("from"),
    ];
    let rule =
        report.recovery.known().filter(|_| report.objective(&ObjectiveKind::Rto).is_some()).map(|r| r.rule.words());
    table("objectives", &columns, &rows).map(|table| {
        html! {
            (table)
            p class="note" style="margin-top:8px" {
                "Met: the upper bound is within the limit. Missed: the lower bound is beyond it. Between them: undecided."
                @if let Some(rule) = rule { " The clock of the recovery time ran " (rule) "." }
                @if let Some(recovery) = report.recovery.known() { " Stable means " (figure::duration(recovery.stable_for_ns)) " without a failure." }
            }
        }
    })
}

fn measured_or_why(objective: &Objective) -> Markup {
    match (&objective.measured, objective.attainment) {
        (Known::Unknown(why), Attainment::NotReached) => html! { span class="note" { (words(why)) } },
        (measured, _) => interval_or_why(measured),
    }
}

fn interval_or_why(value: &Known<Interval>) -> Markup {
    match value {
        Known::Known(length) => fig(&figure::interval(*length)),
        Known::Unknown(why) => unknown(why),
    }
}

fn name(stream: &StreamReport) -> Markup {
    html! { (words(&stream.info.stream.probe)) ", " (stream.info.stream.view.word()) }
}

fn outages(report: &Report) -> Option<Markup> {
    let origin = report.origin();
    let rows: Vec<Row> = report
        .streams
        .iter()
        .flat_map(|stream| stream.outages.iter().map(move |outage| (stream, outage)))
        .map(|(stream, outage)| {
            Row::plain(vec![
                name(stream),
                fig(&figure::interval(outage.length)),
                fig(&figure::offset_of(outage.began, origin)),
                match &outage.ended {
                    Known::Known(at) => fig(&figure::offset_of(*at, origin)),
                    Known::Unknown(why) => unknown(why),
                },
                words(&outage.failures),
            ])
        })
        .collect();
    if report.streams.is_empty() {
        return None;
    }
    let columns = [
        Column::Text("view"),
        Column::Number("length"),
        Column::Number("began"),
        Column::Number("ended"),
        Column::Text("how requests failed"),
    ];
    Some(
        table("outages", &columns, &rows)
            .unwrap_or_else(|| html! { p class="note" { "None: every request was answered correctly." } }),
    )
}

fn latency(of: &Known<Latency>) -> Markup {
    match of {
        Known::Known(latency) => {
            fig(&format!("{} / {}", figure::duration(latency.p50_ns), figure::duration(latency.p99_ns)))
        }
        Known::Unknown(why) => unknown(why),
    }
}

/// What a view asked, how often, how patiently, and whether it counts.
fn asked(stream: &StreamReport) -> Markup {
    let info = &stream.info;
    html! {
        dt { (name(stream)) }
        dd {
            (words(&info.kind)) " every " (figure::duration(info.period_ns)) ", patience " (figure::duration(info.timeout_ns)) ": " (words(&info.asks))
            @if let Some(why) = &info.excluded { "; does not count: " (words(why)) }
        }
    }
}

fn views(report: &Report) -> Option<Markup> {
    let rows: Vec<Row> = report
        .streams
        .iter()
        .map(|stream| {
            Row::plain(vec![
                name(stream),
                html! { (figure::count(stream.counts.ok)) " / " (figure::count(stream.counts.failed)) " / " (figure::count(stream.counts.unknown)) },
                interval_or_why(&stream.downtime),
                latency(&stream.latency.before),
                latency(&stream.latency.during),
                latency(&stream.latency.after),
                match &stream.lateness { Known::Known(l) => html! { (figure::duration(l.p99_ns)) }, Known::Unknown(why) => unknown(why) },
            ])
        })
        .collect();
    let columns = [
        Column::Text("view"),
        Column::Number("ok / failed / not asked"),
        Column::Number("downtime"),
        Column::Number("p50 / p99 before"),
        Column::Number("during"),
        Column::Number("after"),
        Column::Number("sent late, p99"),
    ];
    let stalls: usize = report.streams.iter().map(|s| s.stalls.len()).sum();
    table("views", &columns, &rows).map(|table| html! {
        (table)
        dl class="facts gap" { @for stream in &report.streams { (asked(stream)) } }
        @if stalls > 0 { p class="note" style="margin-top:8px" { (text::counted(stalls as u64, "stall", "stalls")) " ended within the timeout; a stall is no outage." } }
    })
}
