//! Latency as lines on a logarithmic scale: one panel a probe, its kept view where it has one.

use super::axis::{Scale, px};
use super::{Cursor, Format, TEXT_PX};
use crate::render::figure;
use crate::render::text::{Weight, clean, fit};
use firedrill_core::report::{LatencyPoint, Report, StreamReport};
use firedrill_core::sample::View;
use firedrill_core::time::Nanos;
use maud::{Markup, html};
use std::fmt::Write as _;

/// The height of a panel.
const PANEL: f64 = 44.0;

/// At most so many panels; every figure is in the table anyway.
const PANELS_MAX: usize = 3;

pub(super) fn draw(report: &Report, scale: &Scale, format: Format, cursor: &mut Cursor) -> Markup {
    let mut chosen: Vec<&StreamReport> = Vec::new();
    for stream in report.streams.iter().filter(|s| !s.series.latency.is_empty()) {
        match chosen.iter_mut().find(|c| c.info.stream.probe == stream.info.stream.probe) {
            Some(other) if stream.info.stream.view == View::Kept => *other = stream,
            Some(_) => {}
            None => chosen.push(stream),
        }
    }
    chosen.truncate(PANELS_MAX);
    html! {
        @for stream in chosen {
            (panel(stream, scale, format, cursor))
        }
    }
}

/// Whole decades around the values.
fn decades(points: &[LatencyPoint]) -> (i32, i32) {
    let low = points.iter().map(|p| p.p99_ns.0).min().unwrap_or(1).max(1);
    let high = points.iter().map(|p| p.p99_ns.0).max().unwrap_or(1).max(1);
    let first = i32::try_from(low.ilog10()).unwrap_or(0);
    let last = i32::try_from(high.ilog10()).unwrap_or(0) + 1;
    (first, last)
}

fn decade(exponent: i32) -> Nanos {
    Nanos(10_u64.saturating_pow(u32::try_from(exponent).unwrap_or(0)))
}

/// A decade in a few characters: the room beside the plot is narrow.
fn decade_name(exponent: i32) -> String {
    match exponent {
        ..=11 => figure::duration(decade(exponent)).replace("1 min 40 s", "100 s"),
        12 => "10³ s".to_owned(),
        13 => "10⁴ s".to_owned(),
        _ => "≥ 10⁵ s".to_owned(),
    }
}

fn panel(stream: &StreamReport, scale: &Scale, format: Format, cursor: &mut Cursor) -> Markup {
    let (first, last) = decades(&stream.series.latency);
    let (low, high) = (decade_name(first), decade_name(last));
    let name = clean(&stream.info.stream.probe);
    let narrow = format == Format::Narrow;
    let label_y = if narrow { cursor.take(20.0) + 15.0 } else { 0.0 };
    let top = cursor.take(PANEL + 14.0) + 8.0;
    let bottom = top + PANEL;
    let y = |value: Nanos| {
        let exponent = (value.0.max(1) as f64).log10();
        bottom - (exponent - f64::from(first)) / f64::from(last - first) * PANEL
    };
    let room = format.gutter() - 12.0;
    let x = px(scale.x0() - 10.0);
    html! {
        g {
            @for exponent in first..=last {
                line class="grid" x1=(px(scale.x0())) x2=(px(scale.x1())) y1=(px(y(decade(exponent)))) y2=(px(y(decade(exponent)))) {}
            }
            path class="latency" d=(path(stream, scale, y)) {}
            @if narrow {
                text class="name" x="0.0" y=(px(label_y)) {
                    (fit(&format!("{name} · p99 latency, {low} to {high}, log"), format.width(), TEXT_PX, Weight::Bold))
                }
            } @else {
                text class="strong" x=(x) y=(px(top + 18.0)) text-anchor="end" { (fit(&name, room, TEXT_PX, Weight::Bold)) }
                text class="quiet" x=(x) y=(px(top + 32.0)) text-anchor="end" { (fit("p99 latency, log", room, TEXT_PX, Weight::Regular)) }
                text class="quiet" x=(px(scale.x1() + 6.0)) y=(px(top + 4.0)) { (high) }
                text class="quiet" x=(px(scale.x1() + 6.0)) y=(px(bottom + 4.0)) { (low) }
            }
        }
    }
}

/// A line through the buckets, broken where a bucket has no good answer. Of several buckets on one pixel, the
/// slowest is drawn.
fn path(stream: &StreamReport, scale: &Scale, y: impl Fn(Nanos) -> f64) -> String {
    let mut d = String::new();
    let mut before: Option<LatencyPoint> = None;
    let shown: Vec<&LatencyPoint> = stream.series.latency.iter().filter(|p| scale.shows(p.at_ns)).collect();
    for point in shown {
        let joined = before.is_some_and(|b| point.at_ns.since(b.at_ns).0 <= stream.series.bucket_ns.0 * 3 / 2);
        d.push(if joined { 'L' } else { 'M' });
        let _ = write!(d, "{},{}", px(scale.x(point.at_ns)), px(y(point.p99_ns)));
        if !joined {
            // A point alone is drawn as a dash, or nothing would be seen of it.
            d.push_str("h1.5");
        }
        before = Some(*point);
    }
    d
}
