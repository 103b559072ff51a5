//! The world as the simulation has it: objects that are changed on condition of versions and UIDs, as the Kubernetes API
//! changes them, and places that live and die with a process.

use crate::effect::{Effect, Holding, StepId};
use crate::plan::{Heal, Plan};
use crate::time::{Mono, Nanos};

/// The grain of time.
pub(super) const UNIT: Nanos = Nanos::from_ms(100);
/// How long a deleted pod still serves: it has its grace.
const GRACE: Nanos = Nanos::from_ms(400);
/// When its successor is there …
const SUCCESSOR: Nanos = Nanos::from_ms(600);
/// … and when users are served again.
const FAILOVER: Nanos = Nanos::from_ms(800);

/// What one step of the plan changes. A plan has no two steps on one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Thing {
    /// A Deployment's count; 1 or 0 for what is there or not.
    pub(super) val: i32,
    /// The count before the last change, until the new one is ready.
    before: i32,
    /// Whether the drill's mark is on it.
    pub(super) marked: bool,
    /// Whether a dead man put it back.
    pub(super) dead_man: bool,
    /// Its version.
    pub(super) rv: u64,
    /// Which incarnation of a pod it is.
    pub(super) incarnation: u8,
    /// When it changed last.
    changed: Mono,
    /// When an agent's blow landed, if it did.
    struck: Option<Mono>,
    /// Until when it does not become ready.
    pub(super) stuck_until: Mono,
    /// How often the step's own effect landed.
    pub(super) landed: u8,
    /// What a person made of it.
    pub(super) person: Option<i32>,
}

/// A request that was written and neither answered nor given up by the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Parked {
    pub(super) step: StepId,
    pub(super) rv: u64,
    pub(super) write: Write,
    /// Whether a fence touched its object since.
    pub(super) fenced: bool,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Write {
    /// The step's effect.
    Effect,
    /// Its undo.
    Undo,
    /// Taking the mark off what somebody else changed.
    Relinquish,
}

/// Why a request did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Conflict,
    Rejected,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) now: Mono,
    pub(super) boot: u8,
    pub(super) things: Vec<Thing>,
    pub(super) parked: Vec<Parked>,
}

impl Thing {
    fn ready(&self, now: Mono) -> bool {
        now >= self.changed.plus(UNIT) && now >= self.stuck_until
    }

    /// What of it decides what is still to come: not its version, which counts only beside another; nor its readiness
    /// when nobody asks any more.
    pub(super) fn summary(&self, now: Option<Mono>) -> impl std::hash::Hash + use<> {
        let ready = now.map(|now| {
            let ready = self.ready(now);
            (
                ready,
                now.since(self.changed).min(FAILOVER),
                self.stuck_until.since(now),
                if ready { self.val } else { self.before },
            )
        });
        let struck = self.struck.map(|at| now.map(|now| now.since(at).min(FAILOVER)));
        (self.val, self.marked, self.dead_man, self.incarnation, ready, self.person, struck)
    }

    /// How long ago an agent's blow landed, if it did.
    pub(super) fn struck_for(&self, now: Mono) -> Option<Nanos> {
        self.struck.map(|at| now.since(at))
    }

    /// How many pods of a Deployment exist, and how many of them are ready.
    pub(super) fn pods(&self, now: Mono) -> (i32, i32) {
        if self.ready(now) { (self.val, self.val) } else { (self.val.max(self.before), self.before.min(self.val)) }
    }

    fn put(&mut self, val: i32, now: Mono) {
        self.before = self.val;
        self.val = val;
        self.rv += 1;
        self.changed = now;
    }

    /// A person sets a count. The drill's mark stays, as with `kubectl scale`.
    pub(super) fn edit(&mut self, val: i32, now: Mono) {
        self.put(val, now);
        self.person = Some(val);
        self.dead_man = false;
    }

    /// The dead man puts a count back.
    pub(super) fn revive(&mut self, was: i32, now: Mono) {
        self.put(was, now);
        self.marked = false;
        self.dead_man = true;
    }
}

impl World {
    pub(super) fn new(plan: &Plan) -> Self {
        let thing = |effect: &Effect| Thing {
            val: match effect {
                Effect::Scale { was, .. } => *was,
                Effect::Delete { .. } | Effect::Evict { .. } | Effect::Switchover { .. } => 1,
                _ => 0,
            },
            before: 0,
            marked: false,
            dead_man: false,
            rv: 1,
            incarnation: 0,
            changed: Mono::default(),
            struck: None,
            stuck_until: Mono::default(),
            landed: 0,
            person: None,
        };
        let things = plan.steps.iter().map(|s| thing(&s.effect)).collect();
        // Long after the boot: later than a clock that begins anew gets.
        Self { now: Mono(1_000_000_000_000), boot: 0, things, parked: Vec::new() }
    }

    pub(super) fn thing(&mut self, id: StepId) -> &mut Thing {
        &mut self.things[usize::from(id.0)]
    }

    /// The machine starts again: its clock begins anew, and what is going on in the cluster goes on.
    pub(super) fn reboot(&mut self) {
        self.boot += 1;
        self.now = Mono(UNIT.0);
        for thing in &mut self.things {
            thing.changed = Mono::default();
            thing.struck = thing.struck.map(|_| Mono::default());
        }
    }

