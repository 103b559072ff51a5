//! What was done, drawn as what it is: waves of scaling with their counts, a restore by its phases, a backup.

use super::{section, unknown, words};
use crate::render::figure;
use crate::render::text::counted;
use firedrill_core::report::{Backup, Moment, Report, ScaledWorkload, Wave, Work, WorkPhase};
use firedrill_core::time::Known;
use maud::{Markup, html};

pub(super) fn draw(report: &Report) -> Markup {
    html! {
        (section("Scaled to zero and back", waves(report)))
        @for work in &report.works { (section("The restore, phase by phase", gantt(work))) }
        (section("The backup", report.backup.as_ref().map(backup)))
    }
}

fn waves(report: &Report) -> Option<Markup> {
    if report.waves.is_empty() {
        return None;
    }
    let all = || report.waves.iter().flat_map(|w| &w.workloads);
    let same = all().filter(|w| w.restored.known() == Some(&w.captured)).count();
    Some(html! {
        p class="note" { (same) " of " (counted(all().count() as u64, "deployment", "deployments")) " back at the captured count; brought back in "
            (counted(report.waves.len() as u64, "wave", "waves")) ", each waiting for the one before." }
        @for wave in &report.waves { (wave_row(wave, report.origin())) }
    })
}

fn wave_row(wave: &Wave, origin: Moment) -> Markup {
    html! {
        div class="wave" {
            div {
                b { "Wave " (words(&wave.name)) }
                p class="note" { @match &wave.span {
                    Known::Known(span) => { (figure::offset(span.from_ns, origin)) " to " (figure::offset(span.to_ns, origin)) },
                    Known::Unknown(why) => (unknown(why)),
                } }
            }
            ul { @for workload in &wave.workloads { (workload_item(workload, origin)) } }
        }
    }
}

fn workload_item(workload: &ScaledWorkload, origin: Moment) -> Markup {
    let restored = workload.restored.known();
    let class = match restored {
        Some(count) if *count == workload.captured => "good",
        Some(_) => "bad",
        None => "opened",
    };
    html! {
        li {
            b { (words(&workload.name)) } " "
            b class="counts" { (workload.captured) " → 0 → " span class=(class) { (restored.map_or_else(|| "?".to_owned(), u32::to_string)) } }
            span class="note" style="display:block" {
                @match &workload.zero_at_ns { Known::Known(at) => { "zero " (figure::offset(*at, origin)) }, Known::Unknown(why) => { "zero " (unknown(why)) } }
                ", "
                @match &workload.restored_at_ns { Known::Known(at) => { "ready " (figure::offset(*at, origin)) }, Known::Unknown(why) => { "ready " (unknown(why)) } }
            }
            @if let Some(manager) = &workload.manager { span class="note" style="display:block" { (words(manager)) } }
            @if let Some(note) = &workload.note { span class="note" style="display:block" { (words(note)) } }
        }
    }
}

fn gantt(work: &Work) -> Option<Markup> {
    let from = work.phases.iter().map(|p| p.span.from_ns).min()?;
    let to = work.phases.iter().map(|p| p.span.to_ns).max()?;
    let full = (to.since(from).0 as f64).max(1.0);
    Some(html! {
        p class="note" style="margin-bottom:10px" { (words(&work.word)) " into " (words(&work.on)) ", " (figure::duration(to.since(from))) " in all." }
        div class="gantt" {
            @for phase in &work.phases { (gantt_row(phase, from, full)) }
        }
    })
}

fn gantt_row(phase: &WorkPhase, from: Moment, full: f64) -> Markup {
    let start = phase.span.from_ns.since(from).0 as f64 / full * 99.5;
    let width = (phase.span.length().0 as f64 / full * 100.0).max(0.5).min(100.0 - start);
    let rate = phase.bytes.and_then(|bytes| figure::throughput(bytes, phase.span.length()));
    let class = if phase.failure.is_some() { "work-bar failed" } else { "work-bar" };
    html! {
        div {
            span class="name" { @if phase.failure.is_some() { span class="sign s-bad" { "✗" } " " } b { (words(&phase.name)) } }
            span class="strip" {
                svg aria-hidden="true" {
                    rect class="track" x="0" y="7" width="100%" height="4" {}
                    rect class=(class) x=(format!("{start:.2}%")) y="1" width=(format!("{width:.2}%")) height="16" rx="2" {}
                }
            }
            span class="n" { (figure::duration(phase.span.length())) }
            span class="n" { @if let Some(rate) = rate { (rate) } }
            span class="detail" {
                @if let Some(bytes) = phase.bytes { (figure::bytes(bytes)) " · " }
                (words(&phase.detail))
                @if let Some(failure) = &phase.failure { " " b class="bad" { (words(failure)) } }
            }
        }
    }
}

fn backup(backup: &Backup) -> Markup {
    let known = |value: &Known<String>| match value {
        Known::Known(text) => super::code(text),
        Known::Unknown(why) => unknown(why),
    };
    html! {
        dl class="facts" {
            dt { "object" } dd { (super::code(&backup.key)) }
            dt { "version" } dd { (known(&backup.version_id)) }
            dt { "chosen as" } dd { (words(&backup.chosen_by)) }
            dt { "size" } dd { (figure::bytes(backup.size_bytes)) " (" (figure::count(backup.size_bytes)) " bytes)" }
            dt { "checksum" } dd { (known(&backup.checksum)) }
            dt { "dump started" } dd { (known(&backup.started_utc)) }
            dt { "age at the start of the drill" } dd { (figure::known_interval(&backup.age)) }
            @if let Some(defect) = &backup.defect { dt { "defect" } dd { b class="bad" { (words(defect)) } } }
        }
    }
}
