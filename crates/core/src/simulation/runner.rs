//! A runner as the real one works: events from the drill are appended one at a time, an intent's permits are spent at
//! once, what `next` names is started, and what it no longer names is cancelled.

use super::adversary::Slip;
use super::scenario::Scenario;
use super::witness::Witness;
use super::world::{Parked, UNIT, World, Write};
use crate::drill::{Action, Drill, End, Input, Landing, Next, StreamNow, Surveyed};
use crate::effect::{Effect, Epoch, Holding, Reply, StepId, Version};
use crate::event::{Answered, Event, Intent, Record, TakeOver, WorkEnd, WorkResult};
use crate::plan::{Stage, Work};
use crate::time::{Mono, Nanos, Stamp};
use std::collections::VecDeque;
use std::rc::Rc;

/// One thing that a runner does without being interrupted.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Writes a record; then what follows from it.
    Append(Event, Option<Box<Op>>),
    /// The drill hears of something.
    Hear(Input),
    /// Looks for plan, refusal.
    Survey,
    /// Reads the versions that intents will be conditional on.
    Versions(Vec<StepId>),
    /// Writes to an object.
    Send(StepId, u64, Write),
    /// Looks at what a step changed.
    Look(StepId),
    /// Moves the versions of what is in doubt.
    Touch(Vec<StepId>),
    /// Looks at the targets.
    See,
    /// Works.
    Work(Work),
}

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    /// Shared between the states that branch from one.
    pub(super) drill: Rc<Drill>,
    pub(super) epoch: u64,
    pub(super) queue: VecDeque<(Mono, Op)>,
    pub(super) running: Vec<Action>,
    pub(super) stream: StreamNow,
    /// The steps that the API does not let this runner get at.
    pub(super) denied: Vec<StepId>,
    /// Whether the next answer of the probed service is wrong, for no reason of ours.
    pub(super) hiccup: bool,
    /// How many units passed since something was recorded, up to [`PATIENCE`].
    pub(super) quiet: u8,
}

/// After this many units in which nothing was recorded, the adversary waits too.
const PATIENCE: u8 = 9;

/// The log, newest first.
pub(super) struct Entry {
    record: Record,
    before: Log,
}

pub(super) type Log = Option<Rc<Entry>>;

/// Everything at one moment.
#[derive(Clone)]
pub(super) struct State {
    pub(super) world: World,
    pub(super) log: Log,
    pub(super) runner: Option<Runner>,
    /// What the log made when the last runner died.
    pub(super) last: Option<Rc<Drill>>,
    pub(super) witness: Witness,
    pub(super) epoch: u64,
    pub(super) left: u8,
    pub(super) turns: u32,
    pub(super) trouble: Option<String>,
    pub(super) trace: Option<Rc<Trace>>,
}

/// What the adversary did, newest first.
pub(super) struct Trace {
    pub(super) what: String,
    pub(super) before: Option<Rc<Trace>>,
}

impl State {
    pub(super) fn new(s: &Scenario, budget: u8) -> Self {
        let mut state = Self {
            world: World::new(&s.plan),
            log: None,
            runner: None,
            last: None,
            witness: Witness::default(),
            epoch: 1,
            left: budget,
            turns: 0,
            trouble: None,
            trace: None,
        };
        state.begin(s, Rc::default(), Event::Opened(Box::new(s.opening.clone())));
        state
    }

    pub(super) fn fail(&mut self, why: impl Into<String>) {
        self.trouble.get_or_insert(why.into());
    }

    fn judge(&mut self, judgement: Result<(), String>) {
        if let Err(why) = judgement {
            self.fail(why);
        }
    }

