//! Whether the service is back: stable in users' eyes, and redundant. Only evidence from after the fault, or after the
//! undo, counts; only stamps of one boot are compared.

use super::{Drill, Phase, StreamNow};
use crate::effect::{Effect, ObjectRef, StepId, Undone};
use crate::event::Event;
use crate::plan::{Heal, Plan, Stage};
use crate::rule::{Rule, weakened};
use crate::sight::{DeploymentView, Sight, TargetView};
use crate::time::Mono;
use std::collections::{BTreeMap, BTreeSet};

impl Drill {
    /// From when recovery is counted: the latest of what must come before it. After a take-over that is of this term
    /// alone: what came before may be of another boot, whose clock cannot be compared.
    pub(crate) fn recovery_floor(&self) -> Mono {
        let undone = self.undoing.and(self.settled_at);
        let marks = match self.took_over {
            Some(_) if !weakened(Rule::BootsDiffer) => [None, None, self.took_over, undone],
            _ => [self.landed, self.heal_began, self.took_over, undone],
        };
        marks.into_iter().flatten().max().unwrap_or_default()
    }

    /// Whether a sight says something new: another state, or the same one seen again when the older look is from before
    /// what has to be judged by it.
    pub(crate) fn is_news(&self, sight: &Sight) -> bool {
        let since = self.recovery_floor().max(self.settled_at.unwrap_or_default());
        self.sights
            .get(&sight.target)
            .is_none_or(|known| !known.view.same_but_for_positions(&sight.view) || known.from_ns < since)
    }

    /// The Deployments that this drill took away and has to bring back, with their captured counts; those that a person
    /// changed are not in it.
    fn scaled(&self) -> impl Iterator<Item = (StepId, &ObjectRef, i32)> {
        let taken = |id: StepId| {
            self.owed(id)
                || matches!(self.steps[usize::from(id.0)].phase, Phase::Undone(Undone::Reverted | Undone::ByDeadMan))
        };
        self.plan.iter().flat_map(move |plan| {
            plan.ids().filter_map(move |id| match &plan.step(id).effect {
                Effect::Scale { object, was, .. } if taken(id) => Some((id, object, *was)),
                _ => None,
            })
        })
    }

    /// A wave is ready when nothing of it is owed, and what was put back was then seen up.
    pub(crate) fn wave_is_ready(&self, wave: &[StepId]) -> bool {
        let of_wave: BTreeSet<StepId> = wave.iter().copied().collect();
        !wave.iter().any(|id| self.owed(*id)) && self.scaled_are_up(|id| of_wave.contains(&id))
    }

    fn scaled_are_up(&self, of_interest: impl Fn(StepId) -> bool) -> bool {
        let since = self.settled_at.unwrap_or_default();
        let fresh = self.sights.values().filter(|s| s.from_ns >= since || weakened(Rule::FreshSights));
        // There may be thousands, and this is asked all the time.
        let mut views: BTreeMap<&str, Vec<&DeploymentView>> = BTreeMap::new();
        for sight in fresh {
            if let TargetView::Deployments(seen) = &sight.view {
                for d in &seen.deployments {
                    views.entry(&d.name).or_default().push(&**d);
                }
            }
        }
        self.scaled().filter(|(id, ..)| of_interest(*id)).all(|(_, object, was)| {
            views
                .get(object.name.as_str())
                .into_iter()
                .flatten()
                .any(|d| object.uid.as_ref().is_none_or(|uid| *uid == d.uid) && d.replicas >= was && d.up())
        })
    }

    /// Stability and redundancy, and the end of the time for them.
    pub(crate) fn tick_recovery(&self, plan: &Plan, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        if !self.injection_begun() || self.measured() {
            return None;
        }
        let undone = self.undoing.is_none() || (self.fenced && self.undo_next(Stage::Inject).is_empty());
        if undone && self.redundant.is_none() && self.is_redundant(plan) {
            return Some(Event::Redundant);
        }
        // A run of right answers may still end while members come back: it counts once they are there.
        let late_enough = self.redundant.is_some() || weakened(Rule::StableAtTheEnd);
        if undone && late_enough && self.stable.is_none() && self.is_stable(streams) {
            return Some(Event::Stable);
        }
        self.tick_late(now, streams)
    }

    /// While undoing, the time for recovery is counted from when this runner began.
    fn tick_late(&self, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        let since = self.took_over.or(self.undoing)?;
        (now >= since.plus(self.settings().deadline_ns)).then(|| self.deadline(streams)).flatten()
    }

    /// The time for recovery is over. What is stable by then is said first, whether or not redundancy came back.
    pub(crate) fn deadline(&self, streams: &[StreamNow]) -> Option<Event> {
        if self.deadline_passed {
            return None;
        }
        let by_release = |p: &Plan| matches!(p.heal, Heal::Undo { .. } | Heal::Afterwards { .. });
        let held = self.plan.as_deref().is_some_and(by_release) && self.owes(Stage::Inject);
        let stable = !held && self.stable.is_none() && self.is_stable(streams);
        Some(if stable { Event::Stable } else { Event::DeadlinePassed })
    }

    fn is_redundant(&self, plan: &Plan) -> bool {
        let floor = self.recovery_floor();
        plan.watch.iter().all(|target| {
            self.sights.get(target).is_some_and(|sight| match &sight.view {
                TargetView::Postgres(view) => sight.to_ns >= floor && view.redundant(usize::from(plan.members)),
                TargetView::Deployments(_) => self.scaled_are_up(|_| true),
            })
        })
    }

    fn is_stable(&self, streams: &[StreamNow]) -> bool {
        if self.streams.is_empty() {
            return true;
        }
        if self.probing_since.is_none() {
            return false;
        }
        let floor = self.recovery_floor();
        let k = self.settings().stable_ns;
        let mut counted = self.counted(streams).peekable();
        let mut all = counted.peek().is_some();
        for s in counted {
            let run = s.ok_since.zip(s.ok_until).map(|(since, until)| until.since(since.max(floor)));
            all &= run.is_some_and(|run| run >= k);
        }
        all
    }

    /// The streams that count towards the recovery time.
    pub(crate) fn counted<'a>(&'a self, streams: &'a [StreamNow]) -> impl Iterator<Item = &'a StreamNow> {
        streams.iter().filter(|s| !self.settings().excluded.iter().any(|(probe, _)| *probe == s.stream.probe))
    }
}
