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
mod owed;
mod recovery;
mod tick;

#[cfg(test)]
mod properties;

pub use apply::Illegal;
pub use hear::{Input, Landing, Surveyed};
pub use next::{Action, End, Next};
pub use tick::StreamNow;

use crate::effect::{Reply, StepId, Undone, Version};
use crate::event::{Opening, Refusal};
use crate::plan::{Ledgered, Plan, Stage, Work};
use crate::rule::{Rule, weakened};
use crate::sample::StreamInfo;
use crate::sight::Sight;
use crate::time::Mono;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a conditional write may find its object moved before that counts as a refusal.
pub const CONFLICTS_MAX: u16 = 5;
/// How often an undo may fail before the runner gives the step up for now.
pub const UNDO_FAILURES_MAX: u16 = 12;

/// Where a step is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StepState {
    /// Where it is.
    pub phase: Phase,
    /// The term in which it was intended last.
    pub intended_in: u64,
    /// How often its object had moved on.
    pub conflicts: u16,
    /// Whether a look saw our value on its object: then it was applied, whatever was or was not answered.
    pub seen_ours: bool,
    /// How often its undo failed.
    pub failures: u16,
    /// When its undo failed last.
    pub failed_at: Mono,
}

/// How far a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    pub opening: Option<Arc<Opening>>,
    /// The number the next record has.
    pub next_seq: u64,
    /// The current term.
    pub epoch: u64,
    /// Whether no request that was sent can still land: false after a take-over and after an answer that was lost, until
    /// what is in doubt was touched. Looks are believed, and steps settled, only while it is true.
    pub fenced: bool,
    /// When this term took over, if it did.
    pub took_over: Option<Mono>,
    /// Why it will not be done.
    pub refused: Option<Refusal>,
    /// What is done. Shared: the state is copied for each batch of records, and a plan may be long.
    pub plan: Option<Arc<Plan>>,
    /// Each step's progress, by id.
    pub steps: Vec<StepState>,
    /// The streams of the probes that were started last; they stay known after the probes ended.
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
    /// When another member was seen to have taken over from the one that is kept down.
    pub promoted: Option<Mono>,
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
    /// When a step was last settled in this term.
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

    /// Whether any request of the fault itself may have been written.
    pub fn injection_begun(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            plan.stage(Stage::Inject).any(|id| self.steps[usize::from(id.0)].phase != Phase::Planned)
        })
    }

    /// Whether there is a plan of which some request of the fault itself was not written yet.
    pub fn injection_lies_ahead(&self) -> bool {
        let planned = |id: StepId| self.steps[usize::from(id.0)].phase == Phase::Planned;
        self.plan.as_ref().is_some_and(|plan| plan.stage(Stage::Inject).any(planned))
    }

    /// Whether every request of the fault itself was answered, or is known not to be.
    pub(crate) fn injection_answered(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            let open = |id: StepId| matches!(self.steps[usize::from(id.0)].phase, Phase::Planned | Phase::Intended(_));
            self.injected.is_some() && !plan.stage(Stage::Inject).any(open)
        })
    }

    /// Whether the service, and what makes it redundant, is back as the plan means it.
    pub fn recovered(&self) -> bool {
        self.stable.is_some() && self.redundant.is_some()
    }

    /// Whether it was stopped before it was done: nothing more is injected, though undoing may not have begun yet.
    pub(crate) fn stopped(&self) -> bool {
        self.refused.is_some() || self.abort.is_some() || self.guard.is_some()
    }

    /// Whether everything that comes before the fault is confirmed.
    pub(crate) fn armed(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            plan.stage(Stage::Arm).all(|id| self.steps[usize::from(id.0)].phase == Phase::Replied(Reply::Applied))
        })
    }

    /// Whether probes should run now: from the arming until recovery is measured, through undoing and take-overs.
    pub(crate) fn probing_wanted(&self) -> bool {
        if self.plan.is_none() || self.closed {
            return false;
        }
        if self.undoing.is_some() {
            // Also after a crash: what the service does now is worth knowing. The ledger's table and the lock are still there.
            !self.measured() && !self.streams.is_empty()
        } else {
            !self.stopped() && self.armed() && (!self.measured() || !self.injection_begun())
        }
    }

    /// The long work that should be under way now.
    pub(crate) fn work_wanted(&self) -> Option<Work> {
        let plan = self.plan.as_ref()?;
        let going = self.undoing.is_none() && !self.stopped();
        if going && plan.heal == crate::plan::Heal::Work {
            let over = self.works.get(&Work::Restore) == Some(&WorkState::Ended) || self.deadline_passed;
            return (self.armed() && self.baseline_held && !over).then_some(Work::Restore);
        }
        let quiet = self.probing_since.is_none() || weakened(Rule::ReadAfterProbing);
        let may = going || (self.undoing.is_some() && self.fenced && self.undo_next(Stage::Inject).is_empty());
        if may && quiet && self.measured() { self.reading_wanted() } else { None }
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
}
