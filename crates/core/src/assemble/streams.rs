//! What each probe saw, and the recovery over all of them.

use super::case::{Case, CaseStream};
use super::measured::Measured;
use crate::plan::Heal;
use crate::recovery::{self, Healer, ViewRecovery};
use crate::report::{
    Bracket, ClockRule, Counts, DetectAndDecide, Disruption, Latency, LatencyStory, Lateness, Outage, Recovery,
    StreamReport, series,
};
use crate::sample::{Failure, Stream};
use crate::spread::Spread;
use crate::time::{Interval, Known, Moment};

/// A moment of the measuring as a bracket of the report; an open end is the end of the drill.
fn bracket(case: &Case<'_>, at: Moment) -> Bracket {
    let earliest = at.after_ns.map_or(crate::report::Moment(0), |a| case.clock.moment(a));
    let latest = at.by_ns.map_or(case.clock.closed_ns, |b| case.clock.moment(b));
    Bracket::new(earliest.min(latest), latest)
}

pub(super) fn recovery(case: &Case<'_>, measured: &Measured) -> Known<Recovery> {
    let restore = case.plan().is_some_and(|p| p.heal == Heal::Work);
    let missing = |what: &str| Known::Unknown(what.to_owned());
    let settings = &case.opening.settings;
    let injection = case.injection();
    if injection.is_none() && !restore {
        return missing("nothing was injected");
    }
    let of = measured.recovery.as_ref();
    let (rule, detect_and_decide) = match of.map(|r| r.healer) {
        None => (ClockRule::RestoreOnly, DetectAndDecide::NotExercised),
        Some(Healer::Itself) => (ClockRule::SelfHeal, DetectAndDecide::Exercised),
        Some(Healer::People) => (ClockRule::People, DetectAndDecide::Exercised),
        Some(Healer::Firedrill { detect_and_decide_ns, .. }) => {
            let declared = detect_and_decide_ns.map_or(DetectAndDecide::NotExercised, DetectAndDecide::Declared);
            (ClockRule::Firedrill, declared)
        }
    };
    let known = |i: Option<Interval>, why: &str| i.map_or_else(|| missing_interval(why), Known::Known);
    Known::Known(Recovery {
        rule,
        rto: of.map_or_else(|| missing_interval("no probe watched"), |r| r.recovery_time.clone()),
        worst_stream: of.and_then(worst),
        injection: injection.map_or_else(
            || Known::Unknown("nothing was injected".to_owned()),
            |(a, b)| Known::Known(Bracket::new(case.clock.moment(a), case.clock.moment(b))),
        ),
        disruption: of
            .map_or_else(|| Known::Unknown("no probe watched".to_owned()), |r| disruption(case, &r.disruption)),
        since_injection: known(of.and_then(|r| r.since_injection), "there was no disruption"),
        user_outage: known(of.map(|r| r.visible_outage), "no probe watched"),
        total_downtime: known(of.map(|r| r.downtime), "no probe watched"),
        longest_gap: of
            .and_then(|r| r.longest_gap)
            .map_or_else(|| Known::Unknown("no answer was acknowledged".to_owned()), |gap| Known::Known(gap.length_ns)),
        detect_and_decide,
        restore_duration: restore.then(|| {
            let duration = case.restore().and_then(Result::ok).and_then(crate::restore::RestoreRecord::duration);
            known(duration.map(|d| Interval::new(d, Some(d))), "the restore was not whole")
        }),
        redundancy: measured.redundancy.clone(),
        alert: missing_interval("alerts were not watched"),
        stable_for_ns: settings.stable_ns,
        deadline_ns: settings.deadline_ns,
    })
}

fn missing_interval(why: &str) -> Known<Interval> {
    Known::Unknown(why.to_owned())
}