    fn begin(&mut self, s: &Scenario, drill: Rc<Drill>, first: Event) {
        let stream = s.streams.first().map(|i| i.stream.clone());
        let stream = StreamNow {
            stream: stream.unwrap_or(crate::sample::Stream { probe: String::new(), view: crate::sample::View::Kept }),
            failed: 0,
            ok: 0,
            ok_since: None,
            ok_until: None,
            down_since: None,
        };
        let queue = VecDeque::from([(Mono::default(), Op::Append(first, None))]);
        let epoch = self.epoch;
        self.runner = Some(Runner {
            drill,
            epoch,
            queue,
            running: Vec::new(),
            stream,
            denied: Vec::new(),
            hiccup: false,
            quiet: 0,
        });
    }

    /// The process ends. What it had written is in the network's hands; the rest never happens, unless it was only
    /// stalled: then it may still be written.
    pub(super) fn die(&mut self, s: &Scenario, stalled: bool) {
        let Some(runner) = self.runner.take() else { return };
        // What its log makes: shown by `replays`, and not made again for each successor.
        self.last = Some(Rc::clone(&runner.drill));
        let now = self.world.now;
        for (due, op) in runner.queue {
            let Op::Send(step, rv, write) = op else { continue };
            if (stalled || due > now) && travels(s.effect(step)) {
                self.world.parked.push(Parked { step, rv, write, fenced: false });
            }
        }
    }

    /// Another process takes over, from the log. Nothing to do when the drill was never begun, or is closed.
    pub(super) fn take_over(&mut self, s: &Scenario) -> bool {
        let Some(drill) = self.last.take() else { return false };
        if drill.opening.is_none() || drill.closed {
            return false;
        }
        self.epoch += 1;
        let take_over = TakeOver { epoch: Epoch(self.epoch), host: "host".to_owned(), why: "a crash".to_owned() };
        self.begin(s, drill, Event::TookOver(take_over));
        true
    }

    /// Whether the log, written down and read again, makes the live state.
    pub(super) fn replays(&self, live: &Drill) -> Result<(), String> {
        let mut drill = Drill::default();
        let mut records = Vec::new();
        let mut at = &self.log;
        while let Some(entry) = at {
            records.push(serde_json::to_vec(&entry.record).map_err(|e| e.to_string())?);
            at = &entry.before;
        }
        for record in records.into_iter().rev() {
            let record: Record = serde_json::from_slice(&record).map_err(|e| e.to_string())?;
            drill.apply(&record).map_err(|e| e.to_string())?;
        }
        if drill == *live { Ok(()) } else { Err("the live state differs from the replayed one".to_owned()) }
    }

    /// Appends a record: the drill takes it in first.
    fn append(&mut self, s: &Scenario, event: Event, then: Option<Box<Op>>) {
        let judgement = self.witness.record(&event, s, &self.world);
        self.judge(judgement);
        let now = self.world.now;
        // Who is not let at the objects cannot know that they are back.
        let well_since = self.runner.as_ref().filter(|r| r.denied.is_empty()).and_then(|r| r.stream.ok_since);
        if event == Event::DeadlinePassed && well_since.is_some_and(|since| now.since(since).0 > UNIT.0 * 10) {
            let judgement = super::witness::too_late(s, &self.world);
            self.judge(judgement);
        }
        let Some(runner) = &mut self.runner else { return };
        let at = Stamp { boot: self.world.boot.to_string(), mono_ns: now, wall_ns: 0 };
        let record = Record { seq: runner.drill.next_seq, epoch: Epoch(runner.epoch), at, event };
        if let Err(illegal) = Rc::make_mut(&mut runner.drill).apply(&record) {
            let why = format!("{illegal}: {:?}", record.event);
            self.fail(why);
            return;
        }
        if let Some(op) = then {
            runner.queue.push_front((now, *op));
        }
        if let (Event::Intended(intents), false) = (&record.event, Slip::RecordFirst.made()) {
            for i in intents {
                runner.queue.push_back((now, Op::Send(i.step, number(&i.version), Write::Effect)));
            }
        }
        runner.quiet = 0;
        self.log = Some(Rc::new(Entry { record, before: self.log.take() }));
    }

