//! What is simulated: plans that hold every effect, every way of healing, and every guard.

use super::world::{UNIT, World};
use crate::effect::{Agent, Blow, Effect, Kind, ObjectRef, Part, Post, StepId, Victim};
use crate::event::{AbortRule, Brief, Objectives, Opening, Settings};
use crate::plan::{Heal, Ledgered, Plan, Stage, Step};
use crate::sample::{Stream, StreamInfo, View};
use crate::sight::{DeploymentView, DeploymentsView, Member, PostgresView, Server, Sight, Standby, TargetView};
use crate::time::{Known, Nanos};
use std::sync::Arc;

/// One plan and its rules.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    pub(super) opening: Opening,
    pub(super) plan: Plan,
    pub(super) streams: Vec<StreamInfo>,
}

/// Who acts in a scenario besides crashes, the network and the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    /// Only what concerns single effects.
    Effects,
    /// Also time, people who abort, reboots, services that do not come back, probes that fail.
    Whole,
}

impl Scenario {
    /// The effects alone: a lock, the ledger, two deployments in two waves and a pod; no probes, no hold.
    pub fn effects() -> Self {
        let steps = vec![lock(), ledger(), scale("front", 5, 2), scale("back", 2, 1), delete(2)];
        let waves = vec![vec![StepId(2), StepId(4)], vec![StepId(3)]];
        let plan = plan("effects", steps, Heal::Undo { waves, hold_ns: Nanos::ZERO }, Ledgered::No);
        Self { name: "effects", opening: opening("effects", Nanos::ZERO, 400), plan, streams: Vec::new() }
    }

    /// Deployments held at zero and brought back in waves, watched by a probe and a dead man, with a guard and the ledger.
    pub fn held() -> Self {
        let steps = vec![lock(), ledger(), dead_man(), scale("front", 5, 2), scale("back", 2, 1)];
        let waves = vec![vec![StepId(3)], vec![StepId(4)]];
        let heal = Heal::Undo { waves, hold_ns: Nanos(UNIT.0 * 3) };
        Self::whole("held", plan("held", steps, heal, Ledgered::Yes))
    }

    /// A primary that dies; the service heals by itself.
    pub fn killed() -> Self {
        let steps = vec![lock(), ledger(), delete(1)];
        Self::whole("killed", plan("killed", steps, Heal::Itself, Ledgered::Yes))
    }

    /// A primary that is killed from its node and kept down until another has taken over.
    pub fn kept_down() -> Self {
        let blow = Blow::HoldDown { at_most_ns: Nanos(UNIT.0 * 20) };
        let steps = vec![lock(), ledger(), agent(blow), strike(blow)];
        let heal = Heal::Promotion { release: vec![StepId(3)] };
        Self::whole("kept down", plan("kept down", steps, heal, Ledgered::Yes))
    }

    /// A primary that is stopped for a time; another takes over meanwhile.
    pub fn frozen() -> Self {
        let blow = Blow::Freeze { for_ns: Nanos(UNIT.0 * 12) };
        let steps = vec![lock(), ledger(), agent(blow), strike(blow)];
        Self::whole("frozen", plan("frozen", steps, Heal::Itself, Ledgered::Yes))
    }

    /// A primary whose failover manager is stopped for a time: users are served all the while, and another takes over.
    pub fn unmanaged() -> Self {
        let hold_ns = Nanos(UNIT.0 * 12);
        let blow = Blow::Freeze { for_ns: hold_ns };
        let steps = vec![lock(), ledger(), agent(blow), strike(blow)];
        let heal = Heal::Afterwards { release: vec![StepId(3)], hold_ns };
        Self::whole("unmanaged", plan("unmanaged", steps, heal, Ledgered::Yes))
    }

    /// A restore into a scratch and into a database that is there.
    pub fn restored() -> Self {
        let scratch = Effect::Scratch { target: "staging".to_owned(), dir: "/scratch".to_owned() };
        let database = Effect::Database { target: "other".to_owned() };
        let steps = vec![lock(), arm(1, scratch), arm(2, database)];
        Self::whole("restored", plan("restored", steps, Heal::Work, Ledgered::No))
    }

