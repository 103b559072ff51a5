//! The adversary: what may go wrong around each operation of a runner. Each of its moves costs one of its budget.

use super::runner::{Op, State, Trace, travels};
use super::scenario::{Cast, Scenario};
use super::world::{Parked, UNIT, Write};
use crate::drill::Input;
use crate::effect::{Effect, Reply, StepId};
use crate::event::Event;
use crate::time::{Mono, Nanos};
use std::cell::Cell;
use std::rc::Rc;

/// A rule of the runner, not of the drill, that can be broken to see that the simulation notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// A take-over would not touch what is in doubt.
    Touch,
    /// An effect would be conditional on the version it finds, not on the recorded one.
    RecordedVersion,
    /// A pod would be deleted by its UID alone.
    DeleteOnVersion,
    /// An effect would be performed before its intent is durable.
    RecordFirst,
    /// An undo would be believed without another look.
    LookAgain,
    /// What goes back would not be conditional on what was seen.
    UndoOnVersion,
}

thread_local! {
    static SLIP: Cell<Option<Slip>> = const { Cell::new(None) };
}

impl Slip {
    pub(super) fn made(self) -> bool {
        SLIP.with(|cell| cell.get() == Some(self))
    }

    pub(super) fn make(slip: Option<Self>) {
        SLIP.with(|cell| cell.set(slip));
    }
}

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    Crashed,
    Stalled,
}

/// Everything the adversary can do instead of letting `op` go well, with what comes of it.
pub(super) fn moves(state: &State, op: &Op, s: &Scenario) -> Vec<State> {
    if state.left == 0 {
        return Vec::new();
    }
    let mut options = Options { state, op, s, out: Vec::new() };
    options.outside();
    match op {
        // A death at a look is one at the next thing that is written.
        Op::Hear(_) | Op::Survey | Op::See => {}
        Op::Send(step, rv, write) => {
            options.death(Death::Crashed);
            options.death(Death::Stalled);
            options.request(*step, *rv, *write);
        }
        Op::Work(work) => {
            options.death(Death::Crashed);
            options.with("work hangs", |state| {
                let due = state.world.now.plus(Nanos(UNIT.0 * 1000));
                state.later(due, Op::Work(*work));
            });
        }
        _ => options.death(Death::Crashed),
    }
    options.reads();
    options.out
}

struct Options<'a> {
    state: &'a State,
    op: &'a Op,
    s: &'a Scenario,
    out: Vec<State>,
}

