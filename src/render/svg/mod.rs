//! The timeline as SVG: the whole drill, and the seconds around the outage. Drawn at several widths, of which the
//! page shows the one that fits, so that text keeps its size and nothing is scaled into illegibility.

mod axis;
mod dimension;
mod lanes;
mod latency;
mod marks;
mod window;

pub use axis::Scale;

use super::figure;
use super::text::clean;
use firedrill_core::report::{PhaseKind, Report, SegmentState, Span};
use maud::{Markup, html};

/// How wide a drawing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a phone.
    Narrow,
    /// For a tablet, and for paper.
    Middle,
    /// For a desk.
    Wide,
}

impl Format {
    /// Every format, with the class by which the page shows it.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Narrow, "narrow"), (Self::Middle, "middle"), (Self::Wide, "wide")];

    /// The width in pixels.
    fn width(self) -> f64 {
        match self {
            Self::Narrow => 344.0,
            Self::Middle => 680.0,
            Self::Wide => 1040.0,
        }
    }

    /// The room for names on the left; a phone has none, names stand above their lanes.
    fn gutter(self) -> f64 {
        match self {
            Self::Narrow => 0.0,
            Self::Middle => 128.0,
            Self::Wide => 160.0,
        }
    }

    /// The room for scales on the right.
    fn margin(self) -> f64 {
        match self {
            Self::Narrow => 0.0,
            Self::Middle | Self::Wide => 52.0,
        }
    }
}

/// What part of the drill is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The seconds around the outage.
    Zoom,
}

/// The size of all text in drawings, in pixels.
pub(crate) const TEXT_PX: f64 = 12.0;

/// The vertical places of a drawing, taken from top to bottom.
struct Cursor {
    y: f64,
}

impl Cursor {
    fn take(&mut self, height: f64) -> f64 {
        let at = self.y;
        self.y += height;
        at
    }
}

/// The stretch of time that a part shows, or `None` when there is nothing to see or the zoom would show no more
/// than the whole.
pub fn window(report: &Report, part: Part) -> Option<Span> {
    match part {
        Part::Whole => window::whole(report),
        Part::Zoom => window::zoom(report),
    }
}

/// Draws one part in one format. `id` must be unique on the page.
pub fn timeline(report: &Report, part: Part, format: Format, id: &str) -> Option<Markup> {
    let window = window(report, part)?;
    let (x0, x1) = (format.gutter(), format.width() - format.margin());
    let scale = Scale::new(window, x0, x1);
    let mut cursor = Cursor { y: 0.0 };

    let phase_labels_y = cursor.take(20.0);
    let dimension = dimension::draw(report, &scale, &mut cursor, part);
    let lanes = lanes::draw(report, &scale, format, &mut cursor);
    let latency = latency::draw(report, &scale, format, &mut cursor);
    let plot_bottom = cursor.take(0.0);
    let origin = report.origin();
    let axis = axis::draw(&scale, origin, plot_bottom, cursor.take(20.0));
    let marks = marks::draw(report, &scale, phase_labels_y + 20.0, plot_bottom, &mut cursor, format.width());
    let height = cursor.y + 4.0;

    Some(html! {
        svg viewBox=(format!("0 0 {:.0} {height:.0}", format.width())) role="img" class="timeline"
            aria-labelledby=(format!("{id}-title {id}-desc")) {
            title id=(format!("{id}-title")) { (title(part)) }
            desc id=(format!("{id}-desc")) { (description(report)) }
            (phases(report, &scale, phase_labels_y, plot_bottom))
            (axis.grid)
            (marks.lines)
            (lanes)
            (latency)
            (dimension)
            (axis.labels)
            (marks.labels)
        }
    })
}

fn title(part: Part) -> &'static str {
    match part {
        Part::Whole => "The whole drill",
        Part::Zoom => "The seconds around the outage",
    }
}

/// The class that colours a phase.
pub fn phase_class(kind: PhaseKind) -> &'static str {
    match kind {
        PhaseKind::Baseline => "p-baseline",
        PhaseKind::Disrupted => "p-disrupted",
        PhaseKind::Recovering => "p-recovering",
        PhaseKind::People => "p-people",
        PhaseKind::Settling => "p-settling",
        PhaseKind::Verifying => "p-verifying",
    }
}

fn phases(report: &Report, scale: &Scale, top: f64, bottom: f64) -> Markup {
    html! {
        @for phase in &report.phases {
            @if let Some((from, to)) = scale.clip(phase.span) {
                rect class=(phase_class(phase.kind)) x=(axis::px(from)) y=(axis::px(top)) width=(axis::px(to - from)) height=(axis::px(bottom - top)) {}
                @let label = clean(&phase.label);
                @if super::text::width_px(&label, TEXT_PX, super::text::Weight::Regular) + 8.0 <= to - from {
                    text class="quiet" x=(axis::px(from + 4.0)) y=(axis::px(top + 14.0)) { (label) }
                }
            }
        }
    }
}

/// The drawing in words, for whoever cannot see it.
fn description(report: &Report) -> String {
    let origin = report.origin();
    let mut said: Vec<String> = Vec::new();
    for stream in &report.streams {
        let name = format!("{} {}", clean(&stream.info.stream.probe), stream.info.stream.view.word());
        let downs: Vec<String> = stream
            .series
            .segments
            .iter()
            .filter(|s| s.state == SegmentState::Down)
            .take(5)
            .map(|s| format!("{} to {}", figure::offset(s.span.from_ns, origin), figure::offset(s.span.to_ns, origin)))
            .collect();
        said.push(if downs.is_empty() {
            format!("{name} was up throughout")
        } else {
            format!("{name} was down {}", downs.join(", "))
        });
    }
    for event in report.events.iter().filter(|e| e.kind.is_mark()) {
        said.push(format!("{} at {}", clean(&event.word), figure::offset(event.at.earliest_ns, origin)));
    }
    format!("Times since the injection. {}.", said.join("; "))
}
