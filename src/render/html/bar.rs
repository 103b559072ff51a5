//! A measured interval against its objective, as one bar. It holds no text, so nothing in it can overlap or be cut.

use crate::render::figure;
use firedrill_core::report::{Attainment, Objective};
use firedrill_core::time::Interval;
use maud::{Markup, html};

/// The bar with its key, or nothing when the measure is not known.
pub(super) fn draw(objective: &Objective) -> Option<Markup> {
    let measured = *objective.measured.known()?;
    let limit = objective.limit_ns.0 as f64;
    let furthest = measured.upper_ns.unwrap_or(measured.lower_ns).0 as f64;
    let full = (limit * 1.2).max(furthest * 1.1).max(1.0);
    let percent = |value: f64| format!("{:.2}%", (value / full * 100.0).clamp(0.0, 100.0));
    let (lower, upper) = (measured.lower_ns.0 as f64, measured.upper_ns.map_or(full, |u| u.0 as f64));
    let said = format!("measured {}, objective {}", figure::interval(measured), figure::duration(objective.limit_ns));
    Some(html! {
        svg class="bar" role="img" aria-label=(said) {
            rect class="track" x="0" y="9" width="100%" height="14" rx="3" {}
            rect class="allowed" x="0" y="9" width=(percent(limit)) height="14" rx="3" opacity=".45" {}
            rect class=(measure_class(objective.attainment)) x="0" y="12" width=(percent(lower)) height="8" {}
            rect class="edge" x=(percent(lower)) y="7" width=(percent((upper - lower).max(full * 0.006))) height="18" rx="1" {}
            line class="limit" x1=(percent(limit)) x2=(percent(limit)) y1="2" y2="30" {}
        }
        p class="key" {
            span { i class="k-edge" {} "measured, with its bounds" (open_end(measured)) }
            span { i class="k-edge" style="width:3px;height:14px" {} "objective " (figure::duration(objective.limit_ns)) }
        }
    })
}

fn measure_class(attainment: Attainment) -> &'static str {
    match attainment {
        Attainment::Missed => "down",
        Attainment::Met | Attainment::Undecided | Attainment::NotReached => "measured",
    }
}

fn open_end(measured: Interval) -> &'static str {
    if measured.upper_ns.is_none() { "; the end was not seen" } else { "" }
}
