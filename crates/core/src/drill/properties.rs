//! Properties of the drill under any records and any inputs: it never panics, a record that cannot be true changes nothing,
//! and what it says itself can always be written.

use super::{Drill, Input, Landing, StreamNow, Surveyed};
use crate::change::Change;
use crate::effect::{Epoch, Holding, Reply, StepId, Undone, Version};
use crate::event::{Answered, Event, Intent, Record, Refusal, TakeOver, WorkEnd, WorkResult};
use crate::plan::{Plan, Work};
use crate::sample::{Stream, StreamInfo, View};
use crate::sight::{DeploymentView, DeploymentsView, Sight, TargetView};
use crate::simulation::Scenario;
use crate::time::{Mono, Nanos, Stamp};
use proptest::prelude::*;
use std::sync::Arc;

const STREAMS: usize = 1;

fn scenario() -> impl Strategy<Value = Scenario> {
    prop_oneof![
        Just(Scenario::effects()),
        Just(Scenario::held()),
        Just(Scenario::killed()),
        Just(Scenario::kept_down()),
        Just(Scenario::frozen()),
        Just(Scenario::unmanaged()),
        Just(Scenario::restored())
    ]
}

fn streams(n: usize) -> Vec<StreamInfo> {
    let info = StreamInfo {
        stream: Stream { probe: "shop".to_owned(), view: View::Kept },
        kind: "http".to_owned(),
        period_ns: Nanos::from_ms(10),
        timeout_ns: Nanos::from_ms(10),
        asks: "shop".to_owned(),
        excluded: None,
    };
    vec![info; n]
}

/// Step ids, one beyond the longest plan included.
fn step() -> impl Strategy<Value = StepId> {
    (0..6_u16).prop_map(StepId)
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        4 => Just(Reply::Applied),
        1 => Just(Reply::Conflict("moved".to_owned())),
        1 => Just(Reply::Rejected("no".to_owned())),
        1 => Just(Reply::Unknown("lost".to_owned())),
    ]
}

fn holding() -> impl Strategy<Value = Holding> {
    prop_oneof![
        Just(Holding::Prior),
        Just(Holding::Ours),
        Just(Holding::ByDeadMan),
        Just(Holding::Other("7".to_owned())),
        Just(Holding::Gone),
    ]
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![Just(Work::Restore), (1..3_u8).prop_map(|pass| Work::ReadLedger { pass })]
}

fn intents() -> impl Strategy<Value = Vec<Intent>> {
    let one = step().prop_map(|step| Intent { step, version: Version("1".to_owned()) });
    proptest::collection::vec(one, 0..4)
}

fn answered() -> impl Strategy<Value = Answered> {
    (step(), 0..9_u64, 0..9_u64, reply()).prop_map(|(step, sent, done, reply)| Answered {
        step,
        sent_ns: Mono(sent),
        done_ns: Mono(done),
        reply,
        facts: Vec::new(),
    })
}

fn ended() -> impl Strategy<Value = WorkEnd> {
    let result = prop_oneof![Just(WorkResult::Failed("no".to_owned())), Just(WorkResult::Ledger(Vec::new()))];
    (work(), result).prop_map(|(work, result)| WorkEnd { work, result })
}

fn sight() -> impl Strategy<Value = Sight> {
    (0..1000_u64).prop_map(|at| Sight {
        target: "target".to_owned(),
        from_ns: Mono(at),
        to_ns: Mono(at),
        view: TargetView::Deployments(deployments(at)),
    })
}

/// Up to three deployments, each of them with a pod or without.
fn deployments(of: u64) -> DeploymentsView {
    let view = |(name, bit): (&str, u64)| DeploymentView {
        name: name.to_owned(),
        uid: String::new(),
        replicas: i32::from(of >> bit & 1 == 1),
        existing: 0,
        ready: 0,
        observed: true,
        drill: None,
        trouble: None,
    };
    let there = [("a", 0), ("b", 2), ("c", 4)].into_iter().filter(|(_, bit)| of >> (bit + 1) & 1 == 1);
    DeploymentsView { deployments: there.map(view).map(Arc::new).collect() }
}

