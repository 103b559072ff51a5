//! Readings of records that are awkward: begun or ended in an outage, interrupted, flapping, or watched too little.

use crate::baseline::{Health, PerMillion, baseline, fine_enough};
use crate::outage::Blind;
use crate::reading::{Last, Reading, read};
use crate::recovery::{Disruption, Healer, Recovered, StreamRecord, measure};
use crate::sample::{Failure, Outcome, Sample, Stream, StreamInfo, View};
use crate::time::{Interval, Moment, Mono, Nanos};
use crate::watch::{Injection, Watch, WatchEnd};

/// One tick: a request each, answered a tenth of a tick later, failed two tenths later.
const TICK: u64 = 10_000_000;
const STABLE: Nanos = Nanos(10 * TICK);

fn info() -> StreamInfo {
    StreamInfo {
        stream: Stream { probe: "storefront".into(), view: View::Fresh },
        kind: "http".into(),
        period_ns: Nanos(TICK),
        timeout_ns: Nanos(5 * TICK),
        asks: "http://shop.example/".into(),
        excluded: None,
    }
}

/// `+` answered, `-` refused, `?` not asked, space: no sample (nobody was there).
fn samples(drawn: &str) -> Vec<Sample> {
    let sample = |(seq, c): (u64, char)| {
        let due = seq * TICK;
        let (took, outcome) = match c {
            '+' => (TICK / 10, Outcome::Ok { node: 0, timeline: 0 }),
            '-' => (TICK / 5, Outcome::Failed(Failure::Refused)),
            '?' => (0, Outcome::Unknown),
            _ => return None,
        };
        Some(Sample { seq, due_ns: Mono(due), sent_ns: Mono(due), done_ns: Mono(due + took), outcome })
    };
    (0..).zip(drawn.chars()).filter_map(sample).collect()
}

/// Injected between ticks 2 and 3, watched until the end of the drawing.
fn watch(drawn: &str, end: WatchEnd) -> Watch {
    let request_ns = Mono(2 * TICK + TICK / 2);
    let injection = Injection { request_ns, reply_ns: request_ns.plus(Nanos(TICK / 4)) };
    Watch { injection: Some(injection), ended_ns: Mono(drawn.len() as u64 * TICK), end }
}

fn reading(drawn: &str) -> Reading {
    read(&info(), &samples(drawn), STABLE, &watch(drawn, WatchEnd::Satisfied))
}

fn ticks(lower_tenths: u64, upper_tenths: u64) -> Interval {
    Interval::new(Nanos(lower_tenths * TICK / 10), Some(Nanos(upper_tenths * TICK / 10)))
}

fn recovery_time(drawn: &str, end: WatchEnd, healer: Healer) -> Interval {
    let (info, samples) = (info(), samples(drawn));
    let records = [StreamRecord { info: &info, samples: &samples }];
    *measure(&records, STABLE, &watch(drawn, end), healer).recovery_time.known().unwrap()
}

#[test]
fn a_clean_outage_is_bounded_by_its_neighbours() {
    let reading = reading("++++----++++++++++++");
    let episode = &reading.episodes[0];
    assert_eq!(episode.start, Moment::between(Mono(3 * TICK), Mono(4 * TICK + TICK / 5)));
    assert_eq!(episode.end, Moment::between(Mono(7 * TICK), Mono(8 * TICK + TICK / 10)));
    assert_eq!(episode.length, ticks(28, 51));
    assert_eq!((episode.outages[0].failed, episode.outages[0].first_seq, episode.outages[0].last_seq), (4, 4, 7));
    assert_eq!(reading.downtime, ticks(28, 51));
    // Acknowledged at 8.1, held for ten ticks by the request at 19.
    assert_eq!(reading.stable_ns, Some(Mono(19 * TICK)));
    let gap = reading.longest_gap.unwrap();
    assert_eq!((gap.from_ns, gap.until_ns), (Mono(3 * TICK + TICK / 10), Mono(8 * TICK + TICK / 10)));
}

#[test]
fn the_first_answer_to_arrive_ends_an_outage_whichever_was_sent_first() {
    let mut samples = samples("++++----++++++++++++++");
    samples[8].done_ns = Mono(11 * TICK); // the first answer is slow, the next is there long before
    let reading = read(&info(), &samples, STABLE, &watch("++++----++++++++++++++", WatchEnd::Satisfied));
    let first = Mono(9 * TICK + TICK / 10);
    assert_eq!(reading.episodes[0].end, Moment::between(Mono(7 * TICK), first));
    assert_eq!(reading.episodes[0].outages[0].end.by_ns, Some(first));
    assert_eq!(reading.episodes[0].stable.unwrap().seq, 9);
}

