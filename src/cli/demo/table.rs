//! The demo's last word: verdicts, measured beside true, and where the reports are.

use super::scenes::Scene;
use super::truth;
use crate::render::figure;
use firedrill_core::report::{Objective, ObjectiveKind, Report};
use firedrill_core::time::Known;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The objective that a drill's time is held against.
fn timed(report: &Report) -> Option<&Objective> {
    report.objectives.iter().find(|o| matches!(o.kind, ObjectiveKind::Rto | ObjectiveKind::RestoreDuration))
}

fn measured(report: &Report) -> String {
    match timed(report).map(|o| &o.measured) {
        Some(Known::Known(interval)) => figure::interval(*interval),
        Some(Known::Unknown(_)) | None => "not measured".to_owned(),
    }
}

fn loss(report: &Report) -> String {
    match &report.loss {
        Known::Known(loss) => format!("{} of {}", figure::count(loss.lost()), figure::count(loss.acknowledged())),
        Known::Unknown(_) => "–".to_owned(),
    }
}

/// How much of what was exercised is shown: the table is to fit a terminal.
const EXERCISED_MAX: usize = 16;

fn exercised(report: &Report) -> String {
    let found = report.exercised.found.known().map_or("unknown", String::as_str);
    let (words, rest) = found.split_once(':').map_or((found, false), |(words, _)| (words, true));
    match words.char_indices().nth(EXERCISED_MAX) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None if rest => format!("{words} …"),
        None => words.to_owned(),
    }
}

/// The table as text.
pub(super) fn as_text(scenes: &[Scene]) -> String {
    let head = ["drill", "verdict", "measured", "of", "truth", "lost", "exercised", "residue"].map(str::to_owned);
    let row = |s: &Scene| {
        [
            s.report.experiment.name.clone(),
            s.report.judgement.verdict.word().to_owned(),
            measured(&s.report),
            timed(&s.report).map_or_else(String::new, |o| figure::duration(o.limit_ns)),
            truth::words(&s.truth),
            loss(&s.report),
            exercised(&s.report),
            s.report.residue.state.word().to_owned(),
        ]
    };
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(scenes.iter().map(row)).collect();
    let widths: Vec<usize> = (0..8).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::from("\n");
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, w)| format!("{cell}{}", " ".repeat(w - cell.chars().count())))
            .collect();
        let _ = writeln!(text, " {}", cells.join("  ").trim_end());
    }
    text.push('\n');
    for scene in scenes.iter().filter(|s| !s.as_expected()) {
        let _ = writeln!(
            text,
            " {}: {} was expected{}; {}",
            scene.report.experiment.name,
            scene.expected.word(),
            if scene.truth.agrees == Some(false) { ", and the truth is outside what was measured" } else { "" },
            scene.report.judgement.cause
        );
    }
    for scene in scenes {
        let _ = writeln!(text, " {}", scene.page);
    }
    text
}

/// The same for programs.
pub(super) fn as_json(scenes: &[Scene]) -> Value {
    let row = |s: &Scene| {
        json!({
            "experiment": s.report.experiment.name,
            "verdict": s.report.judgement.verdict,
            "expected": s.expected,
            "asExpected": s.as_expected(),
            "measured": timed(&s.report).map(|o| &o.measured),
            "truth": s.truth.recovery,
            "truthAgrees": s.truth.agrees,
            "residue": s.report.residue.state,
            "report": s.page,
        })
    };
    json!({ "format": "firedrill.demo/1", "drills": scenes.iter().map(row).collect::<Vec<_>>() })
}
