//! What should be under way now.

use super::{Drill, Phase};
use crate::effect::{Effect, StepId};
use crate::plan::{Plan, Stage, Work};
use crate::rule::{Rule, weakened};
use crate::time::Mono;

/// Something that should be under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Look whether, and how, the drill can be done. Read-only.
    Survey,
    /// Make sure that no request whose answer was not heard, of an older term or of this one, can still land on what
    /// these steps change: touch each object. All touched: `Input::Fenced`; a step that could not be: `UndoFailed`, and no
    /// `Fenced`. The list may be empty after a take-over that found nothing in doubt.
    Fence(Vec<StepId>),
    /// Ask for the versions that these steps will be conditional on, and have them recorded.
    Intend(Vec<StepId>),
    /// Perform these, whose intents are durable. Never cancelled, and never begun from here: the permits that come with
    /// the durable intent begin them, once.
    Apply(Vec<StepId>),
    /// Run the probes.
    Probe,
    /// Look at the targets, again and again.
    Watch,
    /// Renew the lock, as long as a dead man watches it.
    Renew,
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
        } else if !self.stopped() {
            self.while_going(plan, now, &mut actions);
        }
        if self.is_watched(plan) {
            actions.push(Action::Renew);
        }
        Next::UnderWay(actions)
    }

    /// Whether a dead man is, or may be, watching the lock.
    fn is_watched(&self, plan: &Plan) -> bool {
        let dead_man = |id: StepId| matches!(plan.step(id).effect, Effect::DeadMan { .. });
        let lock = |id: StepId| matches!(plan.step(id).effect, Effect::Lock { .. });
        plan.stage(Stage::Arm).any(|id| dead_man(id) && self.owed(id))
            && plan.stage(Stage::Arm).any(|id| lock(id) && self.owed(id) && !self.in_flight(id))
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
        if !self.armed() {
            return;
        }
        self.watching(plan, actions);
        if !(self.baseline_held || weakened(Rule::BaselineFirst)) {
            return;
        }
        if self.heal_began.is_none()
            && self.promoted.is_none()
            && let Some(injecting) = self.stage(plan, Stage::Inject)
        {
            actions.push(injecting);
            return;
        }
        let open = self.let_go_now(plan);
        if !open.is_empty() {
            if !self.fenced {
                actions.extend(self.to_fence(now).map(Action::Fence));
                return;
            }
            actions
                .extend(open.into_iter().filter(|id| self.owed(*id) && self.undo_is_due(*id, now)).map(Action::Undo));
        }
        actions.extend(self.work_wanted().map(Action::Work));
    }

    fn watching(&self, plan: &Plan, actions: &mut Vec<Action>) {
        if self.probing_wanted() {
            actions.push(Action::Probe);
        }
        let going = self.undoing.is_none() && (!self.measured() || !self.injection_begun());
        if !plan.watch.is_empty() && (going || (self.undoing.is_some() && !self.measured())) {
            actions.push(Action::Watch);
        }
    }

    fn while_undoing(&self, plan: &Plan, now: Mono, actions: &mut Vec<Action>) {
        self.watching(plan, actions);
        if weakened(Rule::NoIntentWhileUndoing) {
            actions.extend(self.stage(plan, Stage::Inject));
        }
        if !self.fenced {
            actions.extend(self.to_fence(now).map(Action::Fence));
            return;
        }
        let due = |id: &StepId| self.undo_is_due(*id, now);
        let injected = self.undo_next(Stage::Inject);
        let injected_left = !injected.is_empty() && !weakened(Rule::ArmedAfterInjected);
        actions.extend(injected.into_iter().filter(due).map(Action::Undo));
        if injected_left || !self.measured() || self.probing_since.is_some() {
            return;
        }
        if let Some(reading) = self.work_wanted() {
            actions.push(Action::Work(reading));
            return;
        }
        // What keeps others away goes last, and stays while anything injected is owed: a target with residue is locked.
        if !self.owes(Stage::Inject) || weakened(Rule::ArmedAfterInjected) {
            actions.extend(self.undo_next(Stage::Arm).into_iter().filter(due).map(Action::Undo));
        }
    }
}