    /// Does what needs no choice until something does. `None` when it is over.
    pub(super) fn settle(&mut self, s: &Scenario) -> Option<Op> {
        loop {
            self.turns += 1;
            if self.trouble.is_some() {
                return None;
            }
            if self.turns > 6000 {
                self.fail("it does not end");
                return None;
            }
            let now = self.world.now;
            let runner = self.runner.as_mut()?;
            if let Some(at) = runner.queue.iter().position(|(due, _)| *due <= now) {
                let (_, op) = runner.queue.remove(at)?;
                if let Op::Hear(input) = op {
                    self.hear(input, None);
                    continue;
                }
                if matches!(op, Op::Survey) {
                    let plan = Ok(s.plan.clone());
                    self.hear(Input::Surveyed(Box::new(Surveyed { checks: Vec::new(), plan })), None);
                    continue;
                }
                let dull = self.runner.as_ref().is_some_and(|r| r.quiet > s.patience());
                if dull && matches!(op, Op::See) {
                    self.see(s);
                    continue;
                }
                return Some(op);
            }
            let streams: &[StreamNow] = if s.streams.is_empty() { &[] } else { std::slice::from_ref(&runner.stream) };
            if let Some(event) = runner.drill.tick(now, streams) {
                return Some(Op::Append(event, None));
            }
            match runner.drill.next(now) {
                Next::Over(end) => return self.end(s, end),
                Next::UnderWay(actions) => {
                    if !self.reconcile(s, &actions) {
                        self.idle(s);
                        let dull = self.runner.as_ref().is_some_and(|r| r.quiet > s.patience());
                        if !dull && s.cast() == super::scenario::Cast::Whole {
                            return Some(Op::Hear(Input::Sealed(Vec::new())));
                        }
                    }
                }
            }
        }
    }

    fn end(&mut self, s: &Scenario, end: End) -> Option<Op> {
        let drill = self.runner.as_ref().map(|r| r.drill.clone())?;
        // For every schedule with a move to spare: reading the whole log again is most of the work.
        if (self.left > 0 || self.trace.is_none())
            && let Err(why) = self.replays(&drill)
        {
            self.fail(why);
        }
        if self.runner.as_ref().is_some_and(|r| r.queue.iter().any(|(_, op)| !matches!(op, Op::See | Op::Work(_)))) {
            self.fail("over, with something under way");
        }
        self.die(s, false);
        if end == End::Suspended && self.take_over(s) {
            return self.settle(s);
        }
        None
    }

    /// Starts what is named and not running, cancels what is running and not named. Whether it did anything.
    fn reconcile(&mut self, s: &Scenario, actions: &[Action]) -> bool {
        let now = self.world.now;
        let Some(runner) = &mut self.runner else { return false };
        let mut did = false;
        for action in actions {
            let fencing = matches!(action, Action::Fence(_));
            let runs = |a: &Action| a == action || (fencing && matches!(a, Action::Fence(_)));
            if matches!(action, Action::Apply(_)) || runner.running.iter().any(runs) {
                continue;
            }
            let op = match action {
                Action::Survey => Op::Survey,
                Action::Fence(doubt) => Op::Touch(doubt.clone()),
                Action::Intend(steps) => Op::Versions(steps.clone()),
                Action::Undo(step) => Op::Look(*step),
                Action::Work(work) => Op::Hear(Input::WorkBegan(*work)),
                Action::Probe => Op::Hear(Input::ProbingBegan(s.streams.clone())),
                Action::Watch => Op::See,
                // A renewal changes nothing that is judged here.
                Action::Apply(_) | Action::Renew => continue,
            };
            did = true;
            runner.queue.push_back((now, op));
            runner.running.push(action.clone());
            if let Action::Work(work) = action {
                runner.queue.push_back((now.plus(UNIT), Op::Work(*work)));
            }
        }
        let cancelled = |a: &Action| {
            matches!(a, Action::Survey | Action::Probe | Action::Watch | Action::Work(_)) && !actions.contains(a)
        };
        let (gone, kept) = std::mem::take(&mut runner.running).into_iter().partition::<Vec<_>, _>(cancelled);
        runner.running = kept;
        for action in &gone {
            did = true;
            match action {
                Action::Probe => runner.queue.push_back((now, Op::Hear(Input::ProbingEnded(Vec::new())))),
                Action::Work(work) => runner.queue.retain(|(_, op)| !matches!(op, Op::Work(w) if w == work)),
                _ => runner.queue.retain(|(_, op)| !matches!(op, Op::See)),
            }
        }
        did
    }

