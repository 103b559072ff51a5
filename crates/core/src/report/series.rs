//! Samples thinned out for drawing. Every figure of a report is measured elsewhere, from all samples.

use super::moment::{Clock, Moment, Span};
use super::stream::{LatencyPoint, Segment, SegmentState, Series};
use crate::sample::{Outcome, Sample};
use crate::time::Nanos;

/// The most segments of one stream: more than twice the pixels of a wide drawing.
const SEGMENTS_MAX: usize = 2_000;

/// The latency buckets of one stream.
const BUCKETS: u64 = 300;

/// The narrowest latency bucket: below this a p99 has too few answers to mean anything.
const BUCKET_MIN: Nanos = Nanos::from_ms(100);

/// The series of one stream. `samples` are in order of their intended times; `period_ns` is the stream's.
pub fn of_samples(samples: &[Sample], period_ns: Nanos, clock: &Clock) -> Series {
    let Some((first, last)) = samples.first().zip(samples.last()) else {
        return Series::default();
    };
    let whole = Span::new(clock.moment(first.due_ns), clock.moment(last.due_ns.plus(period_ns)));
    let bucket_ns = Nanos((whole.length().0 / BUCKETS).max(BUCKET_MIN.0));
    Series { segments: segments(samples, whole, clock), bucket_ns, latency: latency(samples, whole, bucket_ns, clock) }
}

fn state(outcome: Outcome) -> SegmentState {
    match outcome {
        Outcome::Ok { .. } => SegmentState::Up,
        Outcome::Failed(_) => SegmentState::Down,
        Outcome::Unknown => SegmentState::Unknown,
    }
}

/// How a state shows through when several share a pixel: a failure is never painted over.
fn weight(state: SegmentState) -> u8 {
    match state {
        SegmentState::Up => 0,
        SegmentState::Unknown => 1,
        SegmentState::Down => 2,
    }
}

fn segments(samples: &[Sample], whole: Span, clock: &Clock) -> Vec<Segment> {
    let points = samples.iter().map(|s| (clock.moment(s.sent_ns).max(whole.from_ns), state(s.outcome)));
    let exact = runs(points.clone(), whole.to_ns);
    if exact.len() <= SEGMENTS_MAX {
        return exact;
    }
    let cell_ns = (whole.length().0 / SEGMENTS_MAX as u64).max(1);
    let mut cells: Vec<(Moment, SegmentState)> = Vec::new();
    for (at, state) in points {
        let start = Moment(whole.from_ns.0 + at.since(whole.from_ns).0 / cell_ns * cell_ns);
        match cells.last_mut() {
            Some((of, seen)) if *of == start => {
                if weight(state) > weight(*seen) {
                    *seen = state;
                }
            }
            _ => cells.push((start, state)),
        }
    }
    runs(cells.into_iter(), whole.to_ns)
}

/// Runs of equal states, each reaching to the next.
fn runs(points: impl Iterator<Item = (Moment, SegmentState)>, end: Moment) -> Vec<Segment> {
    let mut runs: Vec<Segment> = Vec::new();
    for (at, state) in points {
        match runs.last_mut() {
            Some(run) if run.state == state => {}
            Some(run) => {
                // Requests of one stream may overtake each other on their way out; time does not go back.
                let at = at.max(run.span.from_ns);
                run.span.to_ns = at;
                runs.push(Segment { span: Span::new(at, at), state });
            }
            None => runs.push(Segment { span: Span::new(at, at), state }),
        }
    }
    if let Some(run) = runs.last_mut() {
        run.span.to_ns = end.max(run.span.from_ns);
    }
    runs
}

fn latency(samples: &[Sample], whole: Span, bucket_ns: Nanos, clock: &Clock) -> Vec<LatencyPoint> {
    let mut points = Vec::new();
    let mut bucket: Vec<Nanos> = Vec::new();
    let mut number = 0;
    let mut close = |number: u64, bucket: &mut Vec<Nanos>| {
        if let Some(p99_ns) = p99(bucket) {
            let at_ns = whole.from_ns.plus(Nanos(number * bucket_ns.0 + bucket_ns.0 / 2));
            points.push(LatencyPoint { at_ns, p99_ns });
        }
        bucket.clear();
    };
    for sample in samples {
        let of = clock.moment(sample.due_ns).since(whole.from_ns).0 / bucket_ns.0;
        if of != number {
            close(number, &mut bucket);
            number = of;
        }
        if matches!(sample.outcome, Outcome::Ok { .. }) {
            // From the intended time, not the real one: a stall of the probe must not hide a stall of the service.
            bucket.push(sample.done_ns.since(sample.due_ns));
        }
    }
    close(number, &mut bucket);
    points
}

