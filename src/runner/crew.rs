//! The crew: one task for each thing that should be under way. Tasks talk to the dispatcher only by messages.

use crate::effects::{Hands, LooksLike, Unrenewed};
use crate::faults::FaultSpec;
use crate::probes::book::Batch;
use crate::probes::set::ProbeSet;
use crate::runner::asking::{self, Unasked};
use crate::runner::points;
use crate::spec::estate::Target;
use crate::store::{InjectPermit, UndoPermit};
use crate::targets::deployments::DeploymentEyes;
use crate::targets::postgres::PostgresEyes;
use crate::targets::scene::Scene;
use firedrill_core::drill::{Action, Input};
use firedrill_core::effect::{Effect, Holding, StepId};
use firedrill_core::event::{Answered, Intent};
use firedrill_core::plan::{Plan, Stage, Work};
use firedrill_core::sample::StreamInfo;
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How many requests to the API are under way at once, at most.
const REQUESTS_MAX: usize = 32;
/// The time between two looks at the targets, at least.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// How often the lock is renewed before it would count as lapsed.
const RENEWALS: u64 = 4;
/// How often an undo that was written is looked at before it counts as failed.
const LOOKS_MAX: u8 = 5;

/// What a task says.
#[derive(Debug)]
pub(crate) enum Message {
    /// Something for the core.
    Said(Input),
    /// A look before an undo; the answer says whether to write.
    Looked { step: StepId, holding: Holding, write: oneshot::Sender<Option<UndoPermit>> },
    /// Our marks are to be taken off an object that somebody else changed.
    PermitWanted { step: StepId, permit: oneshot::Sender<Option<UndoPermit>> },
    /// The probes are ready; they begin when this was recorded.
    ProbesReady { infos: Vec<StreamInfo>, go: oneshot::Sender<()> },
    /// Samples.
    Samples(Batch),
    /// The task of this action is over.
    Over(Action),
}

/// What every task may use.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) scene: Scene,
    pub(crate) hands: Hands,
    pub(crate) fault: FaultSpec,
    pub(crate) requests: Semaphore,
}

/// The tasks that are under way.
#[derive(Debug)]
pub(crate) struct Crew {
    shared: Arc<Shared>,
    out: mpsc::UnboundedSender<Message>,
    running: BTreeMap<Action, Task>,
    /// Shared by the tasks: a plan may be long, and there is one task for each step that is undone.
    plan: Option<Arc<Plan>>,
}

#[derive(Debug)]
struct Task {
    handle: JoinHandle<()>,
    stop: CancellationToken,
}

impl Crew {
    pub(crate) fn new(scene: Scene, hands: Hands, fault: FaultSpec, out: mpsc::UnboundedSender<Message>) -> Self {
        let shared = Shared { scene, hands, fault, requests: Semaphore::new(REQUESTS_MAX) };
        Self { shared: Arc::new(shared), out, running: BTreeMap::new(), plan: None }
    }

    /// Starts what should be under way and is not; stops what is and should not be.
    pub(crate) fn reconcile(&mut self, wanted: &[Action], plan: Option<&Arc<Plan>>, epoch: u64) {
        if self.plan.is_none() {
            // A drill has one plan, which never changes.
            self.plan = plan.cloned();
        }
        let still: BTreeSet<&Action> = wanted.iter().collect();
        for (action, task) in &self.running {
            if !still.contains(action) {
                match action {
                    // These end by themselves, soon, and what they say is awaited.
                    Action::Undo(_) | Action::Fence(_) | Action::Intend(_) | Action::Apply(_) => {}
                    _ => task.stop.cancel(),
                }
            }
        }
        for action in wanted {
            // What is applied was started with its permits, when its intent became durable.
            if self.running.contains_key(action) || matches!(action, Action::Apply(_)) {
                continue;
            }
            // What the probes and the work write into is taken away only when they have stopped.
            let arm = |id: &StepId| plan.is_some_and(|p| p.step(*id).stage == Stage::Arm);
            if matches!(action, Action::Undo(id) if arm(id)) && self.writing() {
                continue;
            }
            self.start(action.clone(), epoch);
        }
    }

    /// Whether a task is under way that writes into what the arming steps made.
    fn writing(&self) -> bool {
        self.running.keys().any(|a| matches!(a, Action::Probe | Action::Work(_)))
    }

    /// Waits until every request that was written is answered, as long as that may take.
    pub(crate) async fn drain(&self) {
        let all = u32::try_from(REQUESTS_MAX).unwrap_or(u32::MAX);
        // Each request has its own time limit, so this ends; the semaphore is never closed.
        let _ = self.shared.requests.acquire_many(all).await;
    }

