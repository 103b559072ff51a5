//! What is owed, what of it may be put back now, and in which order.

use super::{Drill, Phase, UNDO_FAILURES_MAX};
use crate::effect::{Effect, Reply, StepId};
use crate::plan::{Heal, Plan, Stage};
use crate::rule::{Rule, weakened};
use crate::sight::TargetView;
use crate::time::{Mono, Nanos};

impl Drill {
    /// Whether a step's effect may still be in the world.
    pub fn owed(&self, id: StepId) -> bool {
        match &self.steps[usize::from(id.0)].phase {
            Phase::Intended(_) | Phase::Replied(Reply::Unknown(_)) if weakened(Rule::OweTheUnconfirmed) => false,
            Phase::Intended(_) => true,
            Phase::Replied(reply) => !matches!(reply, Reply::Rejected(_)),
            Phase::Planned | Phase::Undone(_) => false,
        }
    }

    /// The steps that are owed, in order.
    pub fn outstanding(&self) -> impl Iterator<Item = StepId> + '_ {
        self.plan.iter().flat_map(|plan| plan.ids()).filter(|id| self.owed(*id))
    }

    /// Whether any step of a stage is owed.
    pub(crate) fn owes(&self, stage: Stage) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.stage(stage).any(|id| self.owed(id)))
    }

    /// Whether a step's undo failed so often that this runner leaves it.
    pub(crate) fn hopeless(&self, id: StepId) -> bool {
        self.steps[usize::from(id.0)].failures >= UNDO_FAILURES_MAX && !weakened(Rule::GiveUpHopeless)
    }

    /// Whether a request of this very runner is still under way for a step. Its answer is awaited before anything else.
    pub(crate) fn in_flight(&self, id: StepId) -> bool {
        let state = &self.steps[usize::from(id.0)];
        matches!(state.phase, Phase::Intended(_)) && state.intended_in == self.epoch && !weakened(Rule::AwaitInFlight)
    }

    /// Whether any request of this runner is under way.
    pub(crate) fn any_in_flight(&self) -> bool {
        self.plan.iter().flat_map(|plan| plan.ids()).any(|id| self.in_flight(id))
    }

    /// The steps whose request was never answered, so that it may land late: what a fence is about.
    fn in_doubt(&self) -> impl Iterator<Item = StepId> + '_ {
        self.outstanding().filter(|id| {
            matches!(self.steps[usize::from(id.0)].phase, Phase::Intended(_) | Phase::Replied(Reply::Unknown(_)))
        })
    }

    /// What has to be fenced now, all of it at once, past what is hopeless; `None` when nothing is to be fenced, or while
    /// an own request is under way or a failed touch waits to be tried again.
    pub(crate) fn to_fence(&self, now: Mono) -> Option<Vec<StepId>> {
        let doubt: Vec<StepId> = self.in_doubt().filter(|id| !self.hopeless(*id)).collect();
        (!self.fenced && !self.any_in_flight() && doubt.iter().all(|id| self.undo_is_due(*id, now))).then_some(doubt)
    }

    /// What is undone next of a stage: the owed steps that share the highest rank, past those that are hopeless.
    pub(crate) fn undo_next(&self, stage: Stage) -> Vec<StepId> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let open: Vec<StepId> = plan
            .stage(stage)
            .filter(|id| self.owed(*id) && !self.hopeless(*id) && self.lock_may_go(plan, *id))
            .collect();
        let top = open.iter().map(|id| plan.step(*id).rank).max();
        open.into_iter().filter(|id| Some(plan.step(*id).rank) == top).collect()
    }

    /// A lock is let go only when nothing but locks is owed: a target with residue stays locked.
    fn lock_may_go(&self, plan: &Plan, id: StepId) -> bool {
        let lock = |id: StepId| matches!(plan.step(id).effect, Effect::Lock { .. });
        !lock(id) || weakened(Rule::LockGoesLast) || self.outstanding().all(lock)
    }

    /// Whether the next look at a step may be believed, and the step settled by it.
    pub(crate) fn may_settle(&self, id: StepId) -> Result<(), &'static str> {
        let Some(plan) = &self.plan else { return Err("a step without a plan") };
        if usize::from(id.0) >= self.steps.len() {
            return Err("no such step");
        }
        if !self.owed(id) {
            return Err("a step that is not owed");
        }
        if self.in_flight(id) {
            return Err("a step whose request is under way");
        }
        if !self.fenced {
            return Err("a look while a request may still land");
        }
        if self.undoing.is_none() && !self.let_go_now(plan).contains(&id) {
            return Err("a step put back before undoing, and before its turn");
        }
        if plan.step(id).stage == Stage::Arm && self.owes(Stage::Inject) && !weakened(Rule::ArmedAfterInjected) {
            return Err("what was armed, while the fault is owed");
        }
        if !self.lock_may_go(plan, id) {
            return Err("the lock, while something else is owed");
        }
        Ok(())
    }

    /// The steps that may be put back before undoing begins: those of the waves whose turn it is, or was, what keeps the
    /// old primary down once another has taken over, and what was held for its time.
    pub(crate) fn let_go_now(&self, plan: &Plan) -> Vec<StepId> {
        match &plan.heal {
            Heal::Undo { waves, .. } if self.heal_began.is_some() => self.waves_now(waves).flatten().copied().collect(),
            Heal::Promotion { release } if self.promoted.is_some() || weakened(Rule::KeepDownUntilPromoted) => {
                release.clone()
            }
            Heal::Afterwards { release, .. } if self.heal_began.is_some() => release.clone(),
            _ => Vec::new(),
        }
    }

    /// Another member that was seen to be primary since the fault landed, by name.
    pub(crate) fn successor(&self, plan: &Plan) -> Option<&str> {
        let landed = self.landed?;
        let old = plan.steps.iter().find_map(|s| s.effect.takes())?;
        self.sights.values().filter(|s| s.to_ns >= landed).find_map(|s| match &s.view {
            TargetView::Postgres(view) => {
                view.primaries().find(|(m, _)| Some(&m.uid) != old.uid.as_ref()).map(|(m, _)| m.pod.as_str())
            }
            TargetView::Deployments(_) => None,
        })
    }

    /// The waves that may be put back.
    pub(crate) fn waves_now<'a>(&self, waves: &'a [Vec<StepId>]) -> impl Iterator<Item = &'a Vec<StepId>> + use<'a> {
        let turn = if weakened(Rule::WavesInOrder) { waves.len() } else { usize::from(self.waves_ready) + 1 };
        waves.iter().take(turn)
    }

    /// Whether it is time for an undo, or a touch, of a step.
    pub(crate) fn undo_is_due(&self, id: StepId, now: Mono) -> bool {
        let state = &self.steps[usize::from(id.0)];
        !self.hopeless(id)
            && !self.in_flight(id)
            && (state.failures == 0 || now >= state.failed_at.plus(Self::backoff(state.failures)))
    }

    /// The time to wait before an undo that failed is tried again: 0.2 s, doubled each time, at most 10 s.
    pub(crate) fn backoff(failures: u16) -> Nanos {
        let doubled = 200_u64.saturating_mul(1 << failures.saturating_sub(1).min(10));
        Nanos::from_ms(doubled.min(10_000))
    }
}
