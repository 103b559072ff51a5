//! What should be under way now.

use super::{Drill, Phase, WorkState};
use crate::effect::{Reply, StepId};
use crate::plan::{Heal, Plan, Stage, Work};
use crate::time::Mono;

/// Something that should be under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Look whether, and how, the drill can be done. Read-only.
    Survey,
    /// Make sure that nothing an older term sent can still land on what these steps changed.
    Fence(Vec<StepId>),
    /// Ask for the versions that these steps will be conditional on, and have them recorded.
    Intend(Vec<StepId>),
    /// Perform these, whose intents are durable.
    Apply(Vec<StepId>),
    /// Run the probes.
    Probe,
    /// Look at the targets, again and again.
    Watch,
    /// Look at what a step changed, and put it back while it is ours.
    Undo(StepId),
    /// Do long work.
    Work(Work),
}

/// Why there is nothing more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The drill is closed.
    Closed,
    /// Something is owed that this runner could not put back.
    Suspended,
}

/// All that should be under way now; what is not in it should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// These, side by side.
    UnderWay(Vec<Action>),
    /// Nothing, ever again for this runner.
    Over(End),
}

impl Drill {
    /// What should be under way at `now`.
    pub fn next(&self, now: Mono) -> Next {
        if self.closed {
            return Next::Over(End::Closed);
        }
        if self.suspended {
            return Next::Over(End::Suspended);
        }
        let Some(plan) = &self.plan else {
            let over = self.refused.is_some() || self.abort.is_some() || self.undoing.is_some();
            return Next::UnderWay(if over { Vec::new() } else { vec![Action::Survey] });
        };
        let mut actions = Vec::new();
        if self.undoing.is_some() {
            self.while_undoing(plan, now, &mut actions);
        } else if self.refused.is_none() && self.abort.is_none() && self.guard.is_none() {
            self.while_going(plan, now, &mut actions);
        }
        Next::UnderWay(actions)
    }

    fn phase(&self, id: StepId) -> &Phase {
        &self.steps[usize::from(id.0)].phase
    }

    fn in_stage(&self, plan: &Plan, stage: Stage, wanted: impl Fn(&Phase) -> bool) -> Vec<StepId> {
        plan.stage(stage).filter(|id| wanted(self.phase(*id))).collect()
    }

    /// The next thing to do for a stage of effects; `None` when all of it is applied.
    fn stage(&self, plan: &Plan, stage: Stage) -> Option<Action> {
        let intended = self.in_stage(plan, stage, |p| matches!(p, Phase::Intended(_)));
        if !intended.is_empty() {
            return Some(Action::Apply(intended));
        }
        let planned = self.in_stage(plan, stage, |p| *p == Phase::Planned);
        (!planned.is_empty()).then_some(Action::Intend(planned))
    }

    fn while_going(&self, plan: &Plan, now: Mono, actions: &mut Vec<Action>) {
        if let Some(arming) = self.stage(plan, Stage::Arm) {
            actions.push(arming);
            return;
        }
        let answered = |id| matches!(self.phase(id), Phase::Replied(Reply::Applied));
        if !plan.stage(Stage::Arm).all(answered) {
            return;
        }
        if !self.measured() || !self.injection_begun() {
            actions.push(Action::Probe);
            if !plan.watch.is_empty() {
                actions.push(Action::Watch);
            }
        }
        if !self.baseline_held {
            return;
        }
        if let Some(injecting) = self.stage(plan, Stage::Inject) {
            actions.push(injecting);
            return;
        }
        if plan.heal == Heal::Work && self.works.get(&Work::Restore) != Some(&WorkState::Ended) && !self.deadline_passed
        {
            actions.push(Action::Work(Work::Restore));
        }
        if let (Heal::Undo { waves, .. }, Some(_)) = (&plan.heal, self.heal_began) {
            let wave = waves.get(usize::from(self.waves_ready));
            let owed = wave.into_iter().flatten().filter(|id| self.owed(**id));
            actions.extend(owed.filter(|id| self.undo_is_due(**id, now)).map(|id| Action::Undo(*id)));
        }
        if self.injection_begun() && self.measured() && self.probing_since.is_none() {
            actions.extend(self.reading_wanted().map(Action::Work));
        }
    }

    fn undo_is_due(&self, id: StepId, now: Mono) -> bool {
        let state = &self.steps[usize::from(id.0)];
        !self.hopeless(id)
            && !self.in_flight(id)
            && (state.failures == 0 || now >= state.failed_at.plus(Self::backoff(state.failures)))
    }

    fn while_undoing(&self, plan: &Plan, now: Mono, actions: &mut Vec<Action>) {
        let due = |id: &StepId| self.undo_is_due(*id, now);
        if !self.fenced {
            let doubt: Vec<StepId> = self.outstanding().filter(due).collect();
            if !doubt.is_empty() || self.outstanding().next().is_none() {
                actions.push(Action::Fence(doubt));
            }
            return;
        }
        if !self.measured() {
            // Also after a crash: what the service does now is worth knowing. The ledger's table and the lock are still there.
            if !self.streams.is_empty() {
                actions.push(Action::Probe);
            }
            if !plan.watch.is_empty() {
                actions.push(Action::Watch);
            }
        }
        let injected = self.undo_next(Stage::Inject);
        let injected_left = !injected.is_empty();
        actions.extend(injected.into_iter().filter(due).map(Action::Undo));
        if injected_left || !self.measured() || self.probing_since.is_some() {
            return;
        }
        if let Some(reading) = self.reading_wanted() {
            actions.push(Action::Work(reading));
            return;
        }
        // What keeps others away goes last, and stays while anything injected is owed: a target with residue is locked.
        if !self.owes(Stage::Inject) {
            actions.extend(self.undo_next(Stage::Arm).into_iter().filter(due).map(Action::Undo));
        }
    }
}