    /// A unit of time passes.
    fn idle(&mut self, s: &Scenario) {
        let should = self.witness.should_probe(s);
        self.world.now = Mono((self.world.now.0 / UNIT.0 + 1) * UNIT.0);
        let now = self.world.now;
        for id in s.plan.ids() {
            if let Effect::Strike { blow, .. } = s.effect(id)
                && self.world.things[usize::from(id.0)].struck_for(now) >= Some(blow.lasts_ns())
            {
                self.let_go(s, id);
            }
        }
        let serving = self.world.serving(&s.plan);
        let Some(runner) = &mut self.runner else { return };
        runner.quiet = runner.quiet.saturating_add(1).min(PATIENCE);
        let probing = runner.drill.probing_since.is_some() && runner.running.contains(&Action::Probe);
        if should && !probing {
            let why = format!("no probes while recovery is to be measured: {:?}", runner.running);
            self.fail(why);
            return;
        }
        if runner.running.contains(&Action::Watch) && !runner.queue.iter().any(|(_, op)| matches!(op, Op::See)) {
            runner.queue.push_back((now, Op::See));
        }
        if !probing {
            return;
        }
        let ok = serving && !std::mem::take(&mut runner.hiccup);
        let stream = &mut runner.stream;
        if ok {
            stream.ok += 1;
            stream.ok_since.get_or_insert(now);
            (stream.ok_until, stream.down_since) = (Some(now), None);
        } else {
            stream.failed += 1;
            stream.down_since.get_or_insert(now);
            (stream.ok_since, stream.ok_until) = (None, None);
        }
    }

    /// The drill hears, and what it says is appended. `then` follows an event that was said to need it.
    fn hear(&mut self, input: Input, then: Option<&Op>) {
        let now = self.world.now;
        let Some(runner) = &mut self.runner else { return };
        let events = runner.drill.hear(input);
        for event in events.into_iter().rev() {
            let then = if matches!(event, Event::Looked { .. }) { then.cloned().map(Box::new) } else { None };
            runner.queue.push_front((now, Op::Append(event, then)));
        }
    }

    fn done(&mut self, over: impl Fn(&Action) -> bool) {
        if let Some(runner) = &mut self.runner {
            runner.running.retain(|a| !over(a));
        }
    }

    /// Performs an operation, with everything going well.
    pub(super) fn perform(&mut self, s: &Scenario, op: Op) {
        if let Some(step) = self.denied(&op) {
            self.undo_failed(step, "no answer".to_owned());
            return;
        }
        match op {
            Op::Append(event, then) => self.append(s, event, then),
            Op::Hear(input) => {
                self.hear(input, None);
            }
            Op::Survey => {}
            Op::Versions(steps) => self.versions(s, &steps, None),
            Op::Send(step, rv, write) => {
                let reply = self.land(s, step, rv, write, false);
                self.answered(s, step, write, reply);
            }
            Op::Look(step) => self.look(s, step),
            Op::Touch(steps) => {
                // What could not be touched is not fenced; it stays owed.
                self.world.parked.iter_mut().for_each(|p| p.fenced |= steps.contains(&p.step));
                for id in steps {
                    let versioned = matches!(
                        s.effect(id),
                        Effect::Scale { .. } | Effect::Delete { .. } | Effect::Evict { .. } | Effect::Strike { .. }
                    );
                    if versioned && !Slip::Touch.made() {
                        self.world.thing(id).rv += 1;
                    }
                }
                self.done(|a| matches!(a, Action::Fence(_)));
                self.hear(Input::Fenced, None);
            }
            Op::See => self.see(s),
            Op::Work(work) => {
                let result = match work {
                    Work::Restore => WorkResult::Failed("simulated".to_owned()),
                    Work::ReadLedger { .. } => WorkResult::Ledger(Vec::new()),
                };
                self.work_ended(work, result);
            }
        }
    }

