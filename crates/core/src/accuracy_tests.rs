//! The measuring held against a simulated truth: inside every interval, tight where it can be, and never narrower for
//! what was not asked.

use crate::outage::resolution;
use crate::reading::{Reading, read};
use crate::recovery::{Healer, StreamRecord, measure};
use crate::sample::{Outcome, Sample, StreamInfo};
use crate::simulated::{
    Down, MS, Pause, Phase, Prober, Service, Trouble, US, chance, stream, true_episodes, truth, unknown,
};
use crate::time::{Interval, Known, Mono, Nanos};
use crate::watch::{Injection, Watch, WatchEnd};
use proptest::prelude::*;

const STABLE: u64 = 300 * MS;
const TIMEOUT: u64 = 50 * MS;
const PERIOD: u64 = 10 * MS;
const INJECTED: u64 = 500 * MS;
const ENDED: u64 = 3_000 * MS;
const STEP: u64 = 50 * US;

fn watch() -> Watch {
    let injection = Injection { request_ns: Mono(INJECTED), reply_ns: Mono(INJECTED + 2 * MS) };
    Watch { injection: Some(injection), ended_ns: Mono(ENDED), end: WatchEnd::Deadline }
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        Just(Trouble::Killed),
        Just(Trouble::BlackHole),
        Just(Trouble::Stalled),
        Just(Trouble::ReadOnly),
        Just(Trouble::Wrong),
        (1..3 * TIMEOUT).prop_map(Trouble::Slow),
    ]
}

/// Troubles one after the other behind the injection, from a blip to longer than the stable time, or flapping.
fn phases() -> impl Strategy<Value = Vec<Phase>> {
    let length = prop_oneof![MS..20 * MS, 20 * MS..200 * MS, 200 * MS..900 * MS];
    let pause = prop_oneof![MS..30 * MS, 30 * MS..250 * MS, 250 * MS..700 * MS];
    prop::collection::vec((pause, length, trouble()), 0..6).prop_map(|troubles| {
        let mut at = INJECTED;
        let mut phases = Vec::new();
        for (pause, length, trouble) in troubles {
            let from = at + pause;
            at = from + length;
            phases.push(Phase { from, until: at, trouble });
        }
        phases
    })
}

fn pauses() -> impl Strategy<Value = Vec<(u64, u64, Pause)>> {
    let kind = prop_oneof![Just(Pause::Late), Just(Pause::Unknown), Just(Pause::Lost)];
    prop::collection::vec((0..ENDED, MS..300 * MS, kind), 0..4)
        .prop_map(|all| all.into_iter().map(|(from, length, kind)| (from, from + length, kind)).collect())
}

fn case() -> impl Strategy<Value = (Service, Prober)> {
    let service = (phases(), 100 * US..4 * MS, any::<u64>());
    let prober = (2_usize..12, 0..15 * MS, pauses(), any::<u64>());
    (service, prober).prop_map(|((phases, latency, seed), (slots, late, pauses, send_seed))| {
        let service = Service { phases, latency, timeout: TIMEOUT, seed };
        let prober = Prober { period: PERIOD, slots, late, pauses, seed: send_seed };
        (service, prober)
    })
}

fn recovery_time(info: &StreamInfo, samples: &[Sample]) -> Interval {
    let recovery = measure(&[StreamRecord { info, samples }], Nanos(STABLE), &watch(), Healer::Itself);
    *recovery.recovery_time.known().unwrap()
}

/// Bounds loosened by the step in which the truth was sampled.
fn holds(interval: Interval, length: u64) -> bool {
    interval.lower_ns.0 <= length + 2 * STEP && interval.upper_ns.is_none_or(|upper| length <= upper.0 + 2 * STEP)
}

fn true_downs(service: &Service, info: &StreamInfo, samples: &[Sample]) -> Vec<Down> {
    // Behind the last request nobody looked.
    let until = samples.iter().filter(|s| s.outcome != Outcome::Unknown).map(|s| s.sent_ns.0).max().unwrap_or(0);
    truth(service, samples, (INJECTED, until), resolution(info).0, STEP)
}