#[test]
fn answers_that_had_queued_up_behind_a_stall_do_not_blur_the_start_of_the_next() {
    // Two stalls: what is sent in one times out, but for the last requests before its end, which are answered then.
    let drawn = "++++------++++++++++++++-----+++++++++++++";
    let mut samples = samples(drawn);
    for (i, until) in [(10, 14), (11, 14), (12, 14), (13, 14)] {
        samples[i].done_ns = Mono(until * TICK + TICK / 20);
    }
    for sample in samples.iter_mut().filter(|s| matches!(s.outcome, Outcome::Failed(_))) {
        sample.outcome = Outcome::Failed(Failure::TimedOut);
        sample.done_ns = sample.sent_ns.plus(Nanos(5 * TICK));
    }
    let reading = read(&info(), &samples, Nanos(5 * TICK), &watch(drawn, WatchEnd::Satisfied));
    let starts: Vec<Moment> = reading.episodes.iter().map(|e| e.start).collect();
    let between = |sent: u64| Moment::between(Mono(sent * TICK), Mono((sent + 1) * TICK + TICK / 10));
    assert_eq!(starts, [between(3), between(23)]);
}

#[test]
fn stability_needs_its_whole_time() {
    let reading = reading("++++----+++++++++++");
    assert_eq!(reading.stable_ns, None);
    assert_eq!(reading.episodes[0].end, Moment { after_ns: Some(Mono(7 * TICK)), by_ns: None });
    assert_eq!(reading.episodes[0].length.upper_ns, None);
}

#[test]
fn nothing_is_concluded_before_the_stable_time_behind_the_injection() {
    assert_eq!(reading("++++++++").stable_ns, None);
    assert!(!reading("++++++++").episodes[0].seen());
    let watched = reading("++++++++++++++");
    assert!(watched.episodes.is_empty());
    assert_eq!(watched.stable_ns, Some(Mono(13 * TICK)));
    let (info, samples) = (info(), samples("++++++++++++++"));
    let records = [StreamRecord { info: &info, samples: &samples }];
    let recovery = measure(&records, STABLE, &watch("++++++++++++++", WatchEnd::Satisfied), Healer::Itself);
    assert_eq!(recovery.disruption, Disruption::None);
    assert_eq!(recovery.recovered, Recovered::Yes);
    assert_eq!(*recovery.recovery_time.known().unwrap(), Interval::ZERO);
}

#[test]
fn short_outages_before_the_stable_run_are_one_episode_and_all_listed() {
    let reading = reading("++++-++-+---+++++++++++++");
    assert_eq!(reading.episodes.len(), 1);
    let episode = &reading.episodes[0];
    assert_eq!(episode.outages.iter().map(|o| o.failed).collect::<Vec<_>>(), [1, 1, 3]);
    assert_eq!(episode.end, Moment::between(Mono(11 * TICK), Mono(12 * TICK + TICK / 10)));
    // Only the three in a row are certainly down for a while. Each may be almost two ticks longer; where two may touch,
    // the time between them counts once.
    assert_eq!(reading.downtime, ticks(18, 21 + 61));
}

#[test]
fn an_outage_after_the_stable_run_is_an_episode_of_its_own() {
    let drawn = "++++--++++++++++++++-----++++++++++++++++++";
    let reading = reading(drawn);
    assert_eq!(reading.episodes.len(), 2);
    // The longer of the two counts, from its own start.
    assert_eq!(recovery_time(drawn, WatchEnd::Satisfied, Healer::Itself), ticks(38, 61));
}

#[test]
fn an_outage_that_never_ends_has_no_upper_bound_and_is_not_recovered() {
    let drawn = "++++------------";
    let (info, samples) = (info(), samples(drawn));
    let records = [StreamRecord { info: &info, samples: &samples }];
    let recovery = measure(&records, STABLE, &watch(drawn, WatchEnd::Deadline), Healer::Itself);
    assert_eq!(recovery.recovered, Recovered::No);
    assert_eq!(*recovery.recovery_time.known().unwrap(), Interval::new(Nanos(108 * TICK / 10), None));
    assert_eq!(recovery.stable_ns, None);
    // Cut short by a person, nobody can say.
    assert_eq!(measure(&records, STABLE, &watch(drawn, WatchEnd::Cut), Healer::Itself).recovered, Recovered::Unknown);
    // Back, but not for long enough: not known either.
    let (drawn, last) = ("++++----+++", WatchEnd::Deadline);
    let samples = self::samples(drawn);
    let records = [StreamRecord { info: &info, samples: &samples }];
    assert_eq!(measure(&records, STABLE, &watch(drawn, last), Healer::Itself).recovered, Recovered::Unknown);
}

