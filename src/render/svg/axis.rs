//! The axis of time: from moments to pixels, and round ticks whose labels never touch.

use super::TEXT_PX;
use crate::render::text::{Weight, width_px};
use firedrill_core::report::{Moment, Span};
use maud::{Markup, html};

/// A pixel coordinate in a stable form.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    if text == "-0.0" { "0.0".to_owned() } else { text }
}

/// From moments to pixels.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    window: Span,
    x0: f64,
    x1: f64,
}

impl Scale {
    /// The window fills the pixels from `x0` to `x1`.
    pub fn new(window: Span, x0: f64, x1: f64) -> Self {
        Self { window, x0, x1 }
    }

    /// The left edge.
    pub fn x0(&self) -> f64 {
        self.x0
    }

    /// The right edge.
    pub fn x1(&self) -> f64 {
        self.x1
    }

    /// Where a moment is, also outside the window.
    pub fn x(&self, at: Moment) -> f64 {
        let part = at.offset_ns(self.window.from_ns) as f64 / self.window.length().0 as f64;
        self.x0 + part * (self.x1 - self.x0)
    }

    /// Whether a moment is within the window.
    pub fn shows(&self, at: Moment) -> bool {
        self.window.from_ns <= at && at <= self.window.to_ns
    }

    /// The visible part of a span, as pixels.
    pub fn clip(&self, span: Span) -> Option<(f64, f64)> {
        let from = span.from_ns.max(self.window.from_ns);
        let to = span.to_ns.min(self.window.to_ns);
        (from < to).then(|| (self.x(from), self.x(to)))
    }

    /// The window's seconds relative to an origin.
    fn seconds(&self, origin: Moment) -> (f64, f64) {
        let at = |m: Moment| m.offset_ns(origin) as f64 / 1e9;
        (at(self.window.from_ns), at(self.window.to_ns))
    }
}

/// A tick: where, and what it says.
#[derive(Clone, Debug, PartialEq)]
struct Tick {
    x: f64,
    text: String,
}

/// The two layers of an axis.
pub(super) struct Axis {
    /// Behind everything.
    pub(super) grid: Markup,
    /// In front.
    pub(super) labels: Markup,
}

pub(super) fn draw(scale: &Scale, origin: Moment, plot_bottom: f64, y: f64) -> Axis {
    let ticks = ticks(scale, origin);
    Axis {
        grid: html! {
            @for tick in &ticks {
                line class="grid" x1=(px(tick.x)) x2=(px(tick.x)) y1="20.0" y2=(px(plot_bottom + 4.0)) {}
            }
            line class="axis" x1=(px(scale.x0)) x2=(px(scale.x1)) y1=(px(plot_bottom)) y2=(px(plot_bottom)) {}
        },
        labels: html! {
            @if scale.x0 > 0.0 {
                text class="quiet" x=(px(scale.x0 - 10.0)) y=(px(y + 16.0)) text-anchor="end" { "since injection" }
            }
            @for (tick, from_x) in apart(&ticks, scale) {
                rect class="plate" x=(px(from_x - 2.0)) y=(px(y + 5.0)) width=(px(width_px(&tick.text, TEXT_PX, Weight::Regular) + 2.0)) height="14" {}
                text class="quiet" x=(px(from_x)) y=(px(y + 16.0)) { (tick.text) }
            }
        },
    }
}

/// Round steps: as many as have about 90 pixels each.
fn ticks(scale: &Scale, origin: Moment) -> Vec<Tick> {
    let (from, to) = scale.seconds(origin);
    let step = step_of((to - from) / ((scale.x1 - scale.x0) / 90.0).max(2.0));
    let mut ticks = Vec::new();
    let mut number = (from / step).ceil();
    while number * step <= to {
        let seconds = number * step;
        let part = (seconds - from) / (to - from);
        ticks.push(Tick { x: scale.x0 + part * (scale.x1 - scale.x0), text: said(seconds, step) });
        number += 1.0;
    }
    ticks
}

/// The least round step that is not below `least`, in seconds.
fn step_of(least: f64) -> f64 {
    const LONG: [f64; 12] = [10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0];
    if least > 10.0 {
        return LONG.into_iter().find(|s| *s >= least).unwrap_or_else(|| (least / 86_400.0).ceil() * 86_400.0);
    }
    let mut decade = 1e-6;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if decade * factor >= least {
                return decade * factor;
            }
        }
        decade *= 10.0;
    }
}

fn said(seconds: f64, step: f64) -> String {
    let sign = if seconds < -1e-9 { "−" } else { "" };
    let size = seconds.abs();
    if step >= 3_600.0 {
        return format!("{sign}{:.0} h", size / 3_600.0);
    }
    if step >= 60.0 {
        return format!("{sign}{:.0} min", size / 60.0);
    }
    let decimals = if step >= 1.0 {
        0
    } else if step >= 0.1 {
        1
    } else if step >= 0.01 {
        2
    } else {
        3
    };
    format!("{sign}{size:.decimals$} s")
}

/// The ticks whose labels have room, with the left ends of those labels: centred, kept inside, never touching.
fn apart<'t>(ticks: &'t [Tick], scale: &Scale) -> Vec<(&'t Tick, f64)> {
    let mut shown = Vec::new();
    let mut free_from = scale.x0;
    for tick in ticks {
        let width = width_px(&tick.text, TEXT_PX, Weight::Regular);
        let from_x = (tick.x - width / 2.0).max(scale.x0).min(scale.x1 - width);
        if from_x >= free_from {
            shown.push((tick, from_x));
            free_from = from_x + width + 8.0;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round_and_count_from_the_injection() {
        let scale = Scale::new(Span::new(Moment::from_ms(10_000), Moment::from_ms(31_000)), 160.0, 1_040.0);
        let texts: Vec<_> = ticks(&scale, Moment::from_ms(20_000)).into_iter().map(|t| t.text).collect();
        assert_eq!(texts, ["−10 s", "−5 s", "0 s", "5 s", "10 s"]);
        let scale = Scale::new(Span::new(Moment(0), Moment::from_ms(3_600_000)), 0.0, 344.0);
        let texts: Vec<_> = ticks(&scale, Moment(0)).into_iter().map(|t| t.text).collect();
        assert_eq!(texts, ["0 min", "30 min", "60 min"]);
    }

    proptest! {
        #[test]
        fn tick_labels_never_touch_and_never_leave_the_plot(
            from_ms in 0_u64..10_000_000, length_ms in 1_u64..100_000_000, injected_ms in 0_u64..10_000_000, width in 200.0_f64..1_400.0,
        ) {
            let scale = Scale::new(Span::new(Moment::from_ms(from_ms), Moment::from_ms(from_ms + length_ms)), 0.0, width);
            let ticks = ticks(&scale, Moment::from_ms(injected_ms));
            prop_assert!(ticks.len() < 40, "{} ticks", ticks.len());
            let shown = apart(&ticks, &scale);
            let mut end = 0.0;
            for (tick, from_x) in shown {
                prop_assert!(from_x >= end);
                end = from_x + width_px(&tick.text, TEXT_PX, Weight::Regular);
                prop_assert!(end <= width + 0.01);
            }
        }
    }
}