    /// The step that the API does not let this runner get at, of those an operation is about.
    fn denied(&self, op: &Op) -> Option<StepId> {
        let denied = &self.runner.as_ref()?.denied;
        match op {
            Op::Look(step) | Op::Send(step, _, Write::Undo | Write::Relinquish) => {
                denied.contains(step).then_some(*step)
            }
            Op::Touch(steps) => steps.iter().copied().find(|step| denied.contains(step)),
            _ => None,
        }
    }

    pub(super) fn work_ended(&mut self, work: Work, result: WorkResult) {
        self.done(|a| *a == Action::Work(work));
        self.hear(Input::WorkEnded(WorkEnd { work, result }), None);
    }

    pub(super) fn versions(&mut self, s: &Scenario, steps: &[StepId], trouble: Option<String>) {
        self.done(|a| matches!(a, Action::Intend(_)));
        let version = |id: &StepId| {
            let rv = self.world.things[usize::from(id.0)].rv;
            Intent { step: *id, version: Version(rv.to_string()) }
        };
        // Like the real one: what the plan captured must still be so.
        let moved = steps.iter().find(|id| {
            let prior = matches!(self.world.look(s.effect(**id), **id).0, Holding::Prior | Holding::Gone);
            s.plan.step(**id).stage == Stage::Inject && !prior
        });
        let trouble = trouble.or_else(|| moved.map(|id| format!("{} is not as planned", s.effect(*id).object())));
        let result = trouble.map_or_else(|| Ok(steps.iter().map(version).collect::<Vec<_>>()), Err);
        if let (Ok(intents), true) = (&result, Slip::RecordFirst.made()) {
            let sends: Vec<_> = intents.iter().map(|i| Op::Send(i.step, number(&i.version), Write::Effect)).collect();
            let now = self.world.now;
            self.hear(Input::Versions(result), None);
            if let Some(runner) = &mut self.runner {
                for op in sends {
                    runner.queue.push_front((now, op));
                }
            }
            return;
        }
        self.hear(Input::Versions(result), None);
    }

    /// A request reaches its object.
    pub(super) fn land(&mut self, s: &Scenario, step: StepId, rv: u64, write: Write, fenced: bool) -> Reply {
        let effect = s.effect(step);
        let blind = match (write, effect) {
            (Write::Effect, Effect::Delete { .. }) => Slip::DeleteOnVersion.made() || Slip::RecordedVersion.made(),
            (Write::Effect, _) => Slip::RecordedVersion.made(),
            (Write::Undo, _) => Slip::UndoOnVersion.made(),
            (Write::Relinquish, _) => false,
        };
        let before = self.world.clone();
        match self.world.write(effect, step, write, (!blind).then_some(rv)) {
            Ok(()) => {
                let judgement = match write {
                    Write::Effect => self.witness.landed(step, fenced, s),
                    Write::Undo => self.witness.undoing(step, s, &before),
                    Write::Relinquish => Ok(()),
                };
                self.judge(judgement);
                Reply::Applied
            }
            Err(super::world::Refused::Conflict) => Reply::Conflict("it moved on".to_owned()),
            Err(super::world::Refused::Rejected) => Reply::Rejected("it is not so".to_owned()),
        }
    }