    /// The fault or operation.
    pub(crate) fn fault(&self) -> &FaultSpec {
        &self.shared.fault
    }

    /// The hands, for an undo without a journal.
    pub(crate) fn hands(&self) -> &Hands {
        &self.shared.hands
    }

    /// Forgets a task that is over.
    pub(crate) fn over(&mut self, action: &Action) {
        self.running.remove(action);
    }

    /// Performs an effect whose intent is durable. Never cancelled: its answer is always told while the process lives.
    pub(crate) fn apply(&self, effect: Effect, permit: InjectPermit) {
        let (shared, out) = (Arc::clone(&self.shared), self.out.clone());
        tokio::spawn(async move {
            let _slot = shared.requests.acquire().await.expect("the semaphore is never closed");
            let step = permit.step();
            points::reached("before effect");
            let done = shared.hands.apply(&effect, permit).await;
            points::reached("after effect");
            let (sent_ns, done_ns) = (done.sent_ns, done.done_ns);
            let answered = Answered { step, sent_ns, done_ns, reply: done.reply, facts: done.facts };
            // The dispatcher is gone only when the whole runner stops.
            let _ = out.send(Message::Said(Input::Answered(answered)));
        });
    }

    fn start(&mut self, action: Action, epoch: u64) {
        let plan = self.plan.clone();
        let (shared, out, token) = (Arc::clone(&self.shared), self.out.clone(), CancellationToken::new());
        let (named, cancelled) = (action.clone(), token.clone());
        let handle = tokio::spawn(async move {
            let say = |input| {
                let _ = out.send(Message::Said(input));
            };
            match (&named, plan) {
                (Action::Survey, _) => {
                    let survey = Box::pin(shared.fault.survey(&shared.scene));
                    if let Some(surveyed) = cancelled.run_until_cancelled(survey).await {
                        say(Input::Surveyed(Box::new(surveyed)));
                    }
                }
                (Action::Fence(steps), Some(plan)) => fence(&shared, &plan, steps, epoch, &out).await,
                (Action::Intend(steps), Some(plan)) => say(Input::Versions(versions(&shared, &plan, steps).await)),
                (Action::Undo(id), Some(plan)) => undo(&shared, *id, &plan.step(*id).effect, &out).await,
                (Action::Probe, Some(plan)) => Box::pin(probe(&shared, &plan, epoch, &out, &cancelled)).await,
                (Action::Watch, Some(plan)) => {
                    cancelled.run_until_cancelled(watch(&shared, &plan, &out)).await;
                }
                (Action::Renew, Some(plan)) => {
                    cancelled.run_until_cancelled(renew(&shared, &plan, &out)).await;
                }
                (Action::Work(work), Some(plan)) => {
                    let _ = plan;
                    do_work(&shared, *work, &out, &cancelled).await;
                }
                (Action::Apply(_), _) | (_, None) => {}
            }
            let _ = out.send(Message::Over(named));
        });
        self.running.insert(action, Task { handle, stop: token });
    }

    /// Stops everything that may be stopped, and waits for it.
    pub(crate) async fn dismiss(self) {
        for task in self.running.values() {
            task.stop.cancel();
        }
        for (_, task) in self.running {
            // A task that panicked has said so on standard error.
            let _ = tokio::time::timeout(Duration::from_secs(10), task.handle).await;
        }
    }
}

async fn fence(shared: &Shared, plan: &Plan, steps: &[StepId], epoch: u64, out: &mpsc::UnboundedSender<Message>) {
    let touched = futures_util::stream::iter(steps.iter().copied()).map(|id| async move {
        let effect = &plan.step(id).effect;
        points::reached("before fence");
        (id, shared.hands.touch(effect, epoch).await)
    });
    let results: Vec<(StepId, Result<(), String>)> = touched.buffer_unordered(REQUESTS_MAX).collect().await;
    points::reached("after fence");
    let failed: Vec<(StepId, String)> =
        results.into_iter().filter_map(|(id, r)| r.err().map(|why| (id, why))).collect();
    if failed.is_empty() {
        let _ = out.send(Message::Said(Input::Fenced));
    }
    for (step, why) in failed {
        let why = format!("could not be fenced off from the runner before: {why}");
        let _ = out.send(Message::Said(Input::UndoFailed(step, why)));
    }
}

