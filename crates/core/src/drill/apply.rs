//! What a record does to the state, and which records cannot be true.

use super::{CONFLICTS_MAX, Drill, Phase, StepState, WorkState};
use crate::effect::{Holding, Reply, StepId, Undone};
use crate::event::{Answered, Event, Intent, Record};
use crate::plan::{Heal, Plan, Stage};
use crate::rule::{Rule, weakened};
use crate::time::Mono;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A record that cannot be true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} cannot be true: {why}")]
pub struct Illegal {
    /// Its number.
    pub seq: u64,
    /// Which rule it breaks.
    pub why: &'static str,
}

impl Drill {
    /// Takes a record in.
    ///
    /// # Errors
    /// [`Illegal`] when the record breaks a rule; the state is then as it was before.
    pub fn apply(&mut self, record: &Record) -> Result<(), Illegal> {
        let illegal = |why| Illegal { seq: record.seq, why };
        if record.seq != self.next_seq {
            return Err(illegal("its number is not the next one"));
        }
        if self.opening.is_none() != matches!(record.event, Event::Opened(_)) {
            return Err(illegal("a drill begins with Opened, once"));
        }
        if self.closed {
            return Err(illegal("nothing follows Closed"));
        }
        let epoch = match &record.event {
            Event::Opened(_) => record.epoch.0,
            Event::TookOver(t) => t.epoch.0,
            _ => self.epoch,
        };
        if record.epoch.0 != epoch {
            return Err(illegal("it is of another epoch"));
        }
        self.step_events(&record.event, record.at.mono_ns)
            .and_then(|taken| if taken { Ok(()) } else { self.drill_events(record) })
            .map_err(illegal)?;
        self.next_seq += 1;
        Ok(())
    }

    /// Events about single steps. `Ok(false)` when it is none of them.
    fn step_events(&mut self, event: &Event, at: Mono) -> Result<bool, &'static str> {
        match event {
            Event::Intended(intents) => self.intended(intents)?,
            Event::Replied(answered) => self.replied(answered)?,
            Event::Looked { step, holding } => {
                self.may_settle(*step)?;
                let ours = *holding == Holding::Ours && !weakened(Rule::RememberOurs);
                self.steps[usize::from(step.0)].seen_ours |= ours;
            }
            Event::Undone { step, outcome } => {
                self.may_settle(*step)?;
                self.steps[usize::from(step.0)].phase = Phase::Undone(outcome.clone());
                self.settled_at = Some(at);
            }
            Event::UndoFailed { step, .. } => {
                if usize::from(step.0) >= self.steps.len() || !self.owed(*step) {
                    return Err("the undo of a step that is not owed");
                }
                let state = &mut self.steps[usize::from(step.0)];
                state.failures = state.failures.saturating_add(1);
                state.failed_at = at;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn intended(&mut self, intents: &[Intent]) -> Result<(), &'static str> {
        self.may_intend(intents)?;
        for intent in intents {
            let state = &mut self.steps[usize::from(intent.step.0)];
            state.phase = Phase::Intended(intent.version.clone());
            state.intended_in = self.epoch;
        }
        Ok(())
    }

    /// Whether these effects may be performed now.
    pub(crate) fn may_intend(&self, intents: &[Intent]) -> Result<(), &'static str> {
        let plan = self.plan.as_ref().ok_or("an intent without a plan")?;
        if (self.undoing.is_some() || self.heal_began.is_some() || self.promoted.is_some())
            && !weakened(Rule::NoIntentWhileUndoing)
        {
            return Err("an intent while undoing");
        }
        if self.stopped() && !weakened(Rule::StoppedMeansStopped) {
            return Err("an intent after the drill was stopped");
        }
        let distinct: BTreeSet<StepId> = intents.iter().map(|i| i.step).collect();
        if intents.is_empty() || distinct.len() != intents.len() {
            return Err("an intent for nothing, or for a step twice");
        }
        for intent in intents {
            let Some(state) = self.steps.get(usize::from(intent.step.0)) else { return Err("no such step") };
            if state.phase != Phase::Planned {
                return Err("intended twice");
            }
            let inject = plan.step(intent.step).stage == Stage::Inject;
            if inject && !(self.baseline_held || weakened(Rule::BaselineFirst)) {
                return Err("an injection before the baseline");
            }
            if inject && !self.armed() {
                return Err("an injection before everything is armed");
            }
        }
        Ok(())
    }

