//! The state of a drill, made of its records and nothing else: live state equals replay.
//!
//! - [`Drill::apply`] takes a record in, and refuses one that cannot be true. It runs before a record is written and again
//!   at every replay.
//! - [`Drill::hear`] and [`Drill::tick`] turn what the outside said, and the passing of time, into events.
//! - [`Drill::next`] is level-triggered: it names all that should be under way now. The runner starts and cancels the
//!   difference, so that holds, waves, guards, an abort and recovery after a crash need no path of their own.

mod apply;
mod hear;
mod next;
mod tick;

pub use apply::Illegal;
pub use hear::{Input, Landing, Surveyed};
pub use next::{Action, End, Next};
pub use tick::StreamNow;

use crate::effect::{Effect, Reply, StepId, Undone, Version};
use crate::event::{Opening, Refusal};
use crate::plan::{Ledgered, Plan, Stage, Work};
use crate::sample::StreamInfo;
use crate::sight::Sight;
use crate::time::{Mono, Nanos};
use std::collections::BTreeMap;

/// How often a conditional write may find its object moved before that counts as a refusal.
pub const CONFLICTS_MAX: u16 = 5;
/// How often an undo may fail before the runner gives the step up for now.
pub const UNDO_FAILURES_MAX: u16 = 8;

/// Where a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not begun.
    Planned,
    /// Its intent is durable; its request may or may not have been written.
    Intended(Version),
    /// Its answer is known.
    Replied(Reply),
    /// Nothing more is owed.
    Undone(Undone),
}

/// One step's progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepState {
    /// Where it is.
    pub phase: Phase,
    /// The term in which it was intended last.
    pub intended_in: u64,
    /// How often its object had moved on.
    pub conflicts: u16,
    /// How often its undo failed.
    pub failures: u16,
    /// When its undo failed last.
    pub failed_at: Mono,
}

/// How far a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkState {
    /// It is under way, or was when the runner died.
    Began,
    /// It is over.
    Ended,
}

/// The state of one drill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the journal that came true once, not a mode")]
pub struct Drill {
    /// What it was asked to be; `None` before the first record.
    pub opening: Option<Opening>,
    /// The number the next record has.
    pub next_seq: u64,
    /// The current term.
    pub epoch: u64,
    /// Whether effects of older terms can no longer land.
    pub fenced: bool,
    /// When this term took over, if it did.
    pub took_over: Option<Mono>,
    /// Why it will not be done.
    pub refused: Option<Refusal>,
    /// What is done.
    pub plan: Option<Plan>,
    /// Each step's progress, by id.
    pub steps: Vec<StepState>,
    /// The streams of the probes that run now; empty while none do.
    pub streams: Vec<StreamInfo>,
    /// When they were started.
    pub probing_since: Option<Mono>,
    /// Whether the baseline was held.
    pub baseline_held: bool,
    /// When the first request of the injection was written, and when its last answer was there.
    pub injected: Option<(Mono, Mono)>,
    /// When the fault was seen at its target.
    pub landed: Option<Mono>,
    /// Why it counts as never landed.
    pub not_landed: Option<String>,
    /// Who undid it too early.
    pub unsustained: Option<String>,
    /// When the loss was seen by users' eyes.
    pub loss_seen: Option<Mono>,
    /// When firedrill began to heal.
    pub heal_began: Option<Mono>,
    /// How many waves are back and ready.
    pub waves_ready: u16,
    /// Long work.
    pub works: BTreeMap<Work, WorkState>,
    /// When work began first.
    pub work_since: Option<Mono>,
    /// When every counted view was stable.
    pub stable: Option<Mono>,
    /// When redundancy was back.
    pub redundant: Option<Mono>,
    /// Whether the time for recovery is over.
    pub deadline_passed: bool,
    /// Which guard stopped it.
    pub guard: Option<String>,
    /// Who stopped it.
    pub abort: Option<String>,
    /// Since when nothing is injected any more, and what is owed is put back.
    pub undoing: Option<Mono>,
    /// When a step was last settled.
    pub settled_at: Option<Mono>,
    /// Whether this runner gave up for now.
    pub suspended: bool,
    /// Whether it is over.
    pub closed: bool,
    /// The newest look at each target.
    pub sights: BTreeMap<String, Sight>,
}

