//! What it is all known from: facts, members before and after, experiment, estate, tool, journal, samples.

use super::table::{Column, Row, table};
use super::{absent, code, section, unknown, words};
use crate::render::figure;
use crate::render::text::clean;
use firedrill_core::report::{Fact, Member, Report, Topology};
use firedrill_core::time::Known;
use maud::{Markup, html};

pub(super) fn draw(report: &Report) -> Markup {
    html! {
        (section("Members before and after", topologies(report)))
        (section("Facts", facts(report)))
        (section("Experiment and estate", Some(declared(report))))
        (section("Proof", Some(proof(report))))
        footer class="note" {
            "Made by firedrill " (words(&report.tool.version)) " from the drill's journal and samples alone. This page needs no network and runs no script; "
            "the same report as JSON, schema version " (report.schema_version) ", lies beside it."
        }
    }
}

fn topologies(report: &Report) -> Option<Markup> {
    let columns = [
        Column::Text("member"),
        Column::Text("role"),
        Column::Number("timeline"),
        Column::Text("LSN"),
        Column::Text("state"),
        Column::Text("uid"),
    ];
    let part = |heading: &str, members: &[Member]| {
        let rows: Vec<Row> = members.iter().map(member).collect();
        table(heading, &columns, &rows).map(|table| html! { h3 { (heading) } (table) })
    };
    let draw = |topology: &Topology| {
        html! {
            (part(&clean(&format!("{} before", topology.target)), &topology.before).unwrap_or_default())
            (part(&clean(&format!("{} after", topology.target)), &topology.after).unwrap_or_default())
        }
    };
    (!report.topologies.is_empty()).then(|| html! { @for topology in &report.topologies { (draw(topology)) } })
}

fn member(member: &Member) -> Row {
    Row::plain(vec![
        words(&member.name),
        words(&member.role),
        match &member.timeline {
            Known::Known(n) => html! { (n) },
            Known::Unknown(why) => unknown(why),
        },
        text_or_why(&member.lsn),
        words(&member.state),
        text_or_why(&member.uid),
    ])
}

fn text_or_why(value: &Known<String>) -> Markup {
    match value {
        Known::Known(text) => code(text),
        Known::Unknown(why) => unknown(why),
    }
}

fn fact_rows<'f>(facts: impl Iterator<Item = (String, &'f Fact)>) -> Vec<Row> {
    facts
        .map(|(of, fact)| {
            Row::plain(vec![
                words(&fact.label),
                html! { (words(&fact.value)) @if let Some(unit) = &fact.unit { " " (words(unit)) } },
                html! { span class="note" { (words(&fact.source)) } },
                html! { span class="note" { (words(&of)) } },
            ])
        })
        .collect()
}

fn facts(report: &Report) -> Option<Markup> {
    let exercised = report.exercised.evidence.iter().map(|f| ("what was exercised".to_owned(), f));
    let faults = report
        .faults
        .iter()
        .flat_map(|fault| fault.facts.iter().map(move |f| (format!("{} {}", fault.word, fault.target), f)));
    let targets = report
        .estate
        .targets
        .iter()
        .flat_map(|target| target.resolved.iter().map(move |f| (format!("target {}", target.name), f)));
    let tool = report.tool.environment.iter().map(|f| ("where it was measured".to_owned(), f));
    let rows = fact_rows(exercised.chain(faults).chain(targets).chain(tool));
    table("facts", &[Column::Text("fact"), Column::Text("value"), Column::Text("seen in"), Column::Text("of")], &rows)
}

fn list(items: &[String]) -> Markup {
    html! { @for (n, item) in items.iter().enumerate() { @if n > 0 { "; " } (words(item)) } }
}

fn declared(report: &Report) -> Markup {
    let experiment = &report.experiment;
    html! {
        dl class="facts" {
            dt { "experiment" } dd { (words(&experiment.name)) ", sha256 " (code(&experiment.spec_sha256)) }
            @if let Some(owner) = &experiment.owner { dt { "owner" } dd { (words(owner)) } }
            @if let Some(hypothesis) = &experiment.hypothesis { dt { "hypothesis" } dd { (words(hypothesis)) } }
            dt { "method" } dd { (words(&experiment.method.join(", then "))) }
            @if !experiment.scope.is_empty() { dt { "in scope" } dd { (list(&experiment.scope)) } }
            @if !experiment.exclusions.is_empty() { dt { "left out" } dd { (list(&experiment.exclusions)) } }
            dt { "estate" } dd { (words(&report.estate.environment)) ", sha256 " (code(&report.estate.spec_sha256)) }
            dt { "cluster uid" } dd { (text_or_why(&report.estate.cluster_uid)) }
            dt { "last pass" } dd { @match &report.history.last_pass_utc { Known::Known(at) => (words(at)), Known::Unknown(why) => (unknown(why)) }
                @if let Known::Known(days) = &report.history.days_since_last_pass { ", " (crate::render::text::counted(*days, "day", "days")) " before this drill" } }
            @if let Some(due) = &report.history.next_due { dt { "next due" } dd { (words(due)) } }
        }
    }
}

fn proof(report: &Report) -> Markup {
    let evidence = &report.evidence;
    html! {
        dl class="facts" {
            dt { "report" } dd { (code(&report.identity.report)) }
            dt { "drill" } dd { (code(&report.identity.drill)) }
            dt { "previous report, sha256" } dd { (text_or_why(&report.identity.previous_report_sha256)) }
            dt { "approved by" } dd { @match &report.identity.approver { Known::Known(by) => (words(by)), Known::Unknown(why) => (absent(why)) } }
            dt { "runners" } dd { (list(&report.identity.runners)) }
            dt { "journal" } dd { (figure::count(evidence.journal.events)) " records, chain head " (code(&evidence.journal.chain_head)) }
            dt { "signature" } dd { @match &evidence.signature { Known::Known(by) => (code(by)), Known::Unknown(why) => (absent(why)) } }
            @for seal in &evidence.samples {
                dt { "samples of " (words(&seal.name)) } dd { (figure::bytes(seal.bytes)) ", sha256 " (code(&seal.sha256)) }
            }
        }
    }
}
