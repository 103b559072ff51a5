//! The witness: what must never happen, judged from the world and the records alone, with none of the drill's own state.

use super::scenario::Scenario;
use super::world::World;
use crate::effect::{Effect, Holding, Reply, StepId, Undone};
use crate::event::Event;
use crate::plan::{Heal, Stage, Work};
use crate::time::Mono;
use std::collections::BTreeSet;
use std::hash::Hash;

/// What was recorded so far, as an outsider reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the records")]
pub(super) struct Witness {
    over: bool,
    began: bool,
    promoted: bool,
    pub(super) injecting: bool,
    baseline: bool,
    measured: u8,
    read: bool,
    pub(super) probing: Option<Mono>,
    lost: Option<Mono>,
    intended: Vec<StepId>,
    settled: Vec<StepId>,
    seen_ours: Vec<StepId>,
    people: Vec<StepId>,
    revived: Vec<StepId>,
    pub(super) closed: bool,
}

impl Witness {
    /// Whether a step was settled.
    pub(super) fn has_settled(&self, step: usize) -> bool {
        self.settled.iter().any(|id| usize::from(id.0) == step)
    }

    /// What of it decides judgements to come.
    pub(super) fn summary(&self, now: Mono) -> impl Hash + use<> {
        let age = |at: &Mono| i128::from(now.0) - i128::from(at.0);
        // What was intended, seen or done by others counts until the step is settled.
        let set =
            |ids: &[StepId]| ids.iter().copied().filter(|id| !self.settled.contains(id)).collect::<BTreeSet<StepId>>();
        let all: BTreeSet<StepId> = self.settled.iter().copied().collect();
        let Self { over, began, promoted, injecting, baseline, measured, read, probing, lost, .. } = self;
        let Self { intended, seen_ours, people, revived, closed, .. } = self;
        let course = (*over, *began, *promoted, *injecting, *baseline, *measured, *read, *closed);
        let held = if *over { None } else { lost.as_ref().map(age) };
        let baseline = if *baseline { None } else { probing.as_ref().map(age) };
        let sets = [all, set(intended), set(seen_ours), set(people), set(revived)];
        (course, probing.is_some(), held, baseline, sets)
    }

    /// A person, or a dead man, acted on an object.
    pub(super) fn note_person(&mut self, id: StepId) {
        self.people.push(id);
    }

    pub(super) fn note_dead_man(&mut self, id: StepId) {
        self.revived.push(id);
    }