#[test]
fn a_gap_in_the_record_may_hide_the_start_the_end_or_all_of_an_outage() {
    // The runner died in the outage and came back when it was over.
    let start_seen = reading("++++---        +++++++++++++");
    assert_eq!(start_seen.episodes[0].end, Moment::between(Mono(6 * TICK), Mono(15 * TICK + TICK / 10)));
    // It died before, and came back in it.
    let end_seen = reading("++++       ---++++++++++++++");
    assert_eq!(end_seen.episodes[0].start, Moment::between(Mono(3 * TICK), Mono(11 * TICK + TICK / 5)));
    // All may be hidden.
    let hidden = reading("++++        +++++++++++++++");
    let episode = &hidden.episodes[0];
    assert!(!episode.seen());
    assert_eq!(episode.length, ticks(0, 91));
    assert_eq!(hidden.downtime, ticks(0, 91));
    // Nobody came back.
    let lost = reading("++++");
    assert_eq!(lost.episodes[0].length, Interval::new(Nanos::ZERO, None));
    assert_eq!(lost.episodes[0].blind, [Blind { from_ns: Mono(3 * TICK), until_ns: None, answered_ns: None }]);
    assert_eq!(reading("").episodes[0].length.upper_ns, None);
}

#[test]
fn a_successor_that_counts_from_0_again_leaves_a_hole() {
    let mut samples = samples("++++----++++++++++++++++++");
    for sample in &mut samples[12..] {
        sample.seq -= 12;
    }
    let reading = read(&info(), &samples, STABLE, &watch("++++----++++++++++++++++++", WatchEnd::Satisfied));
    assert_eq!(reading.episodes[0].end, Moment::between(Mono(7 * TICK), Mono(12 * TICK + TICK / 10)));
}

#[test]
fn an_outage_with_a_long_gap_in_it_may_be_two() {
    // Ten ticks of silence between failures: it may have been up, and stable, in between.
    let reading = reading("++++---             ---+++++++++++++");
    let episode = &reading.episodes[0];
    assert_eq!(episode.outages.len(), 1);
    assert_eq!(episode.length.lower_ns, Nanos(18 * TICK / 10), "the longer of the two pieces");
    assert_eq!(episode.length.upper_ns, Some(Nanos(201 * TICK / 10)));
    assert_eq!(episode.outages[0].down.lower_ns, Nanos(36 * TICK / 10), "both pieces");
}

#[test]
fn one_slot_that_was_busy_breaks_the_stable_run_and_widens_the_end() {
    let reading = reading("++++----+++?+++++++++++++");
    let episode = &reading.episodes[0];
    assert_eq!(episode.end, Moment::between(Mono(7 * TICK), Mono(12 * TICK + TICK / 10)));
    assert_eq!(episode.blind.len(), 1);
    let beside = self::reading("++++?--?++++++++++++++++");
    assert_eq!(beside.episodes[0].start.after_ns, Some(Mono(3 * TICK)));
    assert_eq!(beside.episodes[0].end, Moment::between(Mono(6 * TICK), Mono(8 * TICK + TICK / 10)));
}

#[test]
fn failures_before_the_injection_are_kept_apart() {
    let reading = reading("+-++----++++++++++++");
    assert_eq!((reading.before.len(), reading.episodes.len()), (1, 1));
    assert!(!reading.failing_at_injection);
}

#[test]
fn an_outage_under_way_at_the_injection_is_told_and_counts_from_there() {
    let reading = reading("+-------++++++++++++");
    assert!(reading.failing_at_injection);
    assert_eq!(reading.episodes[0].start, Moment::between(Mono(25 * TICK / 10), Mono(32 * TICK / 10)));
}

#[test]
fn a_record_that_begins_behind_the_injection_starts_there() {
    let failing = reading("     ---++++++++++++++");
    assert_eq!(failing.episodes[0].start.after_ns, Some(Mono(25 * TICK / 10)));
    let answering = reading("     +++++++++++++++++");
    assert_eq!(answering.episodes[0].length, ticks(0, 26));
}

#[test]
fn without_an_injection_the_whole_record_counts() {
    let watch = Watch { injection: None, ended_ns: Mono(30 * TICK), end: WatchEnd::Satisfied };
    let reading = read(&info(), &samples("+--+++++++++++++++"), STABLE, &watch);
    assert_eq!(reading.episodes[0].outages[0].failed, 2);
    assert_eq!(read(&info(), &samples("--++++++++++++++++"), STABLE, &watch).episodes[0].length.upper_ns, None);
    assert_eq!(read(&info(), &[], STABLE, &watch).last, Last::Nothing);
}

#[test]
fn the_order_in_which_samples_come_in_changes_nothing() {
    let drawn = "++++-?+-+---++ ++++++++++++";
    let mut backwards = samples(drawn);
    backwards.reverse();
    assert_eq!(read(&info(), &backwards, STABLE, &watch(drawn, WatchEnd::Satisfied)), reading(drawn));
}

