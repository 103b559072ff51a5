//! What makes two states of the simulation the same: everything that decides how they go on, and not how they came about.
//!
//! Times count as ages, versions as current or outdated, terms as own or older. What is settled, or lies before a
//! take-over, is left out where the drill no longer asks for it.

use super::runner::{Op, Runner, State};
use super::world::{UNIT, World};
use crate::drill::{CONFLICTS_MAX, Drill, Phase, StepState};
use crate::effect::{StepId, Undone};
use crate::event::Event;
use crate::plan::Stage;
use crate::sight::Sight;
use crate::time::Mono;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::{Hash, Hasher};

/// Two independent hashes of a state, as one number.
pub(super) fn of(state: &State, op: &Op) -> u128 {
    let mut into = Both { a: DefaultHasher::new(), b: DefaultHasher::new() };
    into.b.write_u64(0x9e37_79b9_7f4a_7c15);
    let State { world, log: _, runner, last: _, witness, epoch: _, left, turns: _, trouble, trace: _ } = state;
    let quiet = runner.as_ref().is_some_and(|r| put_away(&r.drill));
    (left, trouble, quiet).hash(&mut into);
    if !quiet {
        (world.now.0 % UNIT.0).hash(&mut into);
    }
    world_into(&mut into, world, quiet);
    for (at, thing) in world.things.iter().enumerate() {
        (thing.landed > 0 && !witness.has_settled(at)).hash(&mut into);
    }
    witness.summary(world.now).hash(&mut into);
    op_into(&mut into, world, op);
    if let Some(Runner { drill, epoch: _, queue, running, stream, denied, hiccup, quiet }) = runner {
        (denied, hiccup, if put_away(drill) { 0 } else { *quiet }, queue.len(), stream.failed > 0, stream.ok > 0)
            .hash(&mut into);
        let since = |t: Option<Mono>| t.map(|t| age(world, t).min(20 * i128::from(UNIT.0)));
        (since(stream.ok_since), since(stream.ok_until), since(stream.down_since)).hash(&mut into);
        for (due, op) in queue {
            due.0.saturating_sub(world.now.0).hash(&mut into);
            op_into(&mut into, world, op);
        }
        debug(&mut into, running);
        drill_into(&mut into, world, drill, *left);
    }
    (u128::from(into.a.finish()) << 64) | u128::from(into.b.finish())
}

/// How long ago something was; below zero for what was before a reboot.
fn age(world: &World, at: Mono) -> i128 {
    i128::from(world.now.0) - i128::from(at.0)
}

fn current(world: &World, id: StepId, rv: u64) -> bool {
    world.things[usize::from(id.0)].rv == rv
}

fn world_into(into: &mut Both, world: &World, quiet: bool) {
    world.boot.hash(into);
    for thing in &world.things {
        thing.summary((!quiet).then_some(world.now)).hash(into);
    }
    for parked in &world.parked {
        (parked.step, current(world, parked.step, parked.rv), parked.write, parked.fenced).hash(into);
    }
}

fn op_into(into: &mut Both, world: &World, op: &Op) {
    std::mem::discriminant(op).hash(into);
    match op {
        Op::Append(event, then) => {
            event_into(into, event);
            then.is_some().hash(into);
            if let Some(then) = then {
                op_into(into, world, then);
            }
        }
        Op::Hear(input) => debug(into, input),
        Op::Send(step, rv, write) => (step, current(world, *step, *rv), write).hash(into),
        Op::Versions(steps) | Op::Touch(steps) => steps.hash(into),
        Op::Look(step) => step.hash(into),
        Op::Work(work) => work.hash(into),
        Op::Survey | Op::See => {}
    }
}

fn event_into(into: &mut Both, event: &Event) {
    std::mem::discriminant(event).hash(into);
    match event {
        Event::Opened(_) | Event::Planned(_) | Event::TookOver(_) | Event::Landed { .. } => {}
        Event::Sighted(sight) => debug(into, &sight.view),
        Event::Changed(change) => debug(into, &(&change.changed, &change.gone)),
        Event::Replied(answered) => (answered.step, &answered.reply).hash(into),
        Event::Intended(intents) => intents.iter().for_each(|i| i.step.hash(into)),
        other => debug(into, other),
    }
}