    fn replied(&mut self, answered: &Answered) -> Result<(), &'static str> {
        let plan = self.plan.as_ref().ok_or("an answer without a plan")?;
        let state = self.steps.get_mut(usize::from(answered.step.0)).ok_or("no such step")?;
        if !matches!(state.phase, Phase::Intended(_)) {
            return Err("an answer without an intent");
        }
        if answered.sent_ns > answered.done_ns {
            return Err("an answer before its request");
        }
        state.phase = match &answered.reply {
            Reply::Conflict(_) if state.conflicts + 1 < CONFLICTS_MAX => {
                state.conflicts += 1;
                Phase::Planned
            }
            Reply::Conflict(why) => Phase::Replied(Reply::Rejected(why.clone())),
            reply => Phase::Replied(reply.clone()),
        };
        if matches!(state.phase, Phase::Replied(Reply::Unknown(_))) && !weakened(Rule::LostAnswersFence) {
            // Nobody heard the answer, so the request may still be on its way: no look is proof before a fence.
            self.fenced = false;
        }
        let reached = matches!(state.phase, Phase::Replied(Reply::Applied | Reply::Unknown(_)));
        if plan.step(answered.step).stage == Stage::Inject && reached {
            let (from, to) = self.injected.unwrap_or((answered.sent_ns, answered.done_ns));
            self.injected = Some((from.min(answered.sent_ns), to.max(answered.done_ns)));
        }
        Ok(())
    }

    fn planned(&mut self, plan: &Plan) -> Result<(), &'static str> {
        if self.plan.is_some() || self.refused.is_some() || self.undoing.is_some() {
            return Err("a plan at the wrong time");
        }
        let objects: BTreeSet<String> = plan.steps.iter().map(|s| s.effect.object()).collect();
        if objects.len() != plan.steps.len() {
            return Err("two steps on one object");
        }
        if plan.steps.len() > usize::from(u16::MAX) {
            return Err("too many steps");
        }
        if plan.heal != Heal::Work && plan.stage(Stage::Inject).next().is_none() {
            return Err("a fault that injects nothing");
        }
        if let Heal::Undo { waves, .. } = &plan.heal {
            let mut of_waves: Vec<StepId> = waves.iter().flatten().copied().collect();
            of_waves.sort_unstable();
            if of_waves != plan.stage(Stage::Inject).collect::<Vec<_>>() {
                return Err("waves that are not exactly the injected steps");
            }
        }
        if let Heal::Promotion { release } | Heal::Afterwards { release, .. } = &plan.heal
            && release.iter().any(|id| usize::from(id.0) >= plan.steps.len() || plan.step(*id).stage != Stage::Inject)
        {
            return Err("what is let go is not of the fault");
        }
        let fresh = StepState {
            phase: Phase::Planned,
            intended_in: 0,
            conflicts: 0,
            seen_ours: false,
            failures: 0,
            failed_at: Mono::default(),
        };
        self.steps = vec![fresh; plan.steps.len()];
        self.plan = Some(Arc::new(plan.clone()));
        Ok(())
    }

    /// Events about the drill as a whole.
    fn drill_events(&mut self, record: &Record) -> Result<(), &'static str> {
        let at = record.at.mono_ns;
        match &record.event {
            Event::Opened(opening) => {
                self.opening = Some(Arc::new((**opening).clone()));
                self.epoch = record.epoch.0;
                self.fenced = true;
            }
            Event::Refused(refusal) => {
                if self.injection_begun() {
                    return Err("refused after the injection began");
                }
                once(&mut self.refused, refusal.clone())?;
            }
            Event::Planned(plan) => self.planned(plan)?,
            Event::ProbingBegan(streams) => {
                if !self.probing_wanted() {
                    return Err("probes begun that nobody asked for");
                }
                if streams.is_empty() && !self.streams.is_empty() {
                    return Err("probes begun again without one");
                }
                once(&mut self.probing_since, at)?;
                self.streams.clone_from(streams);
            }
            Event::ProbingEnded(_) => {
                self.probing_since.take().ok_or("probes ended that were not begun")?;
            }
            Event::BaselineHeld => {
                if std::mem::replace(&mut self.baseline_held, true) {
                    return Err("the baseline held twice");
                }
            }
            Event::TookOver(take_over) => {
                if take_over.epoch.0 <= self.epoch {
                    return Err("an epoch that does not rise");
                }
                self.epoch = take_over.epoch.0;
                self.take_over(at);
            }
            Event::Fenced => {
                if self.any_in_flight() {
                    return Err("fenced while a request is under way");
                }
                self.fenced = true;
            }
            Event::Suspended { .. } => {
                if self.outstanding().next().is_none() || self.probing_since.is_some() {
                    return Err("suspended with nothing owed, or while probes run");
                }
                self.suspended = true;
            }
            Event::Closed => {
                let owed = self.outstanding().next().is_some() && !weakened(Rule::CloseOnlyClean);
                if owed || self.probing_since.is_some() {
                    return Err("closed with something owed");
                }
                if self.plan.is_some() && (self.undoing.is_none() || !self.fenced) {
                    return Err("closed before undoing, or before the fence");
                }
                self.closed = true;
            }
            event => return self.course_events(event, at),
        }
        Ok(())
    }

    /// A new term: it only undoes, and what the old one had running is not running any more.
    fn take_over(&mut self, at: Mono) {
        self.took_over = Some(at);
        if !weakened(Rule::TakeOverOnlyUndoes) {
            self.undoing = Some(at);
        }
        self.fenced = weakened(Rule::TakeOverFences);
        self.suspended = false;
        self.probing_since = None;
        if !self.recovered() || weakened(Rule::MeasureOnce) {
            self.stable = None;
            self.redundant = None;
        }
        if !weakened(Rule::BootsDiffer) {
            // Nothing seen or done before is evidence of now, and its stamps may be of another boot.
            self.settled_at = None;
            self.sights.clear();
        }
        self.works.retain(|_, state| *state == WorkState::Ended);
        for state in &mut self.steps {
            state.failures = 0;
        }
    }

    /// Events that mark how the drill goes.
    fn course_events(&mut self, event: &Event, now: Mono) -> Result<(), &'static str> {
        match event {
            Event::Landed { at, .. } => once(&mut self.landed, *at)?,
            Event::NotLanded(why) => once(&mut self.not_landed, why.clone())?,
            Event::Unsustained { by } => once(&mut self.unsustained, by.clone())?,
            Event::LossSeen => once(&mut self.loss_seen, now)?,
            Event::PromotionSeen { .. } => {
                let kept_down = self.plan.as_ref().is_some_and(|p| matches!(p.heal, Heal::Promotion { .. }));
                if !kept_down || self.landed.is_none() || self.undoing.is_some() {
                    return Err("a promotion of nothing that was kept down");
                }
                once(&mut self.promoted, now)?;
            }
            Event::HealBegan => {
                if self.landed.is_none() || self.undoing.is_some() {
                    return Err("healing what did not land, or is undone already");
                }
                once(&mut self.heal_began, now)?;
            }
            Event::WaveReady(wave) => {
                if *wave != self.waves_ready || self.heal_began.is_none() {
                    return Err("a wave out of turn");
                }
                self.waves_ready += 1;
            }
            Event::WorkBegan(work) => {
                if self.work_wanted() != Some(*work) || self.works.contains_key(work) {
                    return Err("work begun twice, or that nobody asked for");
                }
                self.works.insert(*work, WorkState::Began);
                self.work_since.get_or_insert(now);
            }
            Event::WorkEnded(end) => {
                if self.works.get(&end.work) != Some(&WorkState::Began) {
                    return Err("work ended that was not begun");
                }
                self.works.insert(end.work, WorkState::Ended);
            }
            Event::Stable => once(&mut self.stable, now)?,
            Event::Redundant => once(&mut self.redundant, now)?,
            Event::DeadlinePassed => self.deadline_passed = true,
            Event::GuardTripped(why) => once(&mut self.guard, why.clone())?,
            Event::AbortAsked(by) => {
                self.abort.get_or_insert_with(|| by.clone());
            }
            Event::UndoBegan(_) => once(&mut self.undoing, now)?,
            Event::Sighted(sight) => {
                self.sights.insert(sight.target.clone(), sight.clone());
            }
            Event::Changed(change) => {
                change.onto(self.sights.get_mut(&change.target).ok_or("a change of what was not seen before")?)?;
            }
            Event::Checked(_) | Event::SamplesSealed(_) | Event::ClockStepped { .. } => {}
            _ => return Err("an event of another kind"),
        }
        Ok(())
    }

    /// How a step ended, when it did.
    pub fn outcome(&self, step: StepId) -> Option<&Undone> {
        match &self.steps.get(usize::from(step.0))?.phase {
            Phase::Undone(outcome) => Some(outcome),
            _ => None,
        }
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), &'static str> {
    if slot.is_some() {
        return Err("something that happens once, twice");
    }
    *slot = Some(value);
    Ok(())
}