/// The nearest-rank p99; `None` of nothing.
fn p99(values: &mut [Nanos]) -> Option<Nanos> {
    values.sort_unstable();
    let rank = (values.len() * 99).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Failure;
    use crate::time::{Mono, Stamp};
    use proptest::prelude::*;

    const PERIOD: Nanos = Nanos::from_ms(10);

    fn clock() -> Clock {
        let opened = Stamp { boot: "b".into(), mono_ns: Mono(1_000), wall_ns: 0 };
        Clock::new(opened, Moment(0))
    }

    fn sample(seq: u64, outcome: Outcome, took_ms: u64) -> Sample {
        let due_ns = Mono(1_000).plus(Nanos(seq * PERIOD.0));
        Sample { seq, due_ns, sent_ns: due_ns, done_ns: due_ns.plus(Nanos::from_ms(took_ms)), outcome }
    }

    const OK: Outcome = Outcome::Ok { node: 0, timeline: 0 };
    const BAD: Outcome = Outcome::Failed(Failure::Refused);

    #[test]
    fn a_run_reaches_to_the_first_send_of_the_next() {
        let samples: Vec<_> =
            [OK, OK, BAD, Outcome::Unknown, OK].iter().enumerate().map(|(n, o)| sample(n as u64, *o, 1)).collect();
        let series = of_samples(&samples, PERIOD, &clock());
        let drawn: Vec<_> =
            series.segments.iter().map(|s| (s.span.from_ns.0 / PERIOD.0, s.span.to_ns.0 / PERIOD.0, s.state)).collect();
        assert_eq!(
            drawn,
            [
                (0, 2, SegmentState::Up),
                (2, 3, SegmentState::Down),
                (3, 4, SegmentState::Unknown),
                (4, 5, SegmentState::Up)
            ]
        );
    }

    #[test]
    fn latency_is_the_slowest_hundredth_of_good_answers_and_a_bucket_without_one_is_a_gap() {
        let mut samples: Vec<_> = (0..10).map(|n| sample(n, OK, if n == 3 { 80 } else { 2 })).collect();
        samples.extend((10..20).map(|n| sample(n, BAD, 1)));
        samples.extend((20..30).map(|n| sample(n, OK, 5)));
        let series = of_samples(&samples, PERIOD, &clock());
        assert_eq!(series.bucket_ns, BUCKET_MIN);
        let drawn: Vec<_> = series.latency.iter().map(|p| (p.at_ns.0 / 1_000_000, p.p99_ns.as_ms_f64())).collect();
        assert_eq!(drawn, [(50, 80.0), (250, 5.0)]);
    }

    #[test]
    fn no_samples_draw_nothing() {
        assert_eq!(of_samples(&[], PERIOD, &clock()), Series::default());
    }

    proptest! {
        #[test]
        fn segments_are_bounded_gapless_ordered_and_lose_no_failure(outcomes in prop::collection::vec(0_u8..3, 1..6_000)) {
            let samples: Vec<_> = outcomes
                .iter()
                .enumerate()
                .map(|(n, o)| sample(n as u64, [OK, BAD, Outcome::Unknown][usize::from(*o)], 1))
                .collect();
            let segments = of_samples(&samples, PERIOD, &clock()).segments;
            prop_assert!(segments.len() <= SEGMENTS_MAX + 1);
            for pair in segments.windows(2) {
                prop_assert_eq!(pair[0].span.to_ns, pair[1].span.from_ns);
                prop_assert!(pair[0].state != pair[1].state);
            }
            for sample in samples.iter().filter(|s| s.outcome == BAD) {
                let at = clock().moment(sample.sent_ns);
                let drawn = segments.iter().any(|s| s.state == SegmentState::Down && s.span.from_ns <= at && at <= s.span.to_ns);
                prop_assert!(drawn, "the failure at {:?} is not drawn", at);
            }
        }
    }
}