fn true_recovery(downs: &[Down]) -> u64 {
    true_episodes(downs, STABLE).iter().map(|e| e.until - e.from).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_true_recovery_time_and_downtime_lie_inside((service, prober) in case()) {
        let samples = prober.probe(&service, ENDED);
        let info = stream(&service, &prober);
        let downs = true_downs(&service, &info, &samples);
        let recovery = recovery_time(&info, &samples);
        let reading = read(&info, &samples, Nanos(STABLE), &watch());
        prop_assert!(holds(recovery, true_recovery(&downs)), "{recovery:?} for {:?}: {reading:#?}", true_episodes(&downs, STABLE));
        let down: u64 = downs.iter().map(|d| d.until - d.from).sum();
        let slack = STEP * downs.len() as u64;
        prop_assert!(reading.downtime.lower_ns.0 <= down + slack, "{:?} for {down}: {downs:?} {reading:#?}", reading.downtime);
        prop_assert!(reading.downtime.upper_ns.is_none_or(|upper| down <= upper.0 + slack), "{:?} for {down}: {downs:?} {reading:#?}", reading.downtime);
    }

    #[test]
    fn a_request_not_asked_never_narrows((service, prober) in case(), forget in 1_u64..6, seed in any::<u64>(), how in any::<bool>()) {
        let samples = prober.probe(&service, ENDED);
        let info = stream(&service, &prober);
        let slowest = samples.iter().map(|s| s.done_ns.since(s.sent_ns)).max().unwrap_or_default();
        let fewer: Vec<Sample> = samples.iter().enumerate().filter_map(|(i, s)| {
            let forgotten = chance(seed, s.seq, 6) < forget;
            match (forgotten, how, i + 1 == samples.len()) {
                (false, _, _) | (true, true, true) => Some(*s),
                (true, false, _) => Some(unknown(s.seq, s.due_ns.0)),
                (true, true, false) => None,
            }
        }).collect();
        let (all, some) = (recovery_time(&info, &samples), recovery_time(&info, &fewer));
        // A slow answer that was not asked for takes its share from the bound on in-flight requests.
        let slack = slowest.0.min(TIMEOUT) + prober.late;
        let told = || format!("{:#?}\n{:#?}", read(&info, &samples, Nanos(STABLE), &watch()).episodes, read(&info, &fewer, Nanos(STABLE), &watch()).episodes);
        prop_assert!(some.lower_ns.0 <= all.lower_ns.0 + slack, "{some:?} within {all:?}\n{}", told());
        prop_assert!(some.upper_ns.is_none_or(|s| all.upper_ns.is_some_and(|a| a <= s)), "{some:?} within {all:?}\n{}", told());
    }
}

/// Whose recovery time is that of several views: each view's first episode from the first disruption of any when it
/// begins within the stable time behind it, every other from its own start.
fn true_recovery_of(views: &[Vec<Down>]) -> u64 {
    let episodes: Vec<Vec<Down>> = views.iter().map(|downs| true_episodes(downs, STABLE)).collect();
    let Some(disrupted) = episodes.iter().filter_map(|e| e.first()).map(|e| e.from).min() else { return 0 };
    let lengths = episodes.iter().flat_map(|view| {
        view.iter().enumerate().map(|(i, episode)| {
            let joins = i == 0 && episode.from < disrupted + STABLE;
            episode.until - if joins { disrupted } else { episode.from }
        })
    });
    lengths.max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_true_recovery_time_of_two_views_lies_inside((service, prober) in case(), (other, _) in case(), fresh in 2_u64..6, seed in any::<u64>()) {
        let slow = Prober { period: fresh * PERIOD, seed, ..prober.clone() };
        let kept = (prober.probe(&service, ENDED), stream(&service, &prober));
        let fresh = (slow.probe(&other, ENDED), stream(&other, &slow));
        let records = [StreamRecord { info: &kept.1, samples: &kept.0 }, StreamRecord { info: &fresh.1, samples: &fresh.0 }];
        let recovery = measure(&records, Nanos(STABLE), &watch(), Healer::Itself);
        let views = [true_downs(&service, &kept.1, &kept.0), true_downs(&other, &fresh.1, &fresh.0)];
        let measured = *recovery.recovery_time.known().unwrap();
        prop_assert!(holds(measured, true_recovery_of(&views)), "{measured:?} for {} of {views:?}", true_recovery_of(&views));
    }
}

