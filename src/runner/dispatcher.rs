//! The dispatcher: everything that happens, in one order, written down before it counts.

use crate::runner::crew::{Crew, Message};
use crate::runner::halt::{HaltWatch, Order};
use crate::runner::opening::{Prepared, RunError};
use crate::runner::points;
use crate::runner::progress::{self, Picture};
use crate::runner::streams::Streams;
use crate::store::{AppendError, InjectPermit, Journal, UndoPermit};
use firedrill_core::drill::{Drill, End, Input, Landing, Next};
use firedrill_core::effect::{Epoch, Holding, Move, StepId, judge};
use firedrill_core::event::{Answered, Event, Record};
use firedrill_core::plan::Heal;
use firedrill_core::sight::Sight;
use firedrill_core::time::{Mono, Nanos, Stamp};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How often time itself is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often samples are stored.
const SEAL_EVERY: Nanos = Nanos::from_secs(1);
/// How often the picture is redrawn.
const PICTURE_EVERY: Nanos = Nanos::from_ms(100);
/// How many looks at a target are kept for the test of landing.
const SIGHTS_MAX: usize = 10_000;

/// How a drill ended for this runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// Its state at the end.
    pub drill: Drill,
    /// Closed, or suspended with something owed.
    pub end: End,
}

/// Carries a drill out until it is closed or nothing more can be done. `abort` stops it from outside: the first time it is
/// cancelled, the drill is undone and reported.
///
/// # Errors
/// When the journal cannot be written any more. What was injected is then undone from memory first.
pub async fn run_drill(
    prepared: Prepared,
    drill: Drill,
    journal: &Journal,
    abort: CancellationToken,
    pictures: watch::Sender<Picture>,
) -> Result<Finish, RunError> {
    let (out, inbox) = mpsc::unbounded_channel();
    let fault = prepared.fault().clone();
    let opened = drill.took_over.unwrap_or_else(crate::clock::now);
    let halt = HaltWatch::begin(&prepared.scene);
    let crew = Crew::new(prepared.scene, prepared.hands, fault, out);
    let mut dispatcher = Dispatcher {
        journal,
        drill,
        halt,
        crew,
        inbox,
        streams: Streams::default(),
        seen: Vec::new(),
        notes: Vec::new(),
        checks: 0,
        pictures,
        opened,
        sealed_at: opened,
        drawn_at: Mono(0),
        clock: crate::clock::StepWatch::new(),
    };
    let ended = dispatcher.run(&abort).await;
    let Dispatcher { drill, crew, .. } = dispatcher;
    match ended {
        Ok(end) => {
            crew.dismiss().await;
            Ok(Finish { drill, end })
        }
        Err(error) => {
            if !matches!(error, AppendError::Fenced { .. }) {
                undo_from_memory(&drill, &crew).await;
            }
            crew.dismiss().await;
            Err(error.into())
        }
    }
}

struct Dispatcher<'a> {
    journal: &'a Journal,
    drill: Drill,
    halt: HaltWatch,
    crew: Crew,
    inbox: mpsc::UnboundedReceiver<Message>,
    streams: Streams,
    seen: Vec<Sight>,
    notes: Vec<(Nanos, String)>,
    checks: usize,
    pictures: watch::Sender<Picture>,
    opened: Mono,
    sealed_at: Mono,
    drawn_at: Mono,
    clock: crate::clock::StepWatch,
}