fn step_into(into: &mut Both, world: &World, step: &StepState, term: u64, left: u8) {
    let StepState { phase, intended_in, conflicts, seen_ours, failures, failed_at } = step;
    std::mem::discriminant(phase).hash(into);
    match phase {
        // Of a settled step only whether it was brought back still counts: then it has to be ready.
        Phase::Undone(outcome) => return matches!(outcome, Undone::Reverted | Undone::ByDeadMan).hash(into),
        Phase::Intended(_) | Phase::Planned => {}
        Phase::Replied(reply) => reply.hash(into),
    }
    // Conflicts too few to come to an end count for nothing.
    let conflicts = if conflicts + u16::from(left) < CONFLICTS_MAX { 0 } else { *conflicts };
    let failed = (*failures > 0).then(|| (*failures, age(world, *failed_at)));
    (*intended_in == term, conflicts, seen_ours, failed).hash(into);
}

fn drill_into(into: &mut Both, world: &World, drill: &Drill, left: u8) {
    let Drill {
        opening: _,
        next_seq: _,
        epoch,
        fenced,
        took_over,
        refused,
        plan,
        steps,
        streams,
        probing_since,
        baseline_held,
        injected,
        landed,
        not_landed,
        unsustained,
        loss_seen,
        promoted,
        heal_began,
        waves_ready,
        works,
        work_since,
        stable,
        redundant,
        deadline_passed,
        guard,
        abort,
        undoing,
        settled_at,
        suspended,
        closed,
        sights,
    } = drill;
    let ago = |t: &Option<Mono>| t.map(|t| age(world, t));
    let taken = undoing.is_some() && took_over.is_some();
    (fenced, plan.is_some(), suspended, closed, undoing.is_some(), probing_since.is_some(), streams.len()).hash(into);
    if put_away(drill) {
        // Only what was armed is left, and nothing is measured any more.
        for step in steps.iter().filter(|step| !matches!(step.phase, Phase::Undone(_) | Phase::Planned)) {
            step_into(into, world, step, *epoch, left);
        }
        return;
    }
    for step in steps {
        step_into(into, world, step, *epoch, left);
    }
    // Far from the deadline it does not matter how far.
    let late = took_over
        .or(*undoing)
        .map(|t| age(world, t))
        .filter(|age| *age > FAR || drill.settings().deadline_ns.0 < 100 * UNIT.0);
    (late, undoing.map(|_| age(world, drill.recovery_floor())), ago(settled_at), refused.is_some()).hash(into);
    (works, stable.is_some(), redundant.is_some(), deadline_passed, guard.is_some(), abort.is_some()).hash(into);
    if !taken {
        let injected = injected.map(|(from, to)| (age(world, from), age(world, to)));
        (baseline_held, injected, ago(landed), not_landed.is_some(), unsustained.is_some(), ago(probing_since))
            .hash(into);
        (ago(loss_seen), promoted.is_some(), ago(heal_began), waves_ready, ago(work_since)).hash(into);
    }
    for Sight { target: _, from_ns, to_ns, view } in sights.values() {
        (age(world, *from_ns), age(world, *to_ns)).hash(into);
        debug(into, view);
    }
}

/// Whether the rest of a drill is putting away what was armed.
fn put_away(drill: &Drill) -> bool {
    drill.undoing.is_some()
        && drill.fenced
        && drill.measured()
        && drill.reading_wanted().is_none()
        && drill.probing_since.is_none()
        && !drill.owes(Stage::Inject)
        && !drill.any_in_flight()
}

/// An age at which a deadline of hundreds of units is still far away.
const FAR: i128 = 100 * UNIT.0 as i128;

struct Both {
    a: DefaultHasher,
    b: DefaultHasher,
}

impl Hasher for Both {
    fn finish(&self) -> u64 {
        self.a.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.a.write(bytes);
        self.b.write(bytes);
    }
}

impl Write for Both {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        Hasher::write(self, s.as_bytes());
        Ok(())
    }
}

fn debug(into: &mut Both, value: &impl std::fmt::Debug) {
    // Writing into a hash does not fail.
    let _ = write!(into, "{value:?}");
}