    /// Judges a record against the world at the moment when it is written.
    pub(super) fn record(&mut self, event: &Event, s: &Scenario, world: &World) -> Result<(), String> {
        match event {
            Event::Intended(intents) => {
                for intent in intents {
                    self.intent(intent.step, s, world)?;
                }
            }
            Event::TookOver(_) => {
                (self.over, self.probing) = (true, None);
                // What was measured to its end stays measured.
                self.measured = if self.measured >= 2 { self.measured } else { 0 };
            }
            Event::UndoBegan(_) | Event::AbortAsked(_) | Event::GuardTripped(_) | Event::Refused(_) => {
                self.over = true;
                if matches!(event, Event::AbortAsked(_)) {
                    self.measured = 2;
                }
            }
            Event::DeadlinePassed => self.measured = 2,
            Event::Stable | Event::Redundant => self.evidence(event, s, world)?,
            Event::BaselineHeld => self.baseline(s, world)?,
            Event::LossSeen => self.lost = Some(world.now),
            Event::PromotionSeen { .. } => {
                self.promoted = true;
                if !world.things.iter().any(|t| world.taken_over(t)) {
                    return Err("a promotion that nobody made".to_owned());
                }
            }
            Event::HealBegan => self.heal(s, world)?,
            Event::WaveReady(wave) => wave_is_back(usize::from(*wave), s, world)?,
            Event::Replied(answered) if matches!(answered.reply, Reply::Conflict(_)) => {
                self.intended.retain(|id| *id != answered.step);
                self.injecting = self.intended.iter().any(|id| s.plan.step(*id).stage == Stage::Inject);
            }
            Event::ProbingBegan(_) if self.read => return Err("probes write after the ledger was read".to_owned()),
            Event::ProbingBegan(_) => self.probing = Some(world.now),
            Event::ProbingEnded(_) => self.probing = None,
            Event::WorkBegan(work) => self.work(*work, s, world)?,
            Event::Looked { step, holding: Holding::Ours } => self.seen_ours.push(*step),
            Event::Undone { step, outcome } => self.settle(*step, outcome, s, world)?,
            Event::Closed => {
                self.closed = true;
                self.clean(s, world)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn intent(&mut self, id: StepId, s: &Scenario, world: &World) -> Result<(), String> {
        if self.over || self.began {
            return Err(format!("an intent for {id:?} after a take-over, an end, or the healing"));
        }
        if s.plan.step(id).stage == Stage::Inject {
            if !self.baseline {
                return Err("an injection before the baseline held".to_owned());
            }
            if s.plan.stage(Stage::Arm).any(|arm| !world.carries(s.effect(arm), arm)) {
                return Err("an injection while something is not armed".to_owned());
            }
            self.injecting = true;
        }
        self.intended.push(id);
        Ok(())
    }

    fn baseline(&mut self, s: &Scenario, world: &World) -> Result<(), String> {
        self.baseline = true;
        let wanted = s.opening.settings.baseline_ns;
        match self.probing {
            Some(since) if world.now.since(since) >= wanted => Ok(()),
            _ => Err("a baseline that was not watched for its time".to_owned()),
        }
    }

    fn evidence(&mut self, event: &Event, s: &Scenario, world: &World) -> Result<(), String> {
        self.measured += 1;
        if *event == Event::Redundant && s.plan.ids().any(|id| down(id, s, world)) {
            return Err("called redundant while a deployment is down".to_owned());
        }
        let held = |id: StepId| matches!(s.effect(id), Effect::Strike { .. }) && world.carries(s.effect(id), id);
        if matches!(s.plan.heal, Heal::Afterwards { .. }) && !self.over && s.plan.ids().any(held) {
            return Err(format!("{event:?} while the fault is held"));
        }
        // Members may be back before users are served; the end of measuring is when both are.
        if (*event == Event::Stable || self.measured == 2) && !s.streams.is_empty() && !world.serving(&s.plan) {
            return Err(format!("{event:?} while users are not served"));
        }
        Ok(())
    }

    fn heal(&mut self, s: &Scenario, world: &World) -> Result<(), String> {
        self.began = true;
        let (hold_ns, held) = match &s.plan.heal {
            Heal::Undo { hold_ns, .. } => (hold_ns, self.lost.map(|lost| world.now.since(lost))),
            Heal::Afterwards { hold_ns, .. } => {
                (hold_ns, world.things.iter().filter_map(|t| t.struck_for(world.now)).max())
            }
            _ => return Err("healing what is not held".to_owned()),
        };
        match held {
            Some(held) if held >= *hold_ns => Ok(()),
            _ => Err("let go before it was seen and held".to_owned()),
        }
    }

    fn work(&mut self, work: Work, s: &Scenario, world: &World) -> Result<(), String> {
        if let Work::ReadLedger { .. } = work {
            self.read = true;
            if self.probing.is_some() {
                return Err("the ledger read while probes write".to_owned());
            }
            return Ok(());
        }
        if s.plan.stage(Stage::Arm).any(|arm| !world.carries(s.effect(arm), arm)) {
            return Err("work without what it is to touch".to_owned());
        }
        Ok(())
    }

    fn settle(&mut self, id: StepId, outcome: &Undone, s: &Scenario, world: &World) -> Result<(), String> {
        self.settled.push(id);
        let effect = s.effect(id);
        let landed = world.things[usize::from(id.0)].landed > 0;
        let people = self.people.contains(&id);
        let revived = self.revived.contains(&id);
        if world.carries(effect, id) {
            return Err(format!("{id:?} settled as {outcome:?} while it is there"));
        }
        let truth = match outcome {
            // What a person or a dead man put back before anybody looked cannot be told from what never happened.
            Undone::NeverApplied => !landed || ((people || revived) && !self.seen_ours.contains(&id)),
            Undone::Reverted | Undone::Irreversible => landed,
            Undone::ByDeadMan => revived,
            Undone::Superseded(_) => people,
        };
        if truth { Ok(()) } else { Err(format!("{id:?} settled as {outcome:?}, which is not true (landed: {landed})")) }
    }

    /// Judges an effect that landed.
    pub(super) fn landed(&self, id: StepId, fenced: bool, s: &Scenario) -> Result<(), String> {
        if !self.intended.contains(&id) {
            return Err(format!("the effect of {id:?} before its intent was recorded"));
        }
        // What is made late names a drill that is closed: a lock keeps others away, a dead man finds nothing to watch, an agent
        // is told nothing; none harms, and whoever finds it beside that drill's journal takes it away. A create has no version
        // that could be moved on.
        if s.effect(id).may_land_late() {
            return Ok(());
        }
        if fenced {
            return Err(format!("the effect of {id:?} landed after the fence"));
        }
        if self.settled.contains(&id) {
            return Err(format!("the effect of {id:?} landed after it was settled"));
        }
        Ok(())
    }

    /// Judges an undo that is about to be written, conditional on `ours` being there.
    pub(super) fn undoing(&self, id: StepId, s: &Scenario, world: &World) -> Result<(), String> {
        let step = s.plan.step(id);
        let carried = |id: &StepId| world.carries(s.effect(*id), *id);
        let thing = &world.things[usize::from(id.0)];
        if matches!(step.effect, Effect::Scale { .. }) && thing.person == Some(thing.val) {
            return Err(format!("a person's change of {id:?} was undone"));
        }
        if step.stage == Stage::Arm && s.plan.stage(Stage::Inject).any(|i| carried(&i)) {
            return Err(format!("{id:?} put away while the fault is there"));
        }
        if matches!(step.effect, Effect::Lock { .. }) && s.plan.ids().any(|other| other != id && carried(&other)) {
            return Err("the lock let go while something is left".to_owned());
        }
        if matches!(s.plan.heal, Heal::Promotion { .. }) && !self.over && !self.promoted {
            return Err(format!("{id:?} let go before another had taken over"));
        }
        if matches!(s.plan.heal, Heal::Afterwards { .. }) && !self.over && !self.began {
            return Err(format!("{id:?} let go before its time"));
        }
        if let (Heal::Undo { waves, .. }, false) = (&s.plan.heal, self.over) {
            let mine = waves.iter().position(|w| w.contains(&id)).unwrap_or_default();
            if waves[..mine].iter().flatten().any(|id| carried(id) || down(*id, s, world)) {
                return Err(format!("{id:?} put back before the waves before it are back"));
            }
        }
        Ok(())
    }

    /// Whether probes should run whenever a runner has nothing else to do.
    pub(super) fn should_probe(&self, s: &Scenario) -> bool {
        self.injecting && !s.streams.is_empty() && self.measured < 2 && !self.closed
    }

    /// Nothing of the fault is left, and what people did is as they left it.
    pub(super) fn clean(&self, s: &Scenario, world: &World) -> Result<(), String> {
        for id in s.plan.ids() {
            let thing = &world.things[usize::from(id.0)];
            let effect = s.effect(id);
            let late = effect.may_land_late() && self.settled.contains(&id);
            if world.carries(effect, id) && !late {
                return Err(format!("{} is left", effect.describe()));
            }
            if let Effect::Scale { was, .. } = effect {
                let want = thing.person.unwrap_or(*was);
                if thing.val != want {
                    return Err(format!("{} is at {} and not at {want}", effect.object(), thing.val));
                }
            }
        }
        Ok(())
    }
}

/// Whether a Deployment that was taken away, and that nobody else changed, is not back.
fn down(id: StepId, s: &Scenario, world: &World) -> bool {
    let Effect::Scale { was, .. } = s.effect(id) else { return false };
    let t = &world.things[usize::from(id.0)];
    t.person.is_none() && t.landed > 0 && t.pods(world.now).1 < *was
}

/// A wave counts as ready only while what was put back of it serves.
fn wave_is_back(wave: usize, s: &Scenario, world: &World) -> Result<(), String> {
    let Heal::Undo { waves, .. } = &s.plan.heal else { return Err("a wave of nothing".to_owned()) };
    if waves[wave].iter().any(|id| down(*id, s, world)) {
        Err(format!("wave {wave} called ready while it is down"))
    } else {
        Ok(())
    }
}

/// Judges a deadline that passed while users were served for long: then something must have been left to bring back.
pub(super) fn too_late(s: &Scenario, world: &World) -> Result<(), String> {
    let left = |id: StepId| {
        let t = &world.things[usize::from(id.0)];
        world.carries(s.effect(id), id) || t.pods(world.now).1 < t.val || !world.member_back(t)
    };
    if s.plan.heal == Heal::Work || s.plan.stage(Stage::Inject).any(left) {
        return Ok(());
    }
    Err("the deadline passed although everything was back".to_owned())
}