impl Dispatcher<'_> {
    async fn run(&mut self, abort: &CancellationToken) -> Result<End, AppendError> {
        loop {
            if let Some(by) = self.stopped_by(abort) {
                self.hear(Input::Abort(by)).await?;
            }
            while let Some(event) = self.drill.tick(crate::clock::now(), &self.streams.now()) {
                self.append(vec![event]).await?;
            }
            self.housekeeping().await?;
            match self.drill.next(crate::clock::now()) {
                Next::Over(end) => {
                    self.draw(crate::clock::now());
                    return Ok(end);
                }
                Next::UnderWay(actions) => self.crew.reconcile(&actions, self.drill.plan.as_ref(), self.drill.epoch),
            }
            let first = tokio::select! {
                message = self.inbox.recv() => message,
                () = tokio::time::sleep(TICK) => None,
                () = abort.cancelled(), if self.drill.abort.is_none() => None,
            };
            let mut next = first;
            while let Some(message) = next {
                next = match Told::of(message) {
                    Ok(told) => self.take_together(told).await?,
                    Err(message) => {
                        self.take(message).await?;
                        self.inbox.try_recv().ok()
                    }
                };
            }
        }
    }

    /// Who or what stops the drill now, when it is not stopped already.
    fn stopped_by(&self, abort: &CancellationToken) -> Option<String> {
        if self.drill.abort.is_some() || self.drill.undoing.is_some() {
            return None;
        }
        if abort.is_cancelled() {
            return Some("a signal to this runner".to_owned());
        }
        match self.halt.order() {
            Order::GoOn => None,
            // The preflight asks too, and refuses.
            Order::Stop(why) => self.drill.plan.is_some().then_some(why),
            // Before there is a plan nothing can be injected, and once all is, stopping would only measure less.
            Order::InjectNothing(why) => self.drill.injection_lies_ahead().then_some(why),
        }
    }

    /// Takes what was told, and all of its kind that follows in the inbox, as one batch that becomes durable in one
    /// transaction: hundreds of answers arrive within a second. What comes next and is of another kind.
    async fn take_together(&mut self, first: Told) -> Result<Option<Message>, AppendError> {
        let mut batch = Batch::new(&self.drill);
        let mut told = Some(first);
        let next = loop {
            if let Some(told) = told.take()
                && let Some(other) = batch.add(told)?
            {
                self.write_down(batch).await?;
                batch = Batch::new(&self.drill);
                batch.add(other)?;
            }
            match self.inbox.try_recv().ok().map(Told::of) {
                Some(Ok(more)) => told = Some(more),
                Some(Err(message)) => break Some(message),
                None => break None,
            }
        };
        self.write_down(batch).await?;
        Ok(next)
    }

    /// Makes a batch durable, then answers those who wait for leave to write.
    async fn write_down(&mut self, batch: Batch) -> Result<(), AppendError> {
        self.append(batch.events).await?;
        for (step, write, asked) in batch.waiting {
            let permit = if write { UndoPermit::of_owed(&self.drill, step) } else { None };
            // A task that is gone does not write.
            let _ = asked.send(permit);
        }
        Ok(())
    }

    async fn take(&mut self, message: Message) -> Result<(), AppendError> {
        match message {
            Message::Said(input) => {
                let ended = matches!(input, Input::ProbingEnded(_));
                let sight = match &input {
                    Input::Sight(sight) => Some(sight.clone()),
                    _ => None,
                };
                if ended {
                    self.seal().await?;
                }
                self.hear(input).await?;
                if let Some(sight) = sight {
                    self.test_landing(sight).await?;
                }
            }
            Message::Looked { step, holding, write } => {
                let mut batch = Batch::new(&self.drill);
                batch.add(Told::Looked { step, holding, write })?;
                self.write_down(batch).await?;
            }
            Message::PermitWanted { step, permit } => {
                // A task that is gone does not write.
                let _ = permit.send(UndoPermit::of_owed(&self.drill, step));
            }
            Message::ProbesReady { infos, go } => {
                let events = self.drill.hear(Input::ProbingBegan(infos.clone()));
                if !events.is_empty() {
                    self.streams = Streams::begin(&infos);
                    self.append(events).await?;
                    let _ = go.send(());
                }
            }
            Message::Samples(batch) => self.streams.take(batch),
            Message::Over(action) => self.crew.over(&action),
        }
        Ok(())
    }

    async fn hear(&mut self, input: Input) -> Result<(), AppendError> {
        let events = self.drill.hear(input);
        self.append(events).await
    }

    /// Makes events durable, then true, then lets their intents be performed.
    async fn append(&mut self, events: Vec<Event>) -> Result<(), AppendError> {
        if events.is_empty() {
            return Ok(());
        }
        let at = crate::clock::stamp();
        for event in &events {
            self.note(event, at.mono_ns);
        }
        let words = points::words(&events);
        points::reached(&format!("before append of {words}"));
        let permits: Vec<InjectPermit> = self.journal.append(&mut self.drill, &at, events).await?;
        points::reached(&format!("after append of {words}"));
        for permit in permits {
            let effect = self.drill.plan.as_ref().map(|p| p.step(permit.step()).effect.clone());
            self.crew.apply(effect.expect("an intent has a plan"), permit);
        }
        Ok(())
    }

    async fn test_landing(&mut self, sight: Sight) -> Result<(), AppendError> {
        let Some((_, injected)) = self.drill.injected else { return Ok(()) };
        if self.drill.heal_began.is_some() || self.drill.undoing.is_some() {
            // What it says now is nothing that the fault could have done.
            self.seen = Vec::new();
            return Ok(());
        }
        let told = |last: &Sight| last.view == sight.view && (last.from_ns >= injected) == (sight.from_ns >= injected);
        if self.seen.len() < SIGHTS_MAX && !self.seen.iter().rfind(|s| s.target == sight.target).is_some_and(told) {
            self.seen.push(sight);
        }
        let Some(plan) = &self.drill.plan else { return Ok(()) };
        let landing = self.crew.fault().landed(plan, injected, &self.seen);
        if landing == Landing::NotYet { Ok(()) } else { self.hear(Input::Landing(landing)).await }
    }

    /// What is done every now and then: samples stored, the clock watched, the picture drawn.
    async fn housekeeping(&mut self) -> Result<(), AppendError> {
        let now = crate::clock::now();
        if now.since(self.sealed_at) >= SEAL_EVERY {
            self.sealed_at = now;
            self.seal().await?;
            if let Some(step) = self.clock.check() {
                self.hear(Input::ClockStepped(step.by_ns)).await?;
            }
        }
        if now.since(self.drawn_at) >= PICTURE_EVERY {
            self.draw(now);
        }
        Ok(())
    }

    async fn seal(&mut self) -> Result<(), AppendError> {
        let Some(drill) = self.drill.opening.as_ref().map(|o| o.drill.clone()) else { return Ok(()) };
        let (chunks, seals) = self.streams.seal(self.drill.epoch);
        if chunks.is_empty() {
            return Ok(());
        }
        self.journal.put_samples(&drill, &chunks).await?;
        self.hear(Input::Sealed(seals)).await
    }

    fn draw(&mut self, now: Mono) {
        self.drawn_at = now;
        let picture = progress::picture(&self.drill, &self.streams, self.opened, now, &self.notes, self.checks);
        // Nobody may be looking.
        let _ = self.pictures.send(picture);
    }

    fn note(&mut self, event: &Event, at: Mono) {
        if let Event::Checked(checks) = event {
            self.checks = checks.len();
        }
        if let Some(words) = notable(event, &self.drill) {
            self.notes.push((at.since(self.opened), words));
        }
    }
}

