//! What was done and what is left of it: residue, faults, waves, members before and after.

use super::case::Case;
use super::identity::target_name;
use crate::drill::Phase;
use crate::effect::{Blow, Effect, Reply, StepId, Undone};
use crate::event::Event;
use crate::plan::{Heal, Stage};
use crate::report::{
    EffectLine, Fact, Fault, Member, Moment, Residue, ResidueState, ScaledWorkload, Span, Topology, UndoOutcome, Wave,
};
use crate::sight::{DeploymentView, TargetView};
use crate::time::Known;

pub(super) fn residue(case: &Case<'_>) -> Residue {
    let Some(plan) = case.plan() else {
        return Residue {
            state: ResidueState::Clean,
            looked_at_ns: nobody_looked("nothing was touched"),
            effects: Vec::new(),
        };
    };
    let begun: Vec<StepId> =
        plan.ids().filter(|id| case.drill.steps[usize::from(id.0)].phase != Phase::Planned).collect();
    let effects: Vec<EffectLine> = begun.iter().map(|id| line(case, *id)).collect();
    let state = if case.drill.outstanding().next().is_some() {
        ResidueState::Outstanding
    } else if effects.iter().any(|e| matches!(e.outcome, UndoOutcome::Superseded(_))) {
        ResidueState::Superseded
    } else {
        ResidueState::Clean
    };
    let looked = effects.iter().filter_map(|e| e.looked_at_ns.known().copied()).max();
    let looked_at_ns = looked.map_or_else(|| nobody_looked("nothing was touched"), Known::Known);
    Residue { state, looked_at_ns, effects }
}

fn nobody_looked(why: &str) -> Known<Moment> {
    Known::Unknown(why.to_owned())
}

fn line(case: &Case<'_>, id: StepId) -> EffectLine {
    let effect = case.plan().map(|p| p.step(id).effect.clone()).expect("a step has its plan");
    let settled = case.records.iter().rev().find(|r| matches!(&r.event, Event::Undone { step, .. } if *step == id));
    let failed = case.records.iter().rev().find_map(|r| match &r.event {
        Event::UndoFailed { step, why } if *step == id => Some(why.clone()),
        _ => None,
    });
    let phase = &case.drill.steps[usize::from(id.0)].phase;
    let outcome = match phase {
        Phase::Undone(Undone::Reverted) => UndoOutcome::Undone,
        Phase::Undone(Undone::NeverApplied) | Phase::Planned | Phase::Replied(Reply::Rejected(_)) => {
            UndoOutcome::NeverApplied
        }
        Phase::Undone(Undone::ByDeadMan) => UndoOutcome::Reverted(match effect {
            Effect::Strike { .. } => "its agent, when its time was over".to_owned(),
            _ => "a dead-man agent".to_owned(),
        }),
        Phase::Undone(Undone::Superseded(what)) => UndoOutcome::Superseded(what.clone()),
        Phase::Undone(Undone::Irreversible) => UndoOutcome::Irreversible(final_words(&effect).to_owned()),
        Phase::Intended(_) | Phase::Replied(_) => UndoOutcome::Outstanding {
            why: failed.unwrap_or_else(|| "it was not put back yet".to_owned()),
            by_hand: by_hand(&effect),
        },
    };
    EffectLine {
        object: effect.object(),
        done: effect.describe(),
        prior: match &effect {
            Effect::Scale { was, .. } => Known::Known(format!("replicas {was}")),
            Effect::Delete { pod, .. } | Effect::Evict { pod, .. } => {
                Known::Known(format!("uid {}", pod.uid.clone().unwrap_or_default()))
            }
            Effect::Switchover { member, .. } => Known::Known(format!("{member} is the leader")),
            Effect::Strike { victim, .. } => Known::Known(format!("running as {}", victim.container_id)),
            _ => Known::Known("not there".to_owned()),
        },
        outcome,
        looked_at_ns: settled.map_or_else(
            || nobody_looked("it could not be looked at, or was not done"),
            |r| Known::Known(case.clock.moment_of(&r.at)),
        ),
    }
}

/// Why an effect cannot be given back.
fn final_words(effect: &Effect) -> &'static str {
    match effect {
        Effect::Switchover { .. } => "a role that was handed over is not fetched back",
        Effect::Strike { .. } => "processes that were killed are not given back; nothing kills them any more",
        _ => "a pod that was deleted is not given back; its successor took its place",
    }
}

/// What a person can do about an effect that is still there.
fn by_hand(effect: &Effect) -> String {
    match effect {
        Effect::Lock { lease, .. } => format!("kubectl -n {} delete lease {}", lease.namespace, lease.name),
        Effect::DeadMan { job, .. } => format!("kubectl -n {} delete job {}", job.namespace, job.name),
        Effect::Scale { object, was, .. } => format!(
            "kubectl -n {ns} scale deployment {name} --replicas={was} && kubectl -n {ns} annotate deployment {name} firedrill.dev/drill- firedrill.dev/replicas- firedrill.dev/epoch- firedrill.dev/dead-man-",
            ns = object.namespace,
            name = object.name
        ),
        Effect::Agent(agent) => format!("kubectl -n {} delete pod {}", agent.pod.namespace, agent.pod.name),
        Effect::Strike { agent, blow: Blow::Crash | Blow::HoldDown { .. }, .. } => {
            format!("kubectl -n {} delete pod {}", agent.namespace, agent.name)
        }
        Effect::Strike { agent, victim, blow: Blow::Freeze { .. } } => format!(
            "kubectl -n {} delete pod {}; if it is gone already: kubectl -n {} delete pod {}, which ends what is stopped in it",
            agent.namespace, agent.name, victim.pod.namespace, victim.pod.name
        ),
        Effect::Switchover { .. } => "nothing: whether the role moved is to be seen at the cluster itself".to_owned(),
        Effect::Delete { .. } | Effect::Evict { .. } => "nothing: its controller makes a new one".to_owned(),
        Effect::Ledger { .. } => {
            "delete from firedrill.ledger, or drop the schema firedrill if nobody else uses it".to_owned()
        }
        Effect::Scratch { dir, .. } => format!("stop what runs in {dir}, and remove it"),
        Effect::Database { target } => format!("drop what was restored into {target}"),
    }
}