#[test]
fn when_firedrill_heals_the_clock_starts_with_the_recovery() {
    let drawn = "++++-----------++++++++++++";
    let began_ns = Mono(10 * TICK);
    let since_recovery = |detect_and_decide_ns| {
        recovery_time(drawn, WatchEnd::Satisfied, Healer::Firedrill { began_ns, detect_and_decide_ns })
    };
    assert_eq!(since_recovery(None), ticks(40, 51));
    assert_eq!(since_recovery(Some(Nanos(100 * TICK))), ticks(1040, 1051));
    assert_eq!(recovery_time(drawn, WatchEnd::Satisfied, Healer::People), ticks(98, 121));
    let (info, samples) = (info(), samples(drawn));
    let records = [StreamRecord { info: &info, samples: &samples }];
    let healer = Healer::Firedrill { began_ns, detect_and_decide_ns: None };
    let recovery = measure(&records, STABLE, &watch(drawn, WatchEnd::Satisfied), healer);
    assert_eq!(recovery.visible_outage, ticks(98, 121), "always shown");
    assert_eq!(
        recovery.since_injection.unwrap(),
        Interval::new(Nanos(1125 * TICK / 100), Some(Nanos(126 * TICK / 10)))
    );
}

#[test]
fn an_excluded_stream_is_shown_and_does_not_count() {
    let (drawn, bad) = ("++++----++++++++++++", "++++----------------");
    let excluded = StreamInfo { excluded: Some("a batch job".into()), ..info() };
    let (info, good_samples, bad_samples) = (info(), samples(drawn), samples(bad));
    let records =
        [StreamRecord { info: &info, samples: &good_samples }, StreamRecord { info: &excluded, samples: &bad_samples }];
    let recovery = measure(&records, STABLE, &watch(drawn, WatchEnd::Deadline), Healer::Itself);
    assert_eq!(recovery.recovered, Recovered::Yes);
    assert_eq!(*recovery.recovery_time.known().unwrap(), ticks(28, 51));
    assert_eq!(recovery.views[1].info.excluded.as_deref(), Some("a batch job"));
    assert_eq!(recovery.views[1].recovery.upper_ns, None);
}

#[test]
fn latencies_are_told_apart_by_phase() {
    let drawn = "++++----++++++++++++";
    let (info, samples) = (info(), samples(drawn));
    let records = [StreamRecord { info: &info, samples: &samples }];
    let recovery = measure(&records, STABLE, &watch(drawn, WatchEnd::Satisfied), Healer::Itself);
    let latency = recovery.views[0].latency;
    let counts = [latency.before, latency.during, latency.after].map(|s| s.map_or(0, |s| s.count));
    assert_eq!(counts, [3, 2, 11], "the answer that ends the outage was sent within it");
    assert_eq!(recovery.views[0].lateness.unwrap().max_ns, Nanos::ZERO);
}

#[test]
fn a_baseline_refuses_failures_beyond_what_is_tolerated_and_probes_that_do_not_ask() {
    let health = |drawn: &str, tolerated: u32| {
        baseline(&info(), &samples(drawn), Mono(0), Mono(1_000 * TICK), PerMillion(tolerated)).health
    };
    assert_eq!(health("++++++++++", 0), Health::Healthy);
    assert_eq!(health("+++++++++-", 0), Health::Failing);
    assert_eq!(health("+++++++++-", 100_000), Health::Healthy);
    assert_eq!(health("++++++++--", 199_999), Health::Failing);
    assert_eq!(health("----------", 999_999), Health::Failing);
    assert_eq!(health("++???", 0), Health::Unwatched);
    assert_eq!(health("", 1_000_000), Health::Unwatched);
    let later = baseline(&info(), &samples("--++"), Mono(2 * TICK), Mono(4 * TICK), PerMillion(0));
    assert_eq!((later.ok, later.failed, later.health), (2, 0, Health::Healthy));
}

#[test]
fn a_probe_coarser_than_a_twentieth_of_the_objective_is_refused() {
    assert!(fine_enough(&info(), Nanos(100 * TICK)).is_ok());
    let coarse = fine_enough(&info(), Nanos(99 * TICK)).unwrap_err();
    assert_eq!(
        coarse.to_string(),
        "probe storefront (fresh) is too coarse: its timeout is 50 ms, and an objective of 990 ms needs at most 49 ms; \
         lower the timeout, or exclude the probe with a reason"
    );
    let slow = StreamInfo { period_ns: Nanos(6 * TICK), ..info() };
    assert_eq!(fine_enough(&slow, Nanos(100 * TICK)).unwrap_err().what, "period");
}
