//! What the outside said, turned into what is recorded.

use super::{Drill, Phase};
use crate::change::Change;
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
    /// The probes are about to send their first requests. They begin only when this was recorded: a runner whose input
    /// made no event starts none.
    ProbingBegan(Vec<StreamInfo>),
    /// The probes stopped, and everything they had sent is stored; by stream, the servers that answered.
    ProbingEnded(Vec<Vec<String>>),
    /// A target was looked at.
    Sight(Sight),
    /// The fault's own judgement of the looks so far. Said again after every look and every answer: it counts only once
    /// the injection was answered.
    Landing(Landing),
    /// All that `Fence` named was touched: no request whose answer was not heard can land any more. What could not be
    /// touched is an `UndoFailed` instead.
    Fenced,
    /// What a step changed was looked at, to undo it.
    Looked(StepId, Holding),
    /// A look or a write of an undo failed.
    UndoFailed(StepId, String),
    /// Work is about to begin. It begins only when this was recorded.
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
            Input::Surveyed(surveyed) if self.plan.is_none() && self.undoing.is_none() && !self.stopped() => {
                let outcome = match surveyed.plan {
                    Ok(plan) => Event::Planned(Box::new(plan)),
                    Err(refusal) => Event::Refused(refusal),
                };
                vec![Event::Checked(surveyed.checks), outcome]
            }
            Input::Versions(Ok(intents)) if self.may_intend(&intents).is_ok() => vec![Event::Intended(intents)],
            Input::Versions(Err(why)) => self.hear_obstacle(why),
            Input::Answered(answered) => self.hear_answer(answered),
            Input::ProbingBegan(streams)
                if self.probing_since.is_none()
                    && self.probing_wanted()
                    && (self.streams.is_empty() || !streams.is_empty()) =>
            {
                vec![Event::ProbingBegan(streams)]
            }
            Input::ProbingEnded(nodes) if self.probing_since.is_some() => vec![Event::ProbingEnded(nodes)],
            Input::Sight(sight) if self.is_news(&sight) => {
                let change = self.sights.get(&sight.target).and_then(|known| Change::between(known, &sight));
                vec![change.map_or_else(|| Event::Sighted(sight), Event::Changed)]
            }
            Input::Landing(landing) => self.hear_landing(landing),
            Input::Fenced if !self.fenced && !self.any_in_flight() => vec![Event::Fenced],
            Input::Looked(step, holding) => self.hear_look(step, holding),
            Input::UndoFailed(step, why) if usize::from(step.0) < self.steps.len() && self.owed(step) => {
                vec![Event::UndoFailed { step, why }]
            }
            Input::WorkBegan(work) if self.work_wanted() == Some(work) && !self.works.contains_key(&work) => {
                vec![Event::WorkBegan(work)]
            }
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
    fn hear_obstacle(&self, why: String) -> Vec<Event> {
        if self.undoing.is_some() || self.heal_began.is_some() || self.stopped() {
            Vec::new()
        } else if self.injection_begun() {
            vec![Event::UndoBegan(why)]
        } else {
            vec![Event::Refused(Refusal::new(why, "See what changed, and start the drill again."))]
        }
    }

    fn hear_answer(&self, answered: Answered) -> Vec<Event> {
        let (Some(plan), Some(state)) = (&self.plan, self.steps.get(usize::from(answered.step.0))) else {
            return Vec::new();
        };
        if !matches!(state.phase, Phase::Intended(_)) {
            return Vec::new();
        }
        let step = plan.step(answered.step);
        let conflicts = state.conflicts + 1;
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
            if self.undoing.is_none() && !self.stopped() {
                events.push(match step.stage {
                    Stage::Arm => Event::Refused(Refusal::new(why, "Nothing was injected. Mend it, and start again.")),
                    Stage::Inject => Event::UndoBegan(why),
                });
            }
        }
        events
    }

    fn hear_landing(&self, landing: Landing) -> Vec<Event> {
        if self.undoing.is_some() || !self.injection_answered() {
            // What is still on its way has not been undone by anybody.
            return Vec::new();
        }
        match landing {
            Landing::Landed { at, evidence } if self.landed.is_none() => vec![Event::Landed { at, evidence }],
            // Also before it was seen whole: a reconciler may be faster than any look.
            Landing::Undone { by } if self.heal_began.is_none() && self.unsustained.is_none() => {
                vec![Event::Unsustained { by }]
            }
            _ => Vec::new(),
        }
    }

    fn hear_look(&self, step: StepId, holding: Holding) -> Vec<Event> {
        let Some(plan) = &self.plan else { return Vec::new() };
        if self.may_settle(step).is_err() {
            return Vec::new();
        }
        let state = &self.steps[usize::from(step.0)];
        let reply = match &state.phase {
            _ if state.seen_ours => Some(&Reply::Applied),
            Phase::Replied(reply) => Some(reply),
            _ => None,
        };
        match judge(&plan.step(step).effect, reply, &holding) {
            Move::Settle(outcome) => vec![Event::Undone { step, outcome }],
            Move::Write => vec![Event::Looked { step, holding }],
        }
    }
}