fn disruption(case: &Case<'_>, of: &recovery::Disruption) -> Known<Disruption> {
    match of {
        recovery::Disruption::None => Known::Known(Disruption::None),
        recovery::Disruption::Possible(_) => {
            Known::Unknown("no failure was seen, and one may hide where nobody watched".to_owned())
        }
        recovery::Disruption::Seen(at) => Known::Known(Disruption::Seen(bracket(case, *at))),
    }
}

/// The counted stream with the worst recovery.
fn worst(recovery: &recovery::Recovery) -> Option<Stream> {
    let counted = recovery.views.iter().filter(|v| v.info.excluded.is_none());
    let bound = |v: &ViewRecovery| v.recovery.upper_ns.map_or(u64::MAX, |u| u.0);
    counted.max_by_key(|v| (bound(v), v.recovery.lower_ns.0)).map(|v| v.info.stream.clone())
}

pub(super) fn reports(case: &Case<'_>, measured: &Measured) -> Vec<StreamReport> {
    case.streams.iter().map(|stream| report(case, measured, stream)).collect()
}

fn report(case: &Case<'_>, measured: &Measured, stream: &CaseStream) -> StreamReport {
    let view = measured.recovery.as_ref().and_then(|r| r.views.iter().find(|v| v.info.stream == stream.info.stream));
    let unmeasured = || Known::Unknown("nothing was injected".to_owned());
    let mut samples = stream.samples.clone();
    samples.sort_by_key(|s| (s.due_ns, s.seq));
    let counts = view.map_or_else(
        || crate::reading::read(&stream.info, &samples, case.opening.settings.stable_ns, &measured.watch).counts,
        |v| v.reading.counts,
    );
    let outages = view.map_or_else(Vec::new, |v| {
        let after = v.reading.episodes.iter().flat_map(|e| &e.outages);
        v.reading.before.iter().chain(after).map(|o| outage(case, o)).collect()
    });
    let spread = |s: Option<Spread>| {
        s.map_or_else(
            || Known::Unknown("no good answer in that time".to_owned()),
            |s| Known::Known(Latency { count: s.count, p50_ns: s.p50_ns, p99_ns: s.p99_ns, max_ns: s.max_ns }),
        )
    };
    let latency = view.map(|v| v.latency);
    StreamReport {
        info: stream.info.clone(),
        counts: Counts { ok: counts.ok, failed: counts.failed, unknown: counts.unknown },
        outages,
        downtime: view.map_or_else(unmeasured, |v| Known::Known(v.reading.downtime)),
        recovery: view.map_or_else(unmeasured, |v| Known::Known(v.recovery)),
        stalls: Vec::new(),
        latency: LatencyStory {
            before: spread(latency.and_then(|l| l.before)),
            during: spread(latency.and_then(|l| l.during)),
            after: spread(latency.and_then(|l| l.after)),
        },
        lateness: view.and_then(|v| v.lateness).map_or_else(
            || Known::Unknown("nothing was asked".to_owned()),
            |s| Known::Known(Lateness { p99_ns: s.p99_ns, max_ns: s.max_ns }),
        ),
        series: series::of_samples(&samples, stream.info.period_ns, &case.clock),
    }
}

fn outage(case: &Case<'_>, outage: &crate::outage::Outage) -> Outage {
    let word = |f: Failure| match f {
        Failure::Refused => "refused",
        Failure::TimedOut => "timed out",
        Failure::Broken => "connection broken",
        Failure::Dns => "name not resolved",
        Failure::Login => "login failed",
        Failure::Error => "error",
        Failure::WrongAnswer => "wrong answer",
        Failure::ReadOnly => "read-only",
        Failure::TooSlow => "too slow",
    };
    let failures: Vec<String> = outage.failures.iter().map(|f| format!("{} {}", word(f.failure), f.count)).collect();
    Outage {
        began: bracket(case, outage.start),
        ended: match outage.end.by_ns {
            Some(_) => Known::Known(bracket(case, outage.end)),
            None => Known::Unknown("no good answer followed while anybody asked".to_owned()),
        },
        length: outage.down,
        failures: failures.join(", "),
    }
}