    /// What a look finds, the version, and whether our mark is there.
    pub(super) fn look(&self, effect: &Effect, id: StepId) -> (Holding, u64, bool) {
        let t = &self.things[usize::from(id.0)];
        let holding = match effect {
            Effect::Scale { put, .. } if t.marked && t.val == *put => Holding::Ours,
            Effect::Scale { was, .. } if t.dead_man && t.val == *was => Holding::ByDeadMan,
            Effect::Scale { was, .. } if t.val == *was && !t.marked => Holding::Prior,
            Effect::Scale { .. } => Holding::Other(t.val.to_string()),
            Effect::Delete { .. } | Effect::Evict { .. } | Effect::Switchover { .. } if t.incarnation == 0 => {
                Holding::Prior
            }
            Effect::Delete { .. } | Effect::Evict { .. } | Effect::Switchover { .. } => Holding::Gone,
            Effect::Strike { .. } if t.val == 0 && t.struck.is_none() => Holding::Prior,
            Effect::Strike { .. } if t.val == 0 && t.dead_man => Holding::ByDeadMan,
            _ if t.val == 1 => Holding::Ours,
            _ => Holding::Gone,
        };
        (holding, t.rv, t.marked)
    }

    /// A request reaches the object, conditional on the version unless `rv` is `None`.
    pub(super) fn write(&mut self, effect: &Effect, id: StepId, write: Write, rv: Option<u64>) -> Result<(), Refused> {
        let now = self.now;
        let t = self.thing(id);
        let moved = rv.is_some_and(|rv| rv != t.rv);
        match (write, effect) {
            (
                Write::Effect,
                Effect::Scale { .. } | Effect::Delete { .. } | Effect::Evict { .. } | Effect::Strike { .. },
            ) if moved && t.incarnation == 0 => return Err(Refused::Conflict),
            (Write::Effect, Effect::Scale { put, .. }) => {
                t.put(*put, now);
                t.marked = true;
                t.dead_man = false;
                // Whatever a person had set is captured again by nobody: the effect must not have landed on it.
            }
            // An agent acts once.
            (Write::Effect, Effect::Strike { .. }) if t.struck.is_some() => return Err(Refused::Rejected),
            (Write::Effect, Effect::Strike { .. }) => {
                t.put(1, now);
                t.struck = Some(now);
            }
            (Write::Effect, Effect::Delete { .. } | Effect::Evict { .. } | Effect::Switchover { .. }) => {
                if t.incarnation > 0 {
                    return Err(Refused::Rejected);
                }
                t.put(1, now);
                t.incarnation = 1;
            }
            (Write::Effect, effect) if effect.may_land_late() && t.val == 1 => return Err(Refused::Rejected),
            (Write::Effect, _) => t.put(1, now),
            (Write::Undo, Effect::Scale { .. } | Effect::Lock { .. } | Effect::Strike { .. })
            | (Write::Relinquish, _)
                if moved =>
            {
                return Err(Refused::Conflict);
            }
            (Write::Undo, Effect::Scale { was, .. }) => {
                t.put(*was, now);
                t.marked = false;
            }
            (Write::Undo, Effect::Delete { .. } | Effect::Evict { .. } | Effect::Switchover { .. }) => {
                return Err(Refused::Rejected);
            }
            (Write::Undo, _) => t.put(0, now),
            (Write::Relinquish, _) => {
                t.rv += 1;
                t.marked = false;
            }
        }
        if write == Write::Effect {
            t.landed += 1;
        }
        Ok(())
    }

    /// Whether what is to be put back of a step is in the world.
    pub(super) fn carries(&self, effect: &Effect, id: StepId) -> bool {
        let t = &self.things[usize::from(id.0)];
        match effect {
            Effect::Scale { .. } => t.marked,
            Effect::Delete { .. } | Effect::Evict { .. } | Effect::Switchover { .. } => false,
            _ => t.val == 1,
        }
    }

    /// Whether another member has taken over from the one that was struck.
    pub(super) fn taken_over(&self, t: &Thing) -> bool {
        t.struck.is_some_and(|at| self.now >= at.plus(FAILOVER))
    }

    /// The agent's own time is over: it lets go.
    pub(super) fn time_is_over(&mut self, id: StepId) {
        let now = self.now;
        let t = self.thing(id);
        t.put(0, now);
        t.dead_man = true;
    }

    /// Whether users are served.
    pub(super) fn serving(&self, plan: &Plan) -> bool {
        plan.ids().all(|id| {
            let t = &self.things[usize::from(id.0)];
            match &plan.step(id).effect {
                Effect::Scale { .. } => t.pods(self.now).1 > 0,
                // Where only the manager was struck, the server goes on.
                Effect::Strike { .. } if matches!(plan.heal, Heal::Afterwards { .. }) => true,
                Effect::Strike { .. } => t.struck.is_none() || self.taken_over(t),
                Effect::Delete { .. } | Effect::Evict { .. } | Effect::Switchover { .. } => {
                    self.now < t.changed.plus(GRACE) || self.pod_back(t, FAILOVER)
                }
                _ => true,
            }
        })
    }

    /// Whether a deleted pod's successor, or a pod that was struck and let go, is a member again.
    pub(super) fn member_back(&self, t: &Thing) -> bool {
        match t.struck {
            Some(_) => t.val == 0 && self.now >= t.changed.plus(SUCCESSOR) && self.now >= t.stuck_until,
            None => self.pod_back(t, SUCCESSOR),
        }
    }

    fn pod_back(&self, t: &Thing, after: Nanos) -> bool {
        t.incarnation == 0 || (self.now >= t.changed.plus(after) && self.now >= t.stuck_until)
    }
}
