//! What happened, as lines through the lanes with labels below, and the objective as a line of its own.

use super::TEXT_PX;
use super::axis::{Scale, px};
use super::dimension::clock_start;
use crate::render::figure;
use crate::render::label::{Mark, Side, place};
use crate::render::text::clean;
use firedrill_core::report::{Bracket, DetectAndDecide, EventKind, Moment, ObjectiveKind, Report};
use firedrill_core::time::Nanos;
use maud::{Markup, html};

/// The height of a row of labels.
const ROW: f64 = 18.0;

/// The two layers of the marks.
pub(super) struct Marks {
    /// Behind the lanes.
    pub(super) lines: Markup,
    /// Below them.
    pub(super) labels: Markup,
}

/// A line to draw, with its class and its bounds in pixels.
struct Line {
    class: &'static str,
    from_x: f64,
    to_x: f64,
}

/// When the recovery has to be over, if the recovery time has an objective and its clock was started.
pub(super) fn objective_at(report: &Report) -> Option<Bracket> {
    let limit_ns = report.objective(&ObjectiveKind::Rto)?.limit_ns;
    let recovery = report.recovery.known()?;
    let start = clock_start(report, recovery)?;
    let declared = match recovery.detect_and_decide {
        DetectAndDecide::Declared(length) => length,
        DetectAndDecide::Exercised | DetectAndDecide::NotExercised => Nanos::ZERO,
    };
    let left = Nanos(limit_ns.0.saturating_sub(declared.0));
    Some(Bracket::new(start.earliest_ns.plus(left), start.latest_ns.plus(left)))
}

pub(super) fn draw(
    report: &Report,
    scale: &Scale,
    top: f64,
    bottom: f64,
    cursor: &mut super::Cursor,
    width: f64,
) -> Marks {
    let (lines, marks) = gather(report, scale);
    let labels = place(&marks, width, TEXT_PX);
    let rows = labels.iter().map(|l| l.row + 1).max().unwrap_or(0);
    let labels_top = cursor.take(rows as f64 * ROW + 4.0) + 4.0;
    let baseline = |row: usize| labels_top + row as f64 * ROW + 13.0;
    Marks {
        lines: html! {
            @for (line, label) in lines.iter().zip(&labels) {
                @if line.to_x - line.from_x > 1.5 {
                    rect class=(format!("{}-band", line.class)) x=(px(line.from_x)) y=(px(top)) width=(px(line.to_x - line.from_x)) height=(px(bottom - top)) {}
                }
                line class=(line.class) x1=(px(line.from_x)) x2=(px(line.from_x)) y1=(px(top)) y2=(px(baseline(label.row) - 4.0)) {}
            }
        },
        labels: html! {
            @for label in &labels {
                rect class="plate" x=(px(label.from_x.max(0.0))) y=(px(baseline(label.row) - 12.0)) width=(px(label.to_x - label.from_x)) height="16" {}
            }
            @for (line, label) in lines.iter().zip(&labels) {
                circle class=(format!("{}-dot", line.class)) cx=(px(line.from_x)) cy=(px(baseline(label.row) - 4.0)) r="2.5" {}
                text x=(px(label.text_x)) y=(px(baseline(label.row))) text-anchor=[(label.side == Side::Left).then_some("end")] {
                    tspan class="strong" { (label.strong) }
                    @if !label.word.is_empty() { " " (label.word) }
                }
            }
        },
    }
}

fn gather(report: &Report, scale: &Scale) -> (Vec<Line>, Vec<Mark>) {
    let origin = report.origin();
    let mut lines = Vec::new();
    let mut marks = Vec::new();
    let mut add = |class, at: Bracket, strong: String, word: String| {
        if !(scale.shows(at.earliest_ns) && scale.shows(at.latest_ns)) {
            return;
        }
        let (from_x, to_x) = (scale.x(at.earliest_ns), scale.x(at.latest_ns));
        lines.push(Line { class, from_x, to_x });
        marks.push(Mark { x: from_x, strong, word });
    };
    for event in report.events.iter().filter(|e| e.kind.is_mark()) {
        let shown = shown_at(event.kind, event.at);
        add(class(event.kind), event.at, figure::offset(shown, origin), clean(&event.word));
    }
    if let (Some(at), Some(objective)) = (objective_at(report), report.objective(&ObjectiveKind::Rto)) {
        add("objective", at, "objective".to_owned(), figure::duration(objective.limit_ns));
    }
    (lines, marks)
}

/// The single point that stands for a bracket on the drawing: when it was certain, except for what firedrill began.
fn shown_at(kind: EventKind, at: Bracket) -> Moment {
    match kind {
        EventKind::Injected | EventKind::RecoveryBegan => at.earliest_ns,
        _ => at.latest_ns,
    }
}

fn class(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Injected => "event-injected",
        EventKind::Stopped | EventKind::DeadlinePassed => "event-bad",
        _ => "event",
    }
}
