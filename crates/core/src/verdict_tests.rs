//! The precedence of the verdict, on complete drills of which one thing is changed.

use crate::baseline::{Baseline, Health, PerMillion};
use crate::exercised::{Exercise, Exercised, Expected};
use crate::ledger::{Loss, SeqRange, Writes};
use crate::objective::{Held, Objective, ObjectiveKind};
use crate::reason::{Against, Check, CheckOutcome, Landing, Refusal, Severity, StepTrouble, Stop};
use crate::recovery::{Disruption, Healer, Recovered, Recovery};
use crate::sample::{Stream, View};
use crate::time::{Interval, Known, Moment, Mono, Nanos};
use crate::verdict::{ExitCode, Judged, Residue, Verdict, Word};

fn stream() -> Stream {
    Stream { probe: "orders-write".into(), view: View::Kept }
}

fn held(kind: ObjectiveKind, limit: u64, lower: u64, upper: Option<u64>) -> Held {
    let measured = Interval::new(Nanos::from_secs(lower), upper.map(Nanos::from_secs));
    Objective { kind, limit_ns: Nanos::from_secs(limit), source: None }.hold(Known::Known(measured))
}

/// A drill in which all is well.
fn good() -> Judged {
    let recovery_time = Interval::new(Nanos::from_ms(1_900), Some(Nanos::from_ms(1_920)));
    Judged {
        refusals: Vec::new(),
        stop: None,
        takeover: None,
        baselines: vec![Baseline {
            stream: stream(),
            ok: 1_000,
            failed: 0,
            unknown: 0,
            tolerated: PerMillion(0),
            latency: None,
            lateness: None,
            health: Health::Healthy,
        }],
        landing: Landing::Landed,
        recovery: Some(Recovery {
            stable_for_ns: Nanos::from_secs(5),
            healer: Healer::Itself,
            disruption: Disruption::Seen(Moment::between(Mono(10), Mono(20))),
            views: Vec::new(),
            recovery_time: Known::Known(recovery_time),
            visible_outage: recovery_time,
            since_injection: Some(recovery_time),
            downtime: recovery_time,
            longest_gap: None,
            recovered: Recovered::Yes,
            relapsed: Vec::new(),
            failing_at_injection: Vec::new(),
            stable_ns: Some(Mono(30)),
        }),
        exercise: Some((
            Expected::Promotion,
            Exercise {
                what: Known::Known(Exercised::Failover),
                promoted: Known::Known(true),
                timelines: Some((1, 2)),
                because: vec!["db-0 was primary on timeline 1, then db-1 on timeline 2".into()],
            },
        )),
        loss: Some(Known::Known(Loss {
            attempted: 1_800,
            acknowledged: 1_734,
            failed: 60,
            unknown: 6,
            lost: Vec::new(),
            doubtful: Vec::new(),
            recovered: 1,
            unexpected: 0,
            quiet_ns: Some(Nanos::from_ms(9)),
            split_brain: Vec::new(),
            span: Interval::ZERO,
        })),
        objectives: vec![
            held(ObjectiveKind::RecoveryTime, 30, 1, Some(2)),
            held(ObjectiveKind::RecoveryPoint, 0, 0, Some(0)),
        ],
        checks: vec![Check {
            name: "one primary".into(),
            expected: "1".into(),
            outcome: CheckOutcome::Held("1".into()),
        }],
        troubles: Vec::new(),
        residue: (Residue::Clean, String::new()),
    }
}

fn changed(change: impl FnOnce(&mut Judged)) -> Verdict {
    let mut judged = good();
    change(&mut judged);
    Verdict::of(judged)
}

fn recovery(judged: &mut Judged) -> &mut Recovery {
    judged.recovery.as_mut().unwrap()
}

fn loss(judged: &mut Judged) -> &mut Loss {
    match judged.loss.as_mut().unwrap() {
        Known::Known(loss) => loss,
        Known::Unknown(why) => panic!("{why}"),
    }
}

fn writes() -> Vec<Writes> {
    vec![Writes { stream: stream(), ranges: vec![SeqRange { first: 7, last: 9 }] }]
}