    /// All of the scenarios with holds, probes and work.
    pub fn wholes() -> [Self; 6] {
        [Self::held(), Self::killed(), Self::kept_down(), Self::frozen(), Self::unmanaged(), Self::restored()]
    }

    fn whole(name: &'static str, plan: Plan) -> Self {
        let stream = Stream { probe: "shop".to_owned(), view: View::Kept };
        let info = StreamInfo {
            stream,
            kind: "http".to_owned(),
            period_ns: UNIT,
            timeout_ns: UNIT,
            asks: "shop".to_owned(),
            excluded: None,
        };
        Self { name, opening: opening(name, Nanos(UNIT.0 * 2), 40), plan, streams: vec![info] }
    }

    pub(super) fn cast(&self) -> Cast {
        if self.streams.is_empty() { Cast::Effects } else { Cast::Whole }
    }

    /// What the drill is asked to be, and its plan.
    pub fn parts(&self) -> (Opening, Plan) {
        (self.opening.clone(), self.plan.clone())
    }

    /// How many units without a record the adversary goes on trying at.
    pub(super) fn patience(&self) -> u8 {
        match self.cast() {
            Cast::Effects => 1,
            Cast::Whole => 8,
        }
    }

    pub(super) fn effect(&self, id: StepId) -> &Effect {
        &self.plan.step(id).effect
    }

    /// What a look at the watched target shows now.
    pub(super) fn sight(&self, world: &World) -> Sight {
        let of_database = matches!(self.plan.heal, Heal::Itself | Heal::Promotion { .. } | Heal::Afterwards { .. });
        let view = if of_database {
            TargetView::Postgres(self.postgres(world))
        } else {
            TargetView::Deployments(DeploymentsView { deployments: self.deployments(world) })
        };
        Sight { target: "target".to_owned(), from_ns: world.now, to_ns: world.now, view }
    }

    fn deployments(&self, world: &World) -> Vec<Arc<DeploymentView>> {
        let view = |id: StepId| {
            let Effect::Scale { object, .. } = self.effect(id) else { return None };
            let thing = &world.things[usize::from(id.0)];
            let (existing, ready) = thing.pods(world.now);
            Some(DeploymentView {
                name: object.name.clone(),
                uid: object.uid.clone().unwrap_or_default(),
                replicas: thing.val,
                existing,
                ready,
                observed: true,
                drill: thing.marked.then(|| "drill".to_owned()),
                trouble: None,
            })
        };
        let mut views: Vec<Arc<DeploymentView>> = self.plan.ids().filter_map(view).map(Arc::new).collect();
        // As the eyes of the runner have them.
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }

    fn postgres(&self, world: &World) -> PostgresView {
        let Some((id, _)) = self.plan.ids().map(|id| (id, self.effect(id))).find(|(_, e)| e.takes().is_some()) else {
            return PostgresView::default();
        };
        let thing = &world.things[usize::from(id.0)];
        let moved = thing.incarnation > 0 || world.taken_over(thing);
        let server = |in_recovery: bool| Server {
            in_recovery,
            system_identifier: "1".to_owned(),
            timeline: 1 + u32::from(moved),
            lsn: 1,
            started: u8::from(moved).to_string(),
            standbys: vec![Standby {
                name: "db-1".to_owned(),
                state: "streaming".to_owned(),
                sync_state: "async".to_owned(),
                lag_bytes: 0,
            }],
            receiving: in_recovery,
        };
        let member = |pod: &str, uid: String, primary: bool| Member {
            pod: pod.to_owned(),
            uid,
            address: String::new(),
            labelled_primary: primary,
            ready: true,
            terminating: false,
            restarts: 0,
            container_id: None,
            said: Known::Known(server(!primary)),
            manager: None,
        };
        let mut members = vec![member("db-1", "standby".to_owned(), moved)];
        if world.member_back(thing) || matches!(self.plan.heal, Heal::Afterwards { .. }) {
            let uid = match thing.incarnation {
                0 => "uid-db-0".to_owned(),
                n => format!("pod-{n}"),
            };
            members.push(member("db-0", uid, !moved));
        }
        PostgresView { members, ..PostgresView::default() }
    }
}