/// One trouble of a service that is well otherwise, with a prober that has slots enough.
fn clean() -> impl Strategy<Value = (Service, Prober)> {
    let kind = prop_oneof![
        Just(Trouble::Killed),
        Just(Trouble::BlackHole),
        Just(Trouble::Stalled),
        Just(Trouble::ReadOnly),
        Just(Trouble::Wrong),
    ];
    (kind, 0..100 * MS, TIMEOUT + PERIOD + 10 * MS..1_500 * MS, 100 * US..1_500 * US, 0..MS, any::<u64>()).prop_map(
        |(trouble, pause, length, latency, late, seed)| {
            let from = INJECTED + pause;
            let phases = vec![Phase { from, until: from + length, trouble }];
            let service = Service { phases, latency, timeout: TIMEOUT, seed };
            (service, Prober { period: PERIOD, slots: 12, late, pauses: Vec::new(), seed: seed ^ 1 })
        },
    )
}

fn clean_reading(service: &Service, prober: &Prober) -> (Vec<Sample>, Reading) {
    let samples = prober.probe(service, ENDED);
    let reading = read(&stream(service, prober), &samples, Nanos(STABLE), &watch());
    (samples, reading)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn what_stopped_and_started_lies_inside_and_the_bounds_are_tight((service, prober) in clean()) {
        let (_, reading) = clean_reading(&service, &prober);
        let phase = service.phases[0];
        prop_assert_eq!(reading.episodes.len(), 1);
        let episode = &reading.episodes[0];
        prop_assert!(episode.start.contains(Mono(phase.from)), "start {:?} of {phase:?}", episode.start);
        prop_assert!(episode.end.contains(Mono(phase.until)), "end {:?} of {phase:?}", episode.end);
        let (first, last) = (&episode.outages[0], &episode.outages[episode.outages.len() - 1]);
        prop_assert!(first.start.contains(Mono(phase.from)) && last.end.contains(Mono(phase.until)), "{:#?}", episode.outages);
        prop_assert!(episode.length.contains(Nanos(phase.until - phase.from)));
        let width = episode.length.upper_ns.unwrap().0 - episode.length.lower_ns.0;
        let stall = if phase.trouble == Trouble::Stalled { TIMEOUT } else { 0 };
        // Two periods, the lateness of the two sends that bound each of them, and the answers' latency.
        prop_assert!(width <= 2 * PERIOD + 2 * prober.late + 6 * service.latency + stall, "{width} wide: {episode:#?}");
        prop_assert_eq!(reading.stable_ns.is_some(), true);
    }
}

/// A rule for the four bounds of a clean outage: last answer before, failures, first answer after.
type Rule = fn(&Sample, &[Sample], &Sample) -> ((Mono, Mono), (Mono, Mono));

/// How often a rule's bounds miss the truth in many clean cases.
fn misses(rule: Rule) -> usize {
    let mut misses = 0;
    for seed in 0..400 {
        let troubles = [Trouble::Killed, Trouble::BlackHole, Trouble::Stalled, Trouble::ReadOnly, Trouble::Wrong];
        let from = INJECTED + chance(seed, 1, 100 * MS);
        let until = from + 100 * MS + chance(seed, 2, 400 * MS);
        let phase = Phase { from, until, trouble: troubles[usize::try_from(seed).unwrap() % troubles.len()] };
        let service = Service { phases: vec![phase], latency: 2 * MS, timeout: TIMEOUT, seed };
        let prober = Prober { period: PERIOD, slots: 12, late: MS, pauses: Vec::new(), seed };
        let samples = prober.probe(&service, ENDED);
        let first = samples.iter().position(|s| matches!(s.outcome, Outcome::Failed(_))).unwrap();
        let after = first + samples[first..].iter().position(|s| matches!(s.outcome, Outcome::Ok { .. })).unwrap();
        let (start, end) = rule(&samples[first - 1], &samples[first..after], &samples[after]);
        let inside = start.0.0 <= from && from <= start.1.0 && end.0.0 <= until && until <= end.1.0;
        misses += usize::from(!inside);
    }
    misses
}