/// A change of the good drill.
type Change = (&'static str, fn(&mut Judged));

const BAD: [Change; 7] = [
    ("missed for certain", |j| j.objectives[0] = held(ObjectiveKind::RecoveryTime, 30, 31, None)),
    ("loss beyond the objective", |j| j.objectives[1] = held(ObjectiveKind::RecoveryPoint, 0, 1, Some(2))),
    ("split brain at any objective", |j| loss(j).split_brain = writes()),
    ("check broken", |j| j.checks[0].outcome = CheckOutcome::Broken("2".into())),
    ("not recovered", |j| recovery(j).recovered = Recovered::No),
    ("a backup that cannot be restored", |j| {
        j.troubles.push(StepTrouble { step: "restore".into(), what: "cut".into(), against: Against::Service });
    }),
    ("a missed objective of another kind", |j| {
        j.objectives.push(held(ObjectiveKind::RedundancyWithin, 60, 61, Some(62)));
    }),
];

const UNKNOWN: [Change; 14] = [
    ("straddles", |j| j.objectives[0] = held(ObjectiveKind::RecoveryTime, 30, 29, Some(31))),
    ("open", |j| j.objectives[0] = held(ObjectiveKind::RecoveryTime, 30, 2, None)),
    ("unmeasured", |j| {
        let objective = j.objectives[0].objective.clone();
        j.objectives[0] = objective.hold(Known::Unknown("no probe".into()));
    }),
    ("not landed", |j| j.landing = Landing::NotLanded("the pod is still there".into())),
    ("not sustained", |j| j.landing = Landing::NotSustained("a reconciler".into())),
    ("not exercised", |j| {
        let (_, exercise) = j.exercise.as_mut().unwrap();
        exercise.what = Known::Known(Exercised::RestartInPlace);
        exercise.promoted = Known::Known(false);
    }),
    ("exercise unknown", |j| {
        let (_, exercise) = j.exercise.as_mut().unwrap();
        exercise.what = Known::Unknown("nobody looked".into());
        exercise.promoted = Known::Unknown("nobody looked".into());
    }),
    ("loss unknown", |j| j.loss = Some(Known::Unknown("read once".into()))),
    ("readings disagree", |j| loss(j).doubtful = writes()),
    ("a quiet ledger", |j| loss(j).quiet_ns = Some(Nanos::from_secs(2))),
    ("check unknown", |j| j.checks[0].outcome = CheckOutcome::Unknown("no rights".into())),
    ("not seen stable", |j| recovery(j).recovered = Recovered::Unknown),
    ("failing before", |j| recovery(j).failing_at_injection = vec![stream()]),
    ("probes broken from the start", |j| j.baselines[0].health = Health::Failing),
];

#[test]
fn a_good_drill_passes_and_says_what_it_measured() {
    let verdict = Verdict::of(good());
    assert_eq!((verdict.word, verdict.exit_code()), (Word::Pass, ExitCode::Pass));
    assert_eq!(verdict.cause(), "recovery time (RTO) 1.00 to 2.00 s, objective 30 s");
    assert_eq!(verdict.next_action(), "");
    assert!(verdict.reasons.iter().all(|r| r.severity <= Severity::Good));
}

#[test]
fn anything_proven_bad_fails() {
    for (name, change) in BAD {
        let verdict = changed(change);
        assert_eq!((verdict.word, verdict.exit_code()), (Word::Fail, ExitCode::Fail), "{name}");
        assert!(!verdict.next_action().is_empty(), "{name}");
        assert_eq!(verdict.reasons[0].severity, Severity::Bad, "{name}");
    }
}

#[test]
fn anything_needed_and_unknown_is_inconclusive() {
    for (name, change) in UNKNOWN {
        let verdict = changed(change);
        assert_eq!((verdict.word, verdict.exit_code()), (Word::Inconclusive, ExitCode::Inconclusive), "{name}");
        assert!(!verdict.next_action().is_empty(), "{name}");
    }
}

#[test]
fn what_kept_the_fault_from_coming_about_is_the_cause_of_all_that_is_not_known() {
    let unknown = |name: &str| UNKNOWN.iter().find(|(n, _)| *n == name).unwrap().1;
    let verdict = changed(|j| {
        unknown("unmeasured")(j);
        unknown("loss unknown")(j);
        unknown("not landed")(j);
    });
    assert_eq!(verdict.cause(), "the fault never landed: the pod is still there");
    let verdict = changed(|j| {
        unknown("unmeasured")(j);
        unknown("not landed")(j);
        let (step, what) = ("evict pod orders-0".to_owned(), "a budget does not let it go".to_owned());
        j.troubles.push(StepTrouble { step, what, against: Against::Drill });
    });
    assert_eq!(verdict.cause(), "evict pod orders-0: a budget does not let it go");
}

#[test]
fn bad_is_over_stopped_is_over_unknown() {
    let stops = [Stop::Guard("storefront down for 2 min".into()), Stop::Person("Ctrl-C".into())];
    for stop in stops {
        for (name, change) in UNKNOWN {
            let verdict = changed(|j| {
                change(j);
                j.stop = Some(stop.clone());
            });
            assert_eq!((verdict.word, verdict.exit_code()), (Word::Aborted, ExitCode::Aborted), "{name}");
        }
        for (name, change) in BAD {
            let verdict = changed(|j| {
                change(j);
                j.stop = Some(stop.clone());
            });
            assert_eq!(verdict.word, Word::Fail, "{name}");
        }
    }
    // Pairs of which the second takes the first back, or leaves nothing to change.
    let exclusive = [
        ("check broken", "check unknown"),
        ("not recovered", "not seen stable"),
        ("split brain at any objective", "loss unknown"),
        ("missed for certain", "straddles"),
        ("missed for certain", "open"),
        ("missed for certain", "unmeasured"),
    ];
    for (bad, change_one) in BAD {
        for (unknown, change_other) in UNKNOWN.iter().filter(|(unknown, _)| !exclusive.contains(&(bad, unknown))) {
            let verdict = changed(|j| {
                change_other(j);
                change_one(j);
            });
            assert_eq!(verdict.word, Word::Fail, "{bad} and {unknown}");
        }
    }
}

#[test]
fn residue_is_judged_apart_and_its_exit_code_is_over_all() {
    let outstanding =
        |j: &mut Judged| j.residue = (Residue::Outstanding, "deployment web is still at 0 replicas".into());
    let verdict = changed(outstanding);
    assert_eq!((verdict.word, verdict.exit_code()), (Word::Pass, ExitCode::ResidueOutstanding));
    assert!(verdict.next_action().contains("firedrill undo"));
    assert!(!verdict.cause().contains("replicas"), "the cause is that of the verdict");
    let failed = changed(|j| {
        BAD[0].1(j);
        outstanding(j);
    });
    assert_eq!((failed.word, failed.exit_code()), (Word::Fail, ExitCode::ResidueOutstanding));
    let superseded = changed(|j| j.residue = (Residue::Superseded, "a person set web to 7".into()));
    assert_eq!((superseded.word, superseded.exit_code()), (Word::Pass, ExitCode::Pass));
}

#[test]
fn a_refusal_judges_nothing_else() {
    let refusal = Refusal { sentence: "the replica is 48 MB behind".into(), next_action: "Wait.".into() };
    let verdict = changed(|j| {
        j.refusals = vec![refusal];
        j.baselines[0].health = Health::Failing;
        recovery(j).recovered = Recovered::No;
    });
    assert_eq!((verdict.word, verdict.exit_code()), (Word::Refused, ExitCode::Refused));
    assert_eq!(verdict.cause(), "the replica is 48 MB behind");
    assert_eq!(verdict.next_action(), "Wait.");
}

#[test]
fn a_drill_that_asked_for_nothing_has_not_passed() {
    let verdict = changed(|j| {
        j.recovery = None;
        j.exercise = None;
        j.loss = None;
        j.objectives.clear();
        j.checks.clear();
    });
    assert_eq!(verdict.word, Word::Inconclusive);
}

#[test]
fn a_takeover_alone_changes_no_verdict_and_is_told() {
    let verdict = changed(|j| j.takeover = Some("the runner was killed; another went on after 3 s".into()));
    assert_eq!(verdict.word, Word::Pass);
    assert!(verdict.reasons.iter().any(|r| r.sentence.contains("another went on")));
}

#[test]
fn a_loss_within_its_objective_is_told_and_passes() {
    let verdict = changed(|j| {
        loss(j).lost = writes();
        j.objectives[1] = held(ObjectiveKind::RecoveryPoint, 5, 1, Some(2));
    });
    assert_eq!(verdict.word, Word::Pass);
    assert!(verdict.reasons.iter().any(|r| r.sentence == "3 of 1734 acknowledged writes are lost"));
}

#[test]
fn the_worst_of_several_exit_codes_is_the_one_that_needs_a_person_most() {
    let worst = |codes: &[ExitCode]| codes.iter().copied().reduce(ExitCode::worst).unwrap().code();
    assert_eq!(worst(&[ExitCode::Pass, ExitCode::Refused, ExitCode::Inconclusive]), 3);
    assert_eq!(worst(&[ExitCode::Fail, ExitCode::Aborted, ExitCode::Pass]), 1);
    assert_eq!(worst(&[ExitCode::Fail, ExitCode::ResidueOutstanding, ExitCode::Bug]), 6);
    assert_eq!(ExitCode::Bug.code(), 70);
    assert_eq!(ExitCode::Usage.code(), 2);
}