fn object(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef { kind, namespace: "shop".to_owned(), name: name.to_owned(), uid: Some(format!("uid-{name}")) }
}

fn arm(rank: u16, effect: Effect) -> Step {
    Step { stage: Stage::Arm, rank, effect }
}

fn lock() -> Step {
    arm(0, Effect::Lock { lease: ObjectRef { uid: None, ..object(Kind::Lease, "firedrill") }, key: "1".to_owned() })
}

fn ledger() -> Step {
    arm(1, Effect::Ledger { target: "orders".to_owned() })
}

fn dead_man() -> Step {
    let post = Post {
        namespace: "shop".to_owned(),
        lease: "firedrill".to_owned(),
        after_s: 60,
        image: "firedrill".to_owned(),
        service_account: "dead-man".to_owned(),
    };
    arm(1, Effect::DeadMan { job: ObjectRef { uid: None, ..object(Kind::Job, "dead-man") }, post })
}

fn scale(name: &str, was: i32, rank: u16) -> Step {
    Step { stage: Stage::Inject, rank, effect: Effect::Scale { object: object(Kind::Deployment, name), was, put: 0 } }
}

fn delete(rank: u16) -> Step {
    Step { stage: Stage::Inject, rank, effect: Effect::Delete { pod: object(Kind::Pod, "db-0"), grace_s: None } }
}

fn victim() -> Victim {
    Victim {
        pod: object(Kind::Pod, "db-0"),
        container: "postgres".to_owned(),
        container_id: "1".to_owned(),
        part: Part::All,
    }
}

fn agent(blow: Blow) -> Step {
    let agent = Agent {
        pod: ObjectRef { uid: None, ..object(Kind::Pod, "agent") },
        node: "node".to_owned(),
        image: "firedrill".to_owned(),
        service_account: "agent".to_owned(),
        victim: victim(),
        blow,
        lifetime_s: 60,
    };
    arm(1, Effect::Agent(Box::new(agent)))
}

fn strike(blow: Blow) -> Step {
    let agent = ObjectRef { uid: None, ..object(Kind::Pod, "agent") };
    Step { stage: Stage::Inject, rank: 2, effect: Effect::Strike { agent, victim: victim(), blow } }
}

fn plan(fault: &str, steps: Vec<Step>, heal: Heal, ledger: Ledgered) -> Plan {
    let watch = if heal == Heal::Work { Vec::new() } else { vec!["target".to_owned()] };
    Plan { fault: fault.to_owned(), steps, heal, watch, members: 2, ledger, facts: Vec::new(), untouched: Vec::new() }
}

fn opening(name: &str, baseline_ns: Nanos, deadline_units: u64) -> Opening {
    let guard = AbortRule { probe: "shop".to_owned(), down_ns: Nanos(UNIT.0 * 16) };
    let settings = Settings {
        baseline_ns,
        tolerate: 0,
        stable_ns: Nanos(UNIT.0 * 2),
        deadline_ns: Nanos(UNIT.0 * deadline_units),
        landing_ns: Nanos(UNIT.0 * 6),
        abort_when: vec![guard],
        excluded: Vec::new(),
    };
    Opening {
        drill: "drill".to_owned(),
        experiment: name.to_owned(),
        fault: name.to_owned(),
        environment: "simulation".to_owned(),
        trigger: crate::report::Trigger::Hand("a test".to_owned()),
        version: "0".to_owned(),
        host: "host".to_owned(),
        sources: Vec::new(),
        settings,
        brief: Brief {
            title: name.to_owned(),
            owner: "nobody".to_owned(),
            description: None,
            runbook: None,
            objectives: Objectives::default(),
            expect: None,
            schedule: None,
        },
    }
}