/// Something that arrives by the hundred: the answer to an effect, or a look before an undo.
enum Told {
    Answered(Answered),
    Looked { step: StepId, holding: Holding, write: oneshot::Sender<Option<UndoPermit>> },
}

impl Told {
    fn of(message: Message) -> Result<Self, Message> {
        match message {
            Message::Said(Input::Answered(answered)) => Ok(Self::Answered(answered)),
            Message::Looked { step, holding, write } => Ok(Self::Looked { step, holding, write }),
            other => Err(other),
        }
    }
}

/// What is about to become durable together, and the drill as it will be then.
struct Batch {
    ahead: Drill,
    at: Stamp,
    events: Vec<Event>,
    waiting: Vec<(StepId, bool, oneshot::Sender<Option<UndoPermit>>)>,
}

impl Batch {
    fn new(drill: &Drill) -> Self {
        Self { ahead: drill.clone(), at: crate::clock::stamp(), events: Vec::new(), waiting: Vec::new() }
    }

    /// Adds what is of the same kind as the rest; gives back what is not, so that a batch has one name at every crash point.
    fn add(&mut self, told: Told) -> Result<Option<Told>, AppendError> {
        let input = match &told {
            Told::Answered(answered) => Input::Answered(answered.clone()),
            Told::Looked { step, holding, .. } => Input::Looked(*step, holding.clone()),
        };
        let heard = self.ahead.hear(input);
        let kinds = |events: &[Event]| events.iter().map(std::mem::discriminant).collect::<Vec<_>>();
        let alike = heard.is_empty() || self.events.is_empty() || kinds(&heard) == kinds(&self.events[..1]);
        if !alike {
            return Ok(Some(told));
        }
        let writes = heard.iter().any(|e| matches!(e, Event::Looked { .. }));
        for event in &heard {
            let (seq, epoch) = (self.ahead.next_seq, Epoch(self.ahead.epoch));
            self.ahead.apply(&Record { seq, epoch, at: self.at.clone(), event: event.clone() })?;
        }
        self.events.extend(heard);
        if let Told::Looked { step, write, .. } = told {
            self.waiting.push((step, writes, write));
        }
        Ok(None)
    }
}

