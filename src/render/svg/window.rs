//! Which stretch of time is drawn.

use firedrill_core::report::{EventKind, Moment, Report, Span};
use firedrill_core::time::Nanos;

/// A zoom that shows more than this part of the whole shows nothing new.
const ZOOM_PART_MAX: f64 = 0.6;

/// The shortest stretch worth zooming into.
const ZOOM_MIN: Nanos = Nanos::from_ms(200);

/// From the first sample to the last, stretched to the objective when that is near.
pub(super) fn whole(report: &Report) -> Option<Span> {
    let segments = || report.streams.iter().flat_map(|s| &s.series.segments).map(|s| s.span);
    let from = segments().map(|s| s.from_ns).min()?;
    let to = segments().map(|s| s.to_ns).max()?;
    let length = to.since(from);
    if length == Nanos::ZERO {
        return None;
    }
    let objective = super::marks::objective_at(report).map(|at| at.latest_ns);
    let reach = from.plus(Nanos(length.0 + length.0 / 3));
    // A missed objective was passed on the way, so it is always within.
    let to = objective.filter(|at| *at > to && *at < reach).map_or(to, |at| at.plus(Nanos(length.0 / 25)));
    Some(Span::new(from, to))
}

/// Around everything between the injection and the recovery.
pub(super) fn zoom(report: &Report) -> Option<Span> {
    let whole = whole(report)?;
    let outages = || report.streams.iter().filter(|s| s.info.excluded.is_none()).flat_map(|s| &s.outages);
    let ends = outages().filter_map(|o| o.ended.known()).map(|b| b.latest_ns);
    let marks = report.events.iter().filter(|e| {
        matches!(
            e.kind,
            EventKind::Injected | EventKind::Landed | EventKind::Promoted | EventKind::FirstAck | EventKind::Disruption
        )
    });
    let points: Vec<Moment> = outages()
        .map(|o| o.began.earliest_ns)
        .chain(ends)
        .chain(marks.flat_map(|e| [e.at.earliest_ns, e.at.latest_ns]))
        .filter(|at| whole.from_ns <= *at && *at <= whole.to_ns)
        .collect();
    if outages().any(|o| o.ended.known().is_none()) {
        // It never ended: the seconds around it are all the rest.
        return None;
    }
    if outages().next().is_none() && !report.events.iter().any(|e| e.kind == EventKind::Promoted) {
        return None;
    }
    let (first, last) = (*points.iter().min()?, *points.iter().max()?);
    let length = last.since(first).0.max(ZOOM_MIN.0);
    let from = Moment(first.0.saturating_sub(length / 5)).max(whole.from_ns);
    let to = last.plus(Nanos(length * 2 / 5)).min(whole.to_ns);
    let part = to.since(from).0 as f64 / whole.length().0 as f64;
    (part <= ZOOM_PART_MAX && from < to).then(|| Span::new(from, to))
}