fn event() -> impl Strategy<Value = Event> {
    let course = prop_oneof![
        Just(Event::ProbingEnded(Vec::new())),
        Just(Event::BaselineHeld),
        Just(Event::Fenced),
        Just(Event::LossSeen),
        Just(Event::PromotionSeen { by: "db-1".to_owned() }),
        Just(Event::HealBegan),
        Just(Event::Stable),
        Just(Event::Redundant),
        Just(Event::DeadlinePassed),
        Just(Event::Closed),
        Just(Event::GuardTripped("down".to_owned())),
        Just(Event::AbortAsked("a person".to_owned())),
        Just(Event::UndoBegan("over".to_owned())),
        Just(Event::NotLanded("not seen".to_owned())),
        Just(Event::Refused(Refusal::new("no", "see"))),
        (0..=STREAMS).prop_map(|n| Event::ProbingBegan(streams(n))),
        (0..3_u16).prop_map(Event::WaveReady),
        (0..3_u64).prop_map(|e| Event::TookOver(TakeOver { epoch: Epoch(e), host: String::new(), why: String::new() })),
    ];
    let outcome = prop_oneof![Just(Undone::Reverted), Just(Undone::NeverApplied), Just(Undone::Irreversible)];
    let steps = prop_oneof![
        intents().prop_map(Event::Intended),
        answered().prop_map(Event::Replied),
        (step(), holding()).prop_map(|(step, holding)| Event::Looked { step, holding }),
        (step(), outcome).prop_map(|(step, outcome)| Event::Undone { step, outcome }),
        step().prop_map(|step| Event::UndoFailed { step, why: String::new() }),
        work().prop_map(Event::WorkBegan),
        ended().prop_map(Event::WorkEnded),
        sight().prop_map(Event::Sighted),
        (sight(), sight()).prop_map(|(a, b)| Event::Changed(Change::between(&a, &b).expect("both are deployments"))),
        (0..9_u64).prop_map(|at| Event::Landed { at: Mono(at), evidence: String::new() }),
    ];
    prop_oneof![course, steps]
}

fn input() -> impl Strategy<Value = Input> {
    let landing = prop_oneof![
        Just(Landing::NotYet),
        (0..9_u64).prop_map(|at| Landing::Landed { at: Mono(at), evidence: String::new() }),
        Just(Landing::Undone { by: String::new() }),
    ];
    prop_oneof![
        3 => intents().prop_map(|intents| Input::Versions(Ok(intents))),
        // A runner reads its clock before and after.
        6 => answered().prop_map(|a| Input::Answered(Answered { done_ns: a.sent_ns.max(a.done_ns), ..a })),
        4 => (step(), holding()).prop_map(|(step, holding)| Input::Looked(step, holding)),
        1 => step().prop_map(|step| Input::UndoFailed(step, String::new())),
        2 => work().prop_map(Input::WorkBegan),
        2 => ended().prop_map(Input::WorkEnded),
        2 => sight().prop_map(Input::Sight),
        2 => landing.prop_map(Input::Landing),
        2 => (0..=STREAMS).prop_map(|n| Input::ProbingBegan(streams(n))),
        1 => Just(Input::ProbingEnded(Vec::new())),
        2 => Just(Input::Fenced),
        1 => Just(Input::Abort("a person".to_owned())),
        1 => Just(Input::Versions(Err("it moved".to_owned()))),
    ]
}

fn record(drill: &Drill, event: Event, now: u64) -> Record {
    let epoch = if let Event::TookOver(t) = &event { t.epoch } else { Epoch(drill.epoch) };
    let at = Stamp { boot: "boot".to_owned(), mono_ns: Mono(now), wall_ns: 0 };
    Record { seq: drill.next_seq, epoch, at, event }
}