#[test]
fn plausible_wrong_rules_miss_the_truth_and_the_right_one_does_not() {
    let right: Rule = |before, failed, after| {
        let last = failed[failed.len() - 1];
        let known = failed.iter().map(|s| s.done_ns).min().unwrap();
        ((before.sent_ns, known), (last.sent_ns, after.done_ns))
    };
    assert_eq!(misses(right), 0);
    let wrong: [(&str, Rule); 5] = [
        ("the end is behind the last failure's outcome", |b, f, a| {
            ((b.sent_ns, f[0].done_ns), (f[f.len() - 1].done_ns.min(a.done_ns), a.done_ns))
        }),
        ("the start is before the first failure was sent", |b, f, a| {
            ((b.sent_ns, f[0].sent_ns), (f[f.len() - 1].sent_ns, a.done_ns))
        }),
        ("the start is behind the last answer's arrival", |b, f, a| {
            ((b.done_ns, f[0].done_ns), (f[f.len() - 1].sent_ns, a.done_ns))
        }),
        ("the end is before the first answer was sent", |b, f, a| {
            ((b.sent_ns, f[0].done_ns), (f[f.len() - 1].sent_ns, a.sent_ns))
        }),
        ("due times are send times", |b, f, a| ((b.due_ns, f[0].due_ns), (f[f.len() - 1].due_ns, a.due_ns))),
    ];
    for (name, rule) in wrong {
        assert!(misses(rule) > 0, "`{name}` was never caught");
    }
}

#[test]
fn a_stall_shorter_than_the_timeout_is_no_outage() {
    let phase =
        Phase { from: INJECTED + 3 * MS, until: INJECTED + 3 * MS + TIMEOUT - 10 * MS, trouble: Trouble::Stalled };
    let service = Service { phases: vec![phase], latency: MS, timeout: TIMEOUT, seed: 7 };
    let prober = Prober { period: PERIOD, slots: 12, late: 0, pauses: Vec::new(), seed: 7 };
    let (samples, reading) = clean_reading(&service, &prober);
    assert!(reading.episodes.is_empty(), "{reading:#?}");
    assert_eq!(recovery_time(&stream(&service, &prober), &samples), Interval::ZERO);
    assert!(reading.longest_gap.unwrap().length_ns.0 >= TIMEOUT - 12 * MS, "it is listed as the longest gap");
}

#[test]
fn an_unknown_that_counts_as_an_answer_would_hide_an_outage() {
    // Two slots and a black hole: most of it was never asked, and the whole of it must stay possible.
    let phase = Phase { from: INJECTED + 100 * MS, until: INJECTED + 160 * MS, trouble: Trouble::Stalled };
    let service = Service { phases: vec![phase], latency: MS, timeout: TIMEOUT, seed: 7 };
    let prober = Prober { period: PERIOD, slots: 2, late: 0, pauses: Vec::new(), seed: 7 };
    let (samples, reading) = clean_reading(&service, &prober);
    let downs = true_downs(&service, &stream(&service, &prober), &samples);
    assert!(reading.counts.unknown > 0);
    assert!(holds(recovery_time(&stream(&service, &prober), &samples), true_recovery(&downs)));
    let filled: Vec<Sample> = samples
        .iter()
        .map(|s| match s.outcome {
            Outcome::Unknown => Sample { outcome: Outcome::Ok { node: 0, timeline: 1 }, ..*s },
            _ => *s,
        })
        .collect();
    let wrong = recovery_time(&stream(&service, &prober), &filled);
    assert!(
        !holds(wrong, true_recovery(&downs))
            || wrong.upper_ns < recovery_time(&stream(&service, &prober), &samples).upper_ns
    );
}

#[test]
fn without_a_counted_probe_the_recovery_time_is_unknown() {
    let recovery = measure(&[], Nanos(STABLE), &watch(), Healer::Itself);
    assert!(matches!(recovery.recovery_time, Known::Unknown(_)));
}