    /// The answer to a request reaches the runner.
    pub(super) fn answered(&mut self, s: &Scenario, step: StepId, write: Write, reply: Reply) {
        let now = self.world.now;
        if write == Write::Effect {
            let answered = Answered { step, sent_ns: now, done_ns: now, reply, facts: Vec::new() };
            self.hear(Input::Answered(answered), None);
            return;
        }
        match reply {
            _ if write == Write::Undo && Slip::LookAgain.made() => {
                let holding =
                    if matches!(s.effect(step), Effect::Scale { .. }) { Holding::Prior } else { Holding::Gone };
                self.done(|a| *a == Action::Undo(step));
                self.hear(Input::Looked(step, holding), None);
            }
            Reply::Unknown(why) | Reply::Rejected(why) => self.undo_failed(step, why),
            Reply::Applied | Reply::Conflict(_) => {
                if let Some(runner) = &mut self.runner {
                    runner.queue.push_back((now, Op::Look(step)));
                }
            }
        }
    }

    pub(super) fn undo_failed(&mut self, step: StepId, why: String) {
        self.done(|a| *a == Action::Undo(step) || matches!(a, Action::Fence(d) if d.contains(&step)));
        self.hear(Input::UndoFailed(step, why), None);
    }

    fn look(&mut self, s: &Scenario, step: StepId) {
        let effect = s.effect(step);
        let (holding, rv, marked) = self.world.look(effect, step);
        let now = self.world.now;
        if matches!(holding, Holding::Other(_))
            && marked
            && !crate::rule::weakened(crate::rule::Rule::LeaveOthersValues)
        {
            // Somebody else's value under our mark: the mark goes first, then it is looked at again.
            if let Some(runner) = &mut self.runner {
                runner.queue.push_back((now, Op::Send(step, rv, Write::Relinquish)));
            }
            return;
        }
        let write = Op::Send(step, rv, Write::Undo);
        let Some(runner) = &self.runner else { return };
        let goes_on =
            runner.drill.hear(Input::Looked(step, holding.clone())).iter().any(|e| matches!(e, Event::Looked { .. }));
        if !goes_on {
            self.done(|a| *a == Action::Undo(step));
        }
        self.hear(Input::Looked(step, holding), Some(&write));
    }

    fn see(&mut self, s: &Scenario) {
        let sight = s.sight(&self.world);
        let injected = |id: &StepId| {
            let t = &self.world.things[usize::from(id.0)];
            match s.effect(*id) {
                Effect::Scale { put, .. } => t.val == *put && t.pods(self.world.now).0 == 0,
                Effect::Delete { .. } | Effect::Evict { .. } | Effect::Switchover { .. } => t.incarnation > 0,
                Effect::Strike { .. } => t.struck_for(self.world.now).is_some(),
                _ => true,
            }
        };
        let at = self.world.now;
        let landed = self.runner.as_ref().is_some_and(|r| r.drill.landed.is_some());
        let landing = if s.plan.stage(Stage::Inject).all(|id| injected(&id)) {
            Landing::Landed { at, evidence: "seen".to_owned() }
        } else if landed && s.plan.ids().any(|id| matches!(s.effect(id), Effect::Scale { .. }) && !injected(&id)) {
            Landing::Undone { by: "somebody".to_owned() }
        } else {
            Landing::NotYet
        };
        if let Some(runner) = &mut self.runner {
            runner.queue.push_front((at, Op::Hear(Input::Landing(landing))));
        }
        self.hear(Input::Sight(sight), None);
        self.world.now = at.plus(Nanos(1));
    }
}

/// Whether a request outlives the process that made it. What is local dies with it; a session of a database is ended by the
/// fence.
pub(super) fn travels(effect: &Effect) -> bool {
    effect.fence() == crate::effect::Fence::OnVersion
}

fn number(version: &Version) -> u64 {
    version.0.parse().unwrap_or_default()
}