/// The versions that effects will be conditional on; an object that is not as it was planned forbids them all.
async fn versions(shared: &Shared, plan: &Plan, steps: &[StepId]) -> Result<Vec<Intent>, String> {
    // All at once: looks at many objects of one kind are made together.
    let looks = steps.iter().copied().map(|id| async move {
        let effect = &plan.step(id).effect;
        match shared.hands.look(effect).await {
            Ok((Holding::Prior, version)) => Ok(Intent { step: id, version }),
            Ok((Holding::Gone, version)) if makes_something(effect) => Ok(Intent { step: id, version }),
            Ok((holding, _)) => Err(format!("{} is not as it was planned: {}", effect.object(), words(&holding))),
            Err(why) => Err(format!("{} could not be looked at: {why}", effect.object())),
        }
    });
    futures_util::future::join_all(looks).await.into_iter().collect()
}

fn makes_something(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Lock { .. }
            | Effect::Agent(_)
            | Effect::DeadMan { .. }
            | Effect::Ledger { .. }
            | Effect::Scratch { .. }
            | Effect::Database { .. }
    )
}

fn words(holding: &Holding) -> String {
    match holding {
        Holding::Prior => "as before".to_owned(),
        Holding::Ours => "it carries this drill's mark already".to_owned(),
        Holding::ByDeadMan => "a dead-man agent changed it".to_owned(),
        Holding::Other(what) => what.clone(),
        Holding::Gone => "it is gone".to_owned(),
    }
}

/// Looks, writes while it is ours, and looks again: only a look says that it is undone.
async fn undo(shared: &Shared, step: StepId, effect: &Effect, out: &mpsc::UnboundedSender<Message>) {
    let failed = |why: String| {
        let _ = out.send(Message::Said(Input::UndoFailed(step, why)));
    };
    let mut trouble = format!("{} did not stay as it was put back", effect.object());
    for _ in 0..LOOKS_MAX {
        let (holding, version) = match relinquished(shared, step, effect, out).await {
            Ok(seen) => seen,
            Err(why) => return failed(format!("{} could not be looked at: {why}", effect.object())),
        };
        let (write, may_write) = oneshot::channel();
        if out.send(Message::Looked { step, holding, write }).is_err() {
            return;
        }
        let Ok(Some(permit)) = may_write.await else { return };
        let written = {
            let _slot = shared.requests.acquire().await.expect("the semaphore is never closed");
            points::reached("before undo");
            let written = shared.hands.undo(effect, &version, permit).await;
            points::reached("after undo");
            written
        };
        // Also after a write that failed: it may have landed, or somebody else may have been faster. The look tells.
        if let Err(why) = written {
            trouble = format!("could not put back {}: {why}", effect.object());
        }
    }
    failed(trouble);
}

/// A look; before it is told that somebody else changed the object, or that a dead man put it back, our marks are taken off
/// it, and the count stays as they made it.
async fn relinquished(
    shared: &Shared,
    step: StepId,
    effect: &Effect,
    out: &mpsc::UnboundedSender<Message>,
) -> LooksLike {
    let (holding, version) = shared.hands.look(effect).await?;
    if !matches!(holding, Holding::Other(_) | Holding::ByDeadMan) {
        return Ok((holding, version));
    }
    let (ask, answer) = oneshot::channel();
    if out.send(Message::PermitWanted { step, permit: ask }).is_err() {
        return Ok((holding, version));
    }
    if let Ok(Some(permit)) = answer.await {
        let _slot = shared.requests.acquire().await.expect("the semaphore is never closed");
        shared.hands.relinquish(effect, permit).await?;
    }
    match (holding, shared.hands.look(effect).await?) {
        // Its mark is gone by now, and what the mark said is still true.
        (Holding::ByDeadMan, (Holding::Prior, version)) => Ok((Holding::ByDeadMan, version)),
        (_, seen) => Ok(seen),
    }
}

