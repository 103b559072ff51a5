//! The measured recovery time, drawn as a dimension line between the two points it was taken from.

use super::axis::{Scale, px};
use super::{Cursor, Part, TEXT_PX};
use crate::render::figure;
use crate::render::text::{Weight, width_px};
use firedrill_core::report::{Bracket, ClockRule, Disruption, EventKind, Recovery, Report};
use firedrill_core::time::Known;
use maud::{Markup, html};

/// Where the clock of the recovery time was started.
pub(super) fn clock_start(report: &Report, recovery: &Recovery) -> Option<Bracket> {
    match recovery.rule {
        ClockRule::SelfHeal | ClockRule::People => match &recovery.disruption {
            Known::Known(Disruption::Seen(at)) => Some(*at),
            _ => None,
        },
        ClockRule::Firedrill => report.events.iter().find(|e| e.kind == EventKind::RecoveryBegan).map(|e| e.at),
        ClockRule::RestoreOnly => None,
    }
}

pub(super) fn draw(report: &Report, scale: &Scale, cursor: &mut Cursor, part: Part) -> Markup {
    let Some((from, to, text)) = measured(report).filter(|_| part == Part::Zoom) else {
        return html! {};
    };
    if !(scale.shows(from.earliest_ns) && scale.shows(to.latest_ns)) {
        return html! {};
    }
    let y = cursor.take(24.0) + 13.0;
    let (x_from, x_to) = (scale.x(from.earliest_ns), scale.x(to.latest_ns));
    let width = width_px(&text, TEXT_PX, Weight::Bold);
    let text_x = if width + 16.0 <= x_to - x_from {
        x_from.midpoint(x_to) - width / 2.0
    } else if x_to + 8.0 + width <= scale.x1() {
        x_to + 8.0
    } else if x_from - 8.0 - width >= scale.x0() {
        x_from - 8.0 - width
    } else {
        scale.x0()
    };
    let inside = text_x > x_from && text_x < x_to;
    html! {
        g {
            (end(from, scale, y))
            (end(to, scale, y))
            @if inside {
                line class="dimension" x1=(px(x_from)) x2=(px(text_x - 6.0)) y1=(px(y)) y2=(px(y)) {}
                line class="dimension" x1=(px(text_x + width + 2.0)) x2=(px(x_to)) y1=(px(y)) y2=(px(y)) {}
            } @else {
                line class="dimension" x1=(px(x_from)) x2=(px(x_to)) y1=(px(y)) y2=(px(y)) {}
            }
            text class="strong" x=(px(text_x)) y=(px(y + 4.0)) { (text) }
        }
    }
}

fn end(at: Bracket, scale: &Scale, y: f64) -> Markup {
    let from = scale.x(at.earliest_ns);
    let width = (scale.x(at.latest_ns) - from).max(2.0);
    html! { rect class="measured" x=(px(from)) y=(px(y - 7.0)) width=(px(width)) height="14" {} }
}

/// The two points and the figure between them.
fn measured(report: &Report) -> Option<(Bracket, Bracket, String)> {
    let recovery = report.recovery.known()?;
    let rto = recovery.rto.known()?;
    let from = clock_start(report, recovery)?;
    let to = report.events.iter().find(|e| e.kind == EventKind::FirstAck)?.at;
    (from.latest_ns < to.latest_ns).then(|| (from, to, figure::interval(*rto)))
}
