//! What the outside said, turned into what is recorded.

use super::{Drill, Phase};
use crate::effect::{Holding, Move, Reply, StepId, judge};
use crate::event::{Answered, Check, ChunkSeal, Event, Intent, Refusal, WorkEnd};
use crate::plan::{Plan, Stage, Work};
use crate::sample::StreamInfo;
use crate::sight::Sight;
use crate::time::Mono;

/// What a preflight came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// What was looked at, good or bad.
    pub checks: Vec<Check>,
    /// What would be done, or why it will not be.
    pub plan: Result<Plan, Refusal>,
}

/// What a fault says of the looks at its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Not seen yet.
    NotYet,
    /// Seen, when, and by what.
    Landed {
        /// When.
        at: Mono,
        /// By what.
        evidence: String,
    },
    /// It was there, and somebody undid it.
    Undone {
        /// Who, as far as it is known.
        by: String,
    },
}

/// Something the outside said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The preflight is made.
    Surveyed(Box<Surveyed>),
    /// The versions of the objects that the next effects will be conditional on; or why they must not be performed.
    Versions(Result<Vec<Intent>, String>),
    /// An effect was answered.
    Answered(Answered),
    /// The probes run.
    ProbingBegan(Vec<StreamInfo>),
    /// The probes stopped, and everything they had sent is stored.
    ProbingEnded,
    /// A target was looked at.
    Sight(Sight),
    /// The fault's own judgement of the looks so far.
    Landing(Landing),
    /// What the old runner may have under way cannot land any more.
    Fenced,
    /// What a step changed was looked at, to undo it.
    Looked(StepId, Holding),
    /// A look or a write of an undo failed.
    UndoFailed(StepId, String),
    /// Work is under way.
    WorkBegan(Work),
    /// Work is over.
    WorkEnded(WorkEnd),
    /// Somebody wants it stopped.
    Abort(String),
    /// Chunks are stored.
    Sealed(Vec<ChunkSeal>),
    /// The wall clock stepped.
    ClockStepped(i64),
}

impl Drill {
    /// The events that an input makes. None when it comes too late to matter.
    pub fn hear(&self, input: Input) -> Vec<Event> {
        if self.closed {
            return Vec::new();
        }
        match input {
            Input::Surveyed(surveyed) if self.plan.is_none() && self.undoing.is_none() && self.abort.is_none() => {
                let outcome = match surveyed.plan {
                    Ok(plan) => Event::Planned(Box::new(plan)),
                    Err(refusal) => Event::Refused(refusal),
                };
                vec![Event::Checked(surveyed.checks), outcome]
            }
            Input::Versions(Ok(intents)) => self.hear_versions(intents),
            Input::Versions(Err(why)) if self.undoing.is_none() => self.stopped(why),
            Input::Answered(answered) => self.hear_answer(answered),
            Input::ProbingBegan(streams) if self.probing_since.is_none() => vec![Event::ProbingBegan(streams)],
            Input::ProbingEnded if self.probing_since.is_some() => vec![Event::ProbingEnded],
            Input::Sight(sight) => {
                let known = self.sights.get(&sight.target);
                let same = known.is_some_and(|k| k.view.same_but_for_positions(&sight.view));
                if same { Vec::new() } else { vec![Event::Sighted(sight)] }
            }
            Input::Landing(landing) => self.hear_landing(landing),
            Input::Fenced if !self.fenced => vec![Event::Fenced],
            Input::Looked(step, holding) => self.hear_look(step, holding),
            Input::UndoFailed(step, why) if self.owed(step) => vec![Event::UndoFailed { step, why }],
            Input::WorkBegan(work) if !self.works.contains_key(&work) => vec![Event::WorkBegan(work)],
            Input::WorkEnded(end) if self.works.get(&end.work) == Some(&super::WorkState::Began) => {
                vec![Event::WorkEnded(end)]
            }
            Input::Abort(by) if self.abort.is_none() => vec![Event::AbortAsked(by)],
            Input::Sealed(seals) if !seals.is_empty() => vec![Event::SamplesSealed(seals)],
            Input::ClockStepped(by_ns) => vec![Event::ClockStepped { by_ns }],
            _ => Vec::new(),
        }
    }

    /// Something stood in the way: before the injection that is a refusal, afterwards the end of it.
    fn stopped(&self, why: String) -> Vec<Event> {
        if self.undoing.is_some() || self.refused.is_some() {
            Vec::new()
        } else if self.injection_begun() {
            vec![Event::UndoBegan(why)]
        } else {
            vec![Event::Refused(Refusal::new(why, "See what changed, and start the drill again."))]
        }
    }

    fn hear_versions(&self, intents: Vec<Intent>) -> Vec<Event> {
        let wanted = |i: &Intent| self.steps[usize::from(i.step.0)].phase == Phase::Planned;
        if self.undoing.is_some() || self.abort.is_some() || self.refused.is_some() || !intents.iter().all(wanted) {
            return Vec::new();
        }
        vec![Event::Intended(intents)]
    }

    fn hear_answer(&self, answered: Answered) -> Vec<Event> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let step = plan.step(answered.step);
        if !matches!(self.steps[usize::from(answered.step.0)].phase, Phase::Intended(_)) {
            return Vec::new();
        }
        let conflicts = self.steps[usize::from(answered.step.0)].conflicts + 1;
        let trouble = match &answered.reply {
            Reply::Conflict(_) if conflicts < super::CONFLICTS_MAX => None,
            Reply::Conflict(why) | Reply::Rejected(why) => Some(why.clone()),
            Reply::Unknown(why) if step.stage == Stage::Arm => Some(format!("nobody knows whether it was done: {why}")),
            // An injection that may have happened is looked at, not given up: its landing tells.
            Reply::Applied | Reply::Unknown(_) => None,
        };
        let what = step.effect.describe();
        let mut events = vec![Event::Replied(answered)];
        if let Some(why) = trouble {
            let why = format!("could not {what}: {why}");
            if self.undoing.is_none() && self.refused.is_none() {
                events.push(match step.stage {
                    Stage::Arm => Event::Refused(Refusal::new(why, "Nothing was injected. Mend it, and start again.")),
                    Stage::Inject => Event::UndoBegan(why),
                });
            }
        }
        events
    }

    fn hear_landing(&self, landing: Landing) -> Vec<Event> {
        if self.undoing.is_some() || self.injected.is_none() {
            return Vec::new();
        }
        match landing {
            Landing::Landed { at, evidence } if self.landed.is_none() => vec![Event::Landed { at, evidence }],
            Landing::Undone { by }
                if self.landed.is_some() && self.heal_began.is_none() && self.unsustained.is_none() =>
            {
                vec![Event::Unsustained { by }]
            }
            _ => Vec::new(),
        }
    }

    fn hear_look(&self, step: StepId, holding: Holding) -> Vec<Event> {
        let Some(plan) = &self.plan else { return Vec::new() };
        if !self.owed(step) {
            return Vec::new();
        }
        let reply = match &self.steps[usize::from(step.0)].phase {
            Phase::Replied(reply) => Some(reply),
            _ => None,
        };
        match judge(&plan.step(step).effect, reply, &holding) {
            Move::Settle(outcome) => vec![Event::Undone { step, outcome }],
            Move::Write => vec![Event::Looked { step, holding }],
        }
    }
}