/// What of the journal a person watching wants to read.
fn notable(event: &Event, drill: &Drill) -> Option<String> {
    Some(match event {
        Event::Refused(r) => format!("refused: {}", r.why),
        Event::BaselineHeld => "everything was healthy".to_owned(),
        Event::Landed { evidence, .. } => format!("landed: {evidence}"),
        Event::NotLanded(why) => format!("did not land: {why}"),
        Event::Unsustained { by } => format!("not sustained: undone by {by}"),
        Event::LossSeen => "the loss is seen by the probes".to_owned(),
        Event::PromotionSeen { by } => format!("{by} took over; letting the old primary go"),
        Event::HealBegan => match drill.plan.as_ref().map(|p| &p.heal) {
            Some(Heal::Afterwards { .. }) => "its time is over; letting go".to_owned(),
            _ => "bringing it back".to_owned(),
        },
        Event::WaveReady(n) => format!("wave {} is back and ready", n + 1),
        Event::Redundant => "redundancy is back".to_owned(),
        Event::Stable => "stable".to_owned(),
        Event::DeadlinePassed => "the deadline passed".to_owned(),
        Event::GuardTripped(why) => format!("stopped by a guard: {why}"),
        Event::AbortAsked(by) => format!("stopped by {by}"),
        Event::TookOver(t) => format!("taken over: {}", t.why),
        Event::UndoFailed { why, .. } => format!("undo failed: {why}"),
        Event::Replied(a) => {
            let plan = drill.plan.as_ref()?;
            format!("{}: {}", plan.step(a.step).effect.describe(), reply_word(&a.reply))
        }
        _ => return None,
    })
}

fn reply_word(reply: &firedrill_core::effect::Reply) -> &'static str {
    use firedrill_core::effect::Reply;
    match reply {
        Reply::Applied => "done",
        Reply::Conflict(_) => "moved on, again",
        Reply::Rejected(_) => "rejected",
        Reply::Unknown(_) => "no answer",
    }
}

/// A journal that cannot be written any more never keeps a fault in place: what is owed is put back from memory.
async fn undo_from_memory(drill: &Drill, crew: &Crew) {
    let Some(plan) = &drill.plan else { return };
    // What was already written may land until it is answered: it is awaited first, so that nothing lands after its undo.
    crew.drain().await;
    let mut owed: Vec<StepId> = drill.outstanding().collect();
    owed.sort_by_key(|id| std::cmp::Reverse(plan.step(*id).rank));
    for step in owed {
        let effect = &plan.step(step).effect;
        for _ in 0..3 {
            let (holding, version) = match crew.hands().look(effect).await {
                Ok(seen) => seen,
                Err(why) => {
                    tracing::error!(object = effect.object(), why, "could not be looked at for its undo");
                    continue;
                }
            };
            if !matches!(judge(effect, None, &holding), Move::Write) {
                break;
            }
            let Some(permit) = UndoPermit::of_owed(drill, step) else { break };
            if let Err(why) = crew.hands().undo(effect, &version, permit).await {
                tracing::error!(object = effect.object(), why, "could not be put back");
            }
        }
    }
}

/// The records of a drill make its state.
pub(crate) fn replayed(records: &[Record]) -> Result<Drill, RunError> {
    Drill::replay(records).map_err(|illegal| RunError::Append(AppendError::Illegal(illegal)))
}
