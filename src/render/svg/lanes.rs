//! One lane a stream: thin while up, tall while down, hatched while nobody asked. Height tells it too, not only colour.

use super::axis::{Scale, px};
use super::{Cursor, Format, TEXT_PX};
use crate::render::text::{Weight, clean, fit};
use firedrill_core::report::{Bracket, Report, Segment, SegmentState, StreamReport};
use maud::{Markup, html};

/// The height of a lane's down blocks.
const TALL: f64 = 20.0;

/// The height of a lane's up line.
const THIN: f64 = 8.0;

/// The narrowest a failure is drawn: one bad sample in an hour is still seen.
const DOWN_MIN: f64 = 2.0;

pub(super) fn draw(report: &Report, scale: &Scale, format: Format, cursor: &mut Cursor) -> Markup {
    html! {
        @for stream in &report.streams {
            (lane(stream, scale, format, cursor))
        }
    }
}

fn lane(stream: &StreamReport, scale: &Scale, format: Format, cursor: &mut Cursor) -> Markup {
    let name = clean(&stream.info.stream.probe);
    let counts = if stream.info.excluded.is_some() { ", excluded" } else { "" };
    let sub = clean(&format!("{}, {}{counts}", stream.info.kind, stream.info.stream.view.word()));
    let (labels, y) = if format == Format::Narrow {
        let label_y = cursor.take(20.0) + 15.0;
        let y = cursor.take(TALL + 6.0);
        let all = fit(&format!("{name} · {sub}"), format.width(), TEXT_PX, Weight::Bold);
        (html! { text class="name" x="0.0" y=(px(label_y)) { (all) } }, y)
    } else {
        let y = cursor.take(TALL + 14.0) + 6.0;
        let room = format.gutter() - 12.0;
        let x = px(scale.x0() - 10.0);
        let labels = html! {
            text class="strong" x=(x) y=(px(y + 7.0)) text-anchor="end" { (fit(&name, room, TEXT_PX, Weight::Bold)) }
            text class="quiet" x=(x) y=(px(y + 21.0)) text-anchor="end" { (fit(&sub, room, TEXT_PX, Weight::Regular)) }
        };
        (labels, y)
    };
    html! {
        g {
            (labels)
            @for segment in &stream.series.segments {
                (block(*segment, scale, y))
            }
            @for outage in &stream.outages {
                (edge(outage.began, scale, y))
                @if let Some(ended) = outage.ended.known() {
                    (edge(*ended, scale, y))
                }
            }
        }
    }
}

fn block(segment: Segment, scale: &Scale, y: f64) -> Markup {
    let Some((from, to)) = scale.clip(segment.span) else {
        return html! {};
    };
    let (class, top, height, width) = match segment.state {
        SegmentState::Up => ("up", y + (TALL - THIN) / 2.0, THIN, to - from),
        SegmentState::Unknown => ("unasked", y + (TALL - THIN) / 2.0, THIN, to - from),
        SegmentState::Down => ("down", y, TALL, (to - from).max(DOWN_MIN)),
    };
    html! { rect class=(class) x=(px(from)) y=(px(top)) width=(px(width)) height=(px(height)) {} }
}

/// The band within which an edge is known to lie.
fn edge(at: Bracket, scale: &Scale, y: f64) -> Markup {
    if !(scale.shows(at.earliest_ns) && scale.shows(at.latest_ns)) {
        return html! {};
    }
    let (from, to) = (scale.x(at.earliest_ns), scale.x(at.latest_ns));
    let width = (to - from).max(2.0);
    let class = if width > 4.0 { "edge wide-edge" } else { "edge" };
    html! { rect class=(class) x=(px(from)) y=(px(y - 3.0)) width=(px(width)) height=(px(TALL + 6.0)) {} }
}