pub(super) fn faults(case: &Case<'_>) -> Vec<Fault> {
    let Some(plan) = case.plan() else { return Vec::new() };
    let learned = case.records.iter().flat_map(|r| match &r.event {
        Event::Replied(a) if plan.step(a.step).stage == Stage::Inject => a.facts.as_slice(),
        _ => &[],
    });
    let facts = plan.facts.iter().chain(learned).map(|f| Fact::new(&f.label, &f.value, &f.source)).collect();
    vec![Fault { word: plan.fault.clone(), target: target_name(case), facts }]
}

pub(super) fn waves(case: &Case<'_>) -> Vec<Wave> {
    let Some(plan) = case.plan() else { return Vec::new() };
    let Heal::Undo { waves, .. } = &plan.heal else { return Vec::new() };
    let of = |(number, steps): (usize, &Vec<StepId>)| {
        let ready = case.stamp_of(|e| matches!(e, Event::WaveReady(n) if usize::from(*n) == number));
        let began =
            case.records.iter().find(|r| matches!(&r.event, Event::Looked { step, .. } if steps.contains(step)));
        let span = match (began, ready) {
            (Some(began), Some(ready)) => {
                Known::Known(Span::new(case.clock.moment_of(&began.at), case.clock.moment_of(ready)))
            }
            _ => Known::Unknown("it was not seen to be whole again as a wave".to_owned()),
        };
        let workloads = steps.iter().filter_map(|id| workload(case, *id)).collect();
        Wave { name: format!("wave {}", number + 1), span, workloads }
    };
    waves.iter().enumerate().map(of).collect()
}

fn workload(case: &Case<'_>, id: StepId) -> Option<ScaledWorkload> {
    let Effect::Scale { object, was, .. } = &case.plan()?.step(id).effect else { return None };
    let (injected, _) = case.injection().unwrap_or_default();
    let seen = |test: &dyn Fn(&DeploymentView) -> bool, from: crate::time::Mono| {
        case.sights().filter(|s| s.to_ns >= from).find_map(|s| match &s.view {
            TargetView::Deployments(view) => view.of(&object.name).filter(|d| test(d)).map(|d| (s.to_ns, d.ready)),
            TargetView::Postgres(_) => None,
        })
    };
    let zero = seen(&|d| d.down(), injected);
    let back = case.heal_began().and_then(|from| seen(&|d| d.up() && d.replicas >= *was, from));
    let note = match case.drill.outcome(id) {
        Some(Undone::Superseded(what)) => Some(format!("{what}; left as it is")),
        _ if back.is_none() => case.last_seen(&object.name).and_then(|d| d.trouble.clone()),
        _ => None,
    };
    Some(ScaledWorkload {
        name: format!("{}/{}", object.namespace, object.name),
        captured: u32::try_from(*was).unwrap_or(0),
        zero_at_ns: zero.map_or_else(
            || Known::Unknown("it was not seen at zero".to_owned()),
            |(at, _)| Known::Known(case.clock.moment(at)),
        ),
        restored: back.map_or_else(
            || Known::Unknown("it was not seen to be ready again".to_owned()),
            |(_, ready)| Known::Known(u32::try_from(ready).unwrap_or(0)),
        ),
        restored_at_ns: back.map_or_else(
            || Known::Unknown("it was not seen to be ready again".to_owned()),
            |(at, _)| Known::Known(case.clock.moment(at)),
        ),
        manager: None,
        note,
    })
}

pub(super) fn topologies(case: &Case<'_>) -> Vec<Topology> {
    let Some(plan) = case.plan() else { return Vec::new() };
    let injected = case.injection().map(|(from, _)| from);
    let of = |target: &String| {
        let sights: Vec<_> = case.postgres_sights().filter(|(s, _)| s.target == *target).collect();
        let before = sights.iter().rfind(|(s, _)| injected.is_none_or(|at| s.to_ns <= at))?;
        let after = sights.last()?;
        Some(Topology { target: target.clone(), before: members(before.1), after: members(after.1) })
    };
    let watched = plan.stage(Stage::Inject).next().is_some();
    plan.watch.iter().filter(|_| watched).filter_map(of).collect()
}

fn members(view: &crate::sight::PostgresView) -> Vec<Member> {
    let of = |m: &crate::sight::Member| {
        let said = m.said.known();
        let unknown = || match &m.said {
            Known::Unknown(why) => why.clone(),
            Known::Known(_) => String::new(),
        };
        let state = match said {
            Some(s) if s.in_recovery => if s.receiving { "streaming" } else { "not streaming" }.to_owned(),
            Some(s) => format!("{} standbys", s.standbys.iter().filter(|s| s.state == "streaming").count()),
            None => unknown(),
        };
        Member {
            name: m.pod.clone(),
            role: match said {
                Some(s) if s.in_recovery => "replica".to_owned(),
                Some(_) => "primary".to_owned(),
                None => "unknown".to_owned(),
            },
            uid: Known::Known(m.uid.clone()),
            timeline: said.map_or_else(|| Known::Unknown(unknown()), |s| Known::Known(s.timeline)),
            lsn: said.map_or_else(|| Known::Unknown(unknown()), |s| Known::Known(s.position())),
            state,
        }
    };
    view.members.iter().map(of).collect()
}