impl Drill {
    /// The state that a journal's records make.
    ///
    /// # Errors
    /// The first record that cannot be true: the journal was tampered with, or its writer had a bug.
    pub fn replay<'a>(records: impl IntoIterator<Item = &'a crate::event::Record>) -> Result<Self, Illegal> {
        let mut drill = Self::default();
        for record in records {
            drill.apply(record)?;
        }
        Ok(drill)
    }

    /// The rules of this drill.
    ///
    /// # Panics
    /// Before the first record: nothing is asked of a drill that does not exist.
    pub fn settings(&self) -> &crate::event::Settings {
        &self.opening.as_ref().expect("a drill begins with its opening").settings
    }

    /// Whether a step's effect may still be in the world.
    pub fn owed(&self, id: StepId) -> bool {
        match &self.steps[usize::from(id.0)].phase {
            Phase::Intended(_) => true,
            Phase::Replied(reply) => !matches!(reply, Reply::Rejected(_)),
            Phase::Planned | Phase::Undone(_) => false,
        }
    }

    /// The steps that are owed, in order.
    pub fn outstanding(&self) -> impl Iterator<Item = StepId> + '_ {
        self.plan.iter().flat_map(Plan::ids).filter(|id| self.owed(*id))
    }

    /// Whether any step of a stage is owed.
    pub(crate) fn owes(&self, stage: Stage) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.stage(stage).any(|id| self.owed(id)))
    }

    /// Whether a step's undo failed so often that this runner leaves it.
    pub(crate) fn hopeless(&self, id: StepId) -> bool {
        self.steps[usize::from(id.0)].failures >= UNDO_FAILURES_MAX
    }

    /// Whether a request of this very runner is still under way for a step. Its answer is awaited before anything else.
    pub(crate) fn in_flight(&self, id: StepId) -> bool {
        let state = &self.steps[usize::from(id.0)];
        matches!(state.phase, Phase::Intended(_)) && state.intended_in == self.epoch
    }

    /// What is undone next of a stage: the owed steps that share the highest rank, past those that are hopeless.
    pub(crate) fn undo_next(&self, stage: Stage) -> Vec<StepId> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let open: Vec<StepId> = plan.stage(stage).filter(|id| self.owed(*id) && !self.hopeless(*id)).collect();
        let top = open.iter().map(|id| plan.step(*id).rank).max();
        open.into_iter().filter(|id| Some(plan.step(*id).rank) == top).collect()
    }

    /// Whether any request of the fault itself may have been written.
    pub fn injection_begun(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            plan.stage(Stage::Inject).any(|id| self.steps[usize::from(id.0)].phase != Phase::Planned)
        })
    }

    /// Whether the service, and what makes it redundant, is back as the plan means it.
    pub fn recovered(&self) -> bool {
        self.stable.is_some() && self.redundant.is_some()
    }

    /// Whether there is nothing more to wait for before the ledger is read.
    pub(crate) fn measured(&self) -> bool {
        self.recovered() || self.deadline_passed || self.abort.is_some() || !self.injection_begun()
    }

    /// The ledger readings that are still wanted, the next one first.
    pub(crate) fn reading_wanted(&self) -> Option<Work> {
        let plan = self.plan.as_ref()?;
        if plan.ledger == Ledgered::No || !self.injection_begun() || self.abort.is_some() {
            return None;
        }
        [Work::ReadLedger { pass: 1 }, Work::ReadLedger { pass: 2 }]
            .into_iter()
            .find(|w| self.works.get(w) != Some(&WorkState::Ended))
    }

    /// From when recovery is counted: the latest of what must come before it.
    pub(crate) fn recovery_floor(&self) -> Mono {
        [self.landed, self.heal_began, self.took_over, self.undoing.and(self.settled_at)]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or_default()
    }

    /// The Deployments that this drill took away, by name, with their captured counts; those a person changed are not in it.
    pub(crate) fn scaled(&self) -> impl Iterator<Item = (&str, i32)> {
        self.plan.iter().flat_map(|plan| {
            plan.ids().filter_map(|id| match (&plan.step(id).effect, &self.steps[usize::from(id.0)].phase) {
                (_, Phase::Undone(Undone::Superseded(_))) => None,
                (Effect::Scale { object, was, .. }, _) => Some((object.name.as_str(), *was)),
                _ => None,
            })
        })
    }

    /// The time to wait before an undo that failed is tried again: 0.2 s, doubled each time, at most 10 s.
    pub(crate) fn backoff(failures: u16) -> Nanos {
        let doubled = 200_u64.saturating_mul(1 << failures.saturating_sub(1).min(10));
        Nanos::from_ms(doubled.min(10_000))
    }
}