fn begun(scenario: &Scenario) -> (Drill, Plan) {
    let (opening, plan) = scenario.parts();
    let mut drill = Drill::default();
    for event in [Event::Opened(Box::new(opening)), Event::Planned(Box::new(plan.clone()))] {
        let record = record(&drill, event, 0);
        drill.apply(&record).unwrap();
    }
    (drill, plan)
}

fn now(at: usize) -> u64 {
    u64::try_from(at).unwrap() * 50_000_000
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever is written in a journal, taking it in never panics, and an impossible record changes nothing.
    #[test]
    fn an_illegal_record_changes_nothing(scenario in scenario(), events in proptest::collection::vec(event(), 0..60)) {
        let (mut drill, _) = begun(&scenario);
        for (at, event) in events.into_iter().enumerate() {
            let before = drill.clone();
            let record = record(&drill, event, now(at));
            if drill.apply(&record).is_err() {
                prop_assert_eq!(&drill, &before);
            } else {
                prop_assert_eq!(drill.next_seq, before.next_seq + 1);
            }
            // Whatever is asked of any state is answered.
            let _ = drill.next(Mono(now(at)));
            let _ = drill.tick(Mono(now(at)), &[]);
            let owed: Vec<StepId> = drill.outstanding().collect();
            prop_assert!(!drill.closed || owed.is_empty(), "closed, and {:?} owed", owed);
        }
    }

    /// A record of another number or term is refused.
    #[test]
    fn numbers_and_terms_are_kept(scenario in scenario(), event in event(), seq in 0..5_u64, epoch in 0..3_u64) {
        let (mut drill, _) = begun(&scenario);
        let before = drill.clone();
        let record = Record { seq, epoch: Epoch(epoch), ..record(&drill, event, 1) };
        let wrong = seq != 2 || (epoch != 0 && !matches!(record.event, Event::TookOver(_)));
        let taken = drill.apply(&record);
        if wrong {
            prop_assert!(taken.is_err());
            prop_assert_eq!(&drill, &before);
        }
    }

    /// Whatever the outside says, and in whatever order, what the drill makes of it can be written.
    #[test]
    fn what_it_says_can_be_written(
        scenario in scenario(),
        inputs in proptest::collection::vec((input(), 0..3_u64, any::<bool>()), 0..80),
    ) {
        let (opening, plan) = scenario.parts();
        let mut drill = Drill::default();
        let first = record(&drill, Event::Opened(Box::new(opening)), 0);
        drill.apply(&first).unwrap();
        let survey = Input::Surveyed(Box::new(Surveyed { checks: Vec::new(), plan: Ok(plan) }));
        let mut now_ns = 0;
        for (input, units, up) in std::iter::once((survey, 0, true)).chain(inputs) {
            now_ns += units * 100_000_000;
            let mut events = drill.hear(input);
            let streams: Vec<StreamNow> = drill.streams.iter().map(|info| seen(info, now_ns, up)).collect();
            // As the dispatcher does: what was heard first, then what time makes of it, until there is nothing more.
            for turn in 0.. {
                prop_assert!(turn < 50, "time makes events without end: {:?}", events);
                for event in events.drain(..) {
                    let record = record(&drill, event, now_ns);
                    let taken = drill.apply(&record);
                    prop_assert!(taken.is_ok(), "{:?}: {:?}", taken, record.event);
                }
                let Some(event) = drill.tick(Mono(now_ns), &streams) else { break };
                events.push(event);
            }
            let _ = drill.next(Mono(now_ns));
        }
    }
}

fn seen(info: &StreamInfo, now_ns: u64, up: bool) -> StreamNow {
    StreamNow {
        stream: info.stream.clone(),
        failed: 0,
        ok: 1,
        ok_since: up.then_some(Mono(0)),
        ok_until: up.then_some(Mono(now_ns)),
        down_since: (!up).then_some(Mono(now_ns)),
    }
}