async fn probe(
    shared: &Shared,
    plan: &Plan,
    epoch: u64,
    out: &mpsc::UnboundedSender<Message>,
    stop: &CancellationToken,
) {
    let failed = |e: Unasked| {
        let _ = out.send(Message::Said(Input::Abort(format!("the probes could not be started: {e}"))));
    };
    let ready = asking::configs(&shared.scene, plan, epoch).await;
    let ready = ready.and_then(|configs| Ok((ProbeSet::describe(&configs)?, configs)));
    let (infos, configs) = match ready {
        Ok(ready) => ready,
        Err(e) => return failed(e),
    };
    let (go, recorded) = oneshot::channel();
    if out.send(Message::ProbesReady { infos, go }).is_err() || recorded.await.is_err() {
        return;
    }
    let (set, mut batches) = match ProbeSet::start(&configs) {
        Ok(begun) => begun,
        Err(e) => {
            failed(e.into());
            let _ = out.send(Message::Said(Input::ProbingEnded(Vec::new())));
            return;
        }
    };
    while let Some(Some(batch)) = stop.run_until_cancelled(batches.recv()).await {
        let _ = out.send(Message::Samples(batch));
    }
    if configs.is_empty() {
        // Nobody samples, so nobody ends either: probing lasts until it is not wanted any more.
        stop.cancelled().await;
    }
    let finished = set.stop().await;
    while let Some(batch) = batches.recv().await {
        let _ = out.send(Message::Samples(batch));
    }
    let nodes = finished.into_iter().map(|f| f.nodes).collect();
    let _ = out.send(Message::Said(Input::ProbingEnded(nodes)));
}

async fn watch(shared: &Shared, plan: &Plan, out: &mpsc::UnboundedSender<Message>) {
    let mut eyes = Vec::new();
    for name in &plan.watch {
        let found = shared.scene.loaded.estate.targets.iter().find(|(n, _)| n.as_str() == name);
        let Ok(reader) = shared.scene.reader() else { continue };
        match found {
            Some((key, Target::Postgres(target))) => {
                if let Some(url) = shared.scene.url(key) {
                    let mut seeing = PostgresEyes::new(name, target, reader.clone(), url.clone());
                    if let Some((pod, api)) = plan.steps.iter().find_map(|s| s.effect.manager()) {
                        seeing = seeing.seeing_manager(pod.uid.as_deref().unwrap_or_default(), api);
                    }
                    eyes.push(Eyes::Postgres(Box::new(seeing)));
                }
            }
            Some((_, Target::Deployments(target))) => {
                let seeing = DeploymentEyes::new(name, target, reader.clone());
                eyes.push(Eyes::Deployments(Box::new(seeing)));
            }
            _ => {}
        }
    }
    loop {
        let began = tokio::time::Instant::now();
        for eye in &mut eyes {
            let seen = match eye {
                Eyes::Postgres(eyes) => eyes.look().await,
                Eyes::Deployments(eyes) => eyes.look().await,
            };
            match seen {
                Ok(sight) => {
                    let _ = out.send(Message::Said(Input::Sight(sight)));
                }
                Err(why) => tracing::debug!(%why, "a look failed; the next one follows"),
            }
        }
        // A look that takes long is made less often: at most a third of the time is spent on looking.
        let taken = began.elapsed();
        tokio::time::sleep_until(began + WATCH_EVERY.max(taken * 3)).await;
    }
}

enum Eyes {
    Postgres(Box<PostgresEyes>),
    Deployments(Box<DeploymentEyes>),
}

/// Renews the lock four times in the time after which the dead man would think this runner dead.
async fn renew(shared: &Shared, plan: &Plan, out: &mpsc::UnboundedSender<Message>) {
    let found = plan.steps.iter().find_map(|s| match &s.effect {
        Effect::DeadMan { post, .. } => Some(post.after_s),
        _ => None,
    });
    let lease = plan.steps.iter().find_map(|s| match &s.effect {
        Effect::Lock { lease, .. } => Some(lease),
        _ => None,
    });
    let (Some(after_s), Some(lease)) = (found, lease) else { return };
    let every = Duration::from_millis(u64::from(after_s) * 1000 / RENEWALS);
    loop {
        match shared.hands.renew(lease).await {
            Ok(()) => {}
            Err(lost @ Unrenewed::Lost(_)) => {
                let _ = out.send(Message::Said(Input::Abort(lost.to_string())));
                return;
            }
            Err(why) => tracing::warn!(%why, "it is tried again"),
        }
        tokio::time::sleep(every).await;
    }
}

async fn do_work(shared: &Shared, work: Work, out: &mpsc::UnboundedSender<Message>, stop: &CancellationToken) {
    let _ = out.send(Message::Said(Input::WorkBegan(work)));
    let result = match (work, &shared.fault) {
        (Work::ReadLedger { .. }, _) => stop.run_until_cancelled(crate::works::ledger::read(&shared.scene)).await,
        // It ends its own children when it is told to stop.
        (Work::Restore, FaultSpec::RestoreBackup(spec)) => {
            Some(crate::works::restore_work::run(spec, &shared.hands, stop).await)
        }
        (Work::Restore, _) => None,
    };
    if let Some(result) = result {
        let _ = out.send(Message::Said(Input::WorkEnded(firedrill_core::event::WorkEnd { work, result })));
    }
}