impl Options<'_> {
    fn with(&mut self, what: &str, change: impl FnOnce(&mut State)) {
        self.costing(1, what, change);
    }

    fn costing(&mut self, cost: u8, what: &str, change: impl FnOnce(&mut State)) {
        if self.state.left < cost {
            return;
        }
        let mut next = self.state.clone();
        next.left -= cost;
        let what = format!("{what} at {}", brief(self.op));
        next.trace = Some(Rc::new(Trace { what, before: next.trace.take() }));
        change(&mut next);
        self.out.push(next);
    }

    /// Before the operation, with the operation still to come.
    fn before(&mut self, what: &str, change: impl FnOnce(&mut State)) {
        let op = self.op.clone();
        self.with(what, |state| {
            change(state);
            let now = state.world.now;
            if let Some(runner) = &mut state.runner {
                runner.queue.push_front((now, op));
            }
        });
    }

    /// The objects that an operation is about. What happens to others can as well happen later.
    fn touched(&self) -> Vec<StepId> {
        match self.op {
            Op::Versions(steps) | Op::Touch(steps) => steps.clone(),
            Op::Send(step, ..) | Op::Look(step) => vec![*step],
            Op::See => self.s.plan.ids().collect(),
            _ => Vec::new(),
        }
    }

    /// What others do: people, controllers, the network.
    fn outside(&mut self) {
        for id in self.touched() {
            let effect = self.s.effect(id);
            let thing = &self.state.world.things[usize::from(id.0)];
            if let (Effect::Scale { was, .. }, None) = (effect, thing.person) {
                for val in [7, *was] {
                    self.before(&format!("a person sets {id:?} to {val}"), |state| {
                        let now = state.world.now;
                        state.world.thing(id).edit(val, now);
                        state.witness.note_person(id);
                    });
                }
            }
            if travels(effect) && !matches!(self.op, Op::See) {
                self.before(&format!("the version of {id:?} moves"), |state| state.world.thing(id).rv += 1);
            }
            for (at, parked) in self.state.world.parked.iter().enumerate() {
                if parked.step == id {
                    self.before(&format!("a late {:?} of {id:?}", parked.write), |state| state.deliver(self.s, at));
                }
            }
        }
        if self.s.cast() == Cast::Effects {
            return;
        }
        let aborted = self.state.runner.as_ref().is_none_or(|r| r.drill.abort.is_some());
        if !aborted && !matches!(self.op, Op::See | Op::Look(_)) {
            self.before("a person aborts", |state| {
                let now = state.world.now;
                if let Some(runner) = &mut state.runner {
                    // Heard as soon as the operation is over.
                    runner.queue.push_front((now, Op::Hear(Input::Abort("a person".to_owned()))));
                }
            });
            if let Op::Versions(_) = self.op {
                let op = self.op.clone();
                self.with("a person aborts, heard before the answer", |state| {
                    let now = state.world.now;
                    if let Some(runner) = &mut state.runner {
                        runner.queue.push_front((now, op));
                        runner.queue.push_front((now, Op::Hear(Input::Abort("a person".to_owned()))));
                    }
                });
            }
        }
        let probing = self.state.runner.as_ref().is_some_and(|r| r.drill.probing_since.is_some() && !r.hiccup);
        if probing && matches!(self.op, Op::Hear(_)) {
            self.before("a probe fails once", |state| {
                if let Some(runner) = &mut state.runner {
                    runner.hiccup = true;
                }
            });
        }
    }

    fn death(&mut self, death: Death) {
        let (op, s) = (self.op.clone(), self.s);
        let die = move |state: &mut State| {
            let stalled = death == Death::Stalled;
            if stalled {
                state.later(Mono::default(), op);
            }
            state.die(s, stalled);
        };
        let what = if death == Death::Stalled { "a stall" } else { "a crash" };
        self.with(what, |state| {
            die.clone()(state);
            state.take_over(s);
        });
        let watched = |id| matches!(s.effect(id), Effect::Scale { .. } | Effect::Strike { .. });
        let carried = s.plan.ids().any(|id| watched(id) && self.state.world.carries(s.effect(id), id));
        if carried {
            self.costing(2, "a dead man after", |state| {
                die.clone()(state);
                state.revive(s);
                state.take_over(s);
            });
        }
        if s.cast() == Cast::Whole && death == Death::Crashed {
            self.with("a reboot", |state| {
                die(state);
                state.world.reboot();
                state.take_over(s);
            });
        }
    }

    /// What may become of a request besides going well.
    fn request(&mut self, step: StepId, rv: u64, write: Write) {
        let s = self.s;
        let lost = || Reply::Unknown("no answer".to_owned());
        self.with("done, and the answer lost", |state| {
            state.land(s, step, rv, write, false);
            state.answered(s, step, write, lost());
        });
        self.with("lost", |state| state.answered(s, step, write, lost()));
        if travels(s.effect(step)) {
            self.with("late, and the answer lost", |state| {
                state.world.parked.push(Parked { step, rv, write, fenced: false });
                state.answered(s, step, write, lost());
            });
        }
        self.with("refused", |state| state.answered(s, step, write, Reply::Rejected("forbidden".to_owned())));
        if write == Write::Effect {
            let op = self.op.clone();
            self.with("slow", |state| {
                let due = state.world.now.plus(Nanos(UNIT.0 * 3));
                state.later(due, op);
            });
        }
        let brings_back = match s.effect(step) {
            Effect::Scale { .. } | Effect::Strike { .. } => write == Write::Undo,
            Effect::Delete { .. } => write == Write::Effect,
            _ => false,
        };
        if brings_back && s.cast() == Cast::Whole {
            for units in [20, 100_000] {
                self.with("done, and not ready for long", |state| {
                    let reply = state.land(s, step, rv, write, false);
                    let until = state.world.now.plus(Nanos(UNIT.0 * units));
                    state.world.thing(step).stuck_until = until;
                    state.answered(s, step, write, reply);
                });
            }
        }
    }

    /// What may become of a look, besides going well: once, or until this runner gives the step up.
    fn reads(&mut self) {
        let steps = match self.op {
            Op::Versions(steps) => {
                let steps = steps.clone();
                self.with("no answer", |state| state.versions(self.s, &steps, Some("no answer".to_owned())));
                return;
            }
            Op::Look(step) => vec![*step],
            Op::Touch(steps) => steps.clone(),
            _ => return,
        };
        for step in steps {
            self.with(&format!("no answer for {step:?}"), |state| state.undo_failed(step, "no answer".to_owned()));
            self.with(&format!("no answers for {step:?} any more"), |state| {
                if let Some(runner) = &mut state.runner {
                    runner.denied.push(step);
                }
                state.undo_failed(step, "no answer".to_owned());
            });
        }
    }
}

impl State {
    fn later(&mut self, due: Mono, op: Op) {
        if let Some(runner) = &mut self.runner {
            runner.queue.push_back((due, op));
        }
    }

    /// A request that was on its way arrives.
    pub(super) fn deliver(&mut self, s: &Scenario, at: usize) {
        let parked = self.world.parked.remove(at);
        self.land(s, parked.step, parked.rv, parked.write, parked.fenced);
    }

    fn revive(&mut self, s: &Scenario) {
        let now = self.world.now;
        for id in s.plan.ids() {
            if let Effect::Scale { was, put, .. } = s.effect(id) {
                let thing = self.world.thing(id);
                if thing.marked && thing.val == *put {
                    thing.revive(*was, now);
                    self.witness.note_dead_man(id);
                }
            }
            self.let_go(s, id);
        }
    }

    /// An agent whose time is over lets its victim go.
    pub(super) fn let_go(&mut self, s: &Scenario, id: StepId) {
        if matches!(s.effect(id), Effect::Strike { .. }) && self.world.carries(s.effect(id), id) {
            self.world.time_is_over(id);
            self.witness.note_dead_man(id);
        }
    }
}

/// An operation in a few words, for traces.
fn brief(op: &Op) -> String {
    match op {
        Op::Append(event, _) => match event {
            Event::Opened(_) => "Opened".to_owned(),
            Event::Planned(_) => "Planned".to_owned(),
            Event::Sighted(_) => "Sighted".to_owned(),
            Event::Changed(_) => "Changed".to_owned(),
            event => format!("{event:?}"),
        },
        Op::Hear(_) => "rest".to_owned(),
        op => format!("{op:?}"),
    }
}
