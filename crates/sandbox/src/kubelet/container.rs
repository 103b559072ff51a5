//! One container: its process started, probed, restarted in place, and at last stopped with grace.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::back_off::BackOff;
use super::probe::{Probe, execute};
use crate::api::meta;
use crate::process::{Exit, Keeper, Process, ProcessSpec, Reach};

/// When a container is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    pub(super) fn read(pod: &Value) -> Self {
        match meta::text(pod, "/spec/restartPolicy") {
            "OnFailure" => Self::OnFailure,
            "Never" => Self::Never,
            _ => Self::Always,
        }
    }

    fn restarts(self, exit: Exit) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit != Exit::Code(0),
            Self::Never => false,
        }
    }
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Timestamp,
    pub(super) id: String,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// Not running, about to.
    Waiting { reason: &'static str, message: String },
    /// A process runs.
    Running { since: Timestamp, id: String },
    /// It will not run again.
    Ended(Ended),
}

/// What the pod hears of a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) state: State,
    pub(super) last: Option<Ended>,
    pub(super) restarts: u32,
    pub(super) ready: bool,
    pub(super) started: bool,
}

impl View {
    pub(super) fn new() -> Self {
        let state = State::Waiting { reason: "ContainerCreating", message: String::new() };
        Self { state, last: None, restarts: 0, ready: false, started: false }
    }

    fn id(&self) -> String {
        match &self.state {
            State::Running { id, .. } => id.clone(),
            _ => String::new(),
        }
    }
}

/// When a container that is to stop is killed.
pub(super) type StopAt = watch::Receiver<Option<Instant>>;

/// What a container is made of.
pub(super) struct Container {
    pub(super) keeper: Keeper,
    /// Nothing for a container without a process.
    pub(super) spec: Option<ProcessSpec>,
    pub(super) readiness: Option<Probe>,
    pub(super) liveness: Option<Probe>,
    pub(super) startup: Option<Probe>,
    pub(super) pre_stop: Vec<String>,
    pub(super) restart: RestartPolicy,
    pub(super) back_off: BackOff,
    /// The grace of a container that fails its liveness probe.
    pub(super) grace: Duration,
    pub(super) view: Arc<watch::Sender<View>>,
    pub(super) stop_at: StopAt,
}

/// Why a run ended.
enum Cause {
    Itself(Exit),
    Stopped(Exit),
}

impl Container {
    /// Runs the container to its end: stopped, or ended without a restart.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            if self.stop_at.borrow().is_some() {
                self.end(Exit::Code(0), None);
                return;
            }
            let began = Instant::now();
            let started = Timestamp::now();
            let cause = match self.spec.clone() {
                None => self.on_paper().await,
                Some(spec) => match self.keeper.spawn(spec.clone()).await {
                    Ok(process) => self.one_run(&process, &spec, started).await,
                    Err(error) => {
                        self.waiting("RunContainerError", error.to_string());
                        Cause::Itself(Exit::Code(128))
                    }
                },
            };
            let exit = match cause {
                Cause::Stopped(exit) => {
                    self.end(exit, Some(started));
                    return;
                }
                Cause::Itself(exit) if !self.restart.restarts(exit) => {
                    self.end(exit, Some(started));
                    return;
                }
                Cause::Itself(exit) => exit,
            };
            failures = if began.elapsed() >= self.back_off.reset_after { 1 } else { failures + 1 };
            self.between_runs(exit, started, failures).await;
        }
    }

    /// A container without a process: up until stopped.
    async fn on_paper(&mut self) -> Cause {
        self.view.send_modify(|view| {
            view.state = State::Running { since: Timestamp::now(), id: "paper://".to_owned() };
            view.ready = true;
            view.started = true;
        });
        // The sender lives in the pod's worker, which outlives its containers.
        let _ = self.stop_at.wait_for(Option::is_some).await;
        Cause::Stopped(Exit::Code(0))
    }

    /// One run of the process, with its probes, until it ends or is ended.
    async fn one_run(&mut self, process: &Process, spec: &ProcessSpec, started: Timestamp) -> Cause {
        let view = Arc::clone(&self.view);
        let ungated = self.startup.is_none();
        view.send_modify(|view| {
            view.state = State::Running { since: started, id: format!("process://{}", process.pid()) };
            view.started = ungated;
            view.ready = ungated && self.readiness.is_none();
        });
        let unhealthy = {
            let probes = probes(&self.keeper, spec, [&self.startup, &self.readiness, &self.liveness], &view);
            tokio::select! {
                exit = process.wait() => return Cause::Itself(exit),
                _ = self.stop_at.wait_for(Option::is_some) => false,
                () = probes => true,
            }
        };
        view.send_modify(|view| view.ready = false);
        if unhealthy {
            tracing::info!(pid = process.pid(), "a container failed its liveness or startup probe");
            return Cause::Itself(process.stop(self.grace).await);
        }
        Cause::Stopped(self.stop(process, spec).await)
    }

    /// The end with grace. A deadline that moves forward is heeded.
    async fn stop(&mut self, process: &Process, spec: &ProcessSpec) -> Exit {
        let mut stop_at = self.stop_at.clone();
        let deadline = async {
            loop {
                let at = stop_at.borrow_and_update().unwrap_or_else(Instant::now);
                tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    changed = stop_at.changed() => if changed.is_err() { return },
                }
            }
        };
        let politely = async {
            if !self.pre_stop.is_empty() {
                execute(&self.keeper, spec, &self.pre_stop, Duration::MAX).await;
            }
            process.signal(Signal::TERM, Reach::Main);
            process.wait().await
        };
        tokio::select! {
            exit = politely => exit,
            () = deadline => process.kill().await,
        }
    }

    /// The pause before the next start.
    async fn between_runs(&mut self, exit: Exit, started: Timestamp, failures: u32) {
        let pause = self.back_off.pause(failures);
        let ended = self.ended(exit, Some(started));
        let message = format!("back-off {}ms restarting failed container", pause.as_millis());
        self.view.send_modify(|view| {
            view.ready = false;
            view.started = false;
            view.restarts += 1;
            let keep = matches!(view.state, State::Waiting { reason: "RunContainerError", .. });
            view.last = Some(ended);
            if !keep {
                view.state = State::Waiting { reason: "CrashLoopBackOff", message };
            }
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.stop_at.wait_for(Option::is_some) => {}
        }
    }

    fn waiting(&self, reason: &'static str, message: String) {
        self.view.send_modify(|view| view.state = State::Waiting { reason, message });
    }

    fn ended(&self, exit: Exit, started: Option<Timestamp>) -> Ended {
        Ended { exit, started, finished: Timestamp::now(), id: self.view.borrow().id() }
    }

    fn end(&self, exit: Exit, started: Option<Timestamp>) {
        let ended = self.ended(exit, started);
        self.view.send_modify(|view| {
            view.ready = false;
            view.started = false;
            view.state = State::Ended(ended);
        });
    }
}

/// Runs the probes: startup alone first, then readiness and liveness. Returns only when the container is to be killed.
async fn probes(
    keeper: &Keeper,
    spec: &ProcessSpec,
    [startup, readiness, liveness]: [&Option<Probe>; 3],
    view: &watch::Sender<View>,
) {
    if let Some(startup) = startup {
        let verdict = watch::Sender::new(None);
        let mut heard = verdict.subscribe();
        tokio::select! {
            () = startup.run(keeper, spec, |well| { verdict.send_replace(Some(well)); }) => {}
            _ = heard.wait_for(Option::is_some) => {}
        }
        if *verdict.borrow() != Some(true) {
            return;
        }
        view.send_modify(|view| {
            view.started = true;
            view.ready = readiness.is_none();
        });
    }
    let ready = async {
        match readiness {
            Some(readiness) => readiness.run(keeper, spec, |well| view.send_modify(|view| view.ready = well)).await,
            None => std::future::pending().await,
        }
    };
    let unhealthy = watch::Sender::new(false);
    let mut heard = unhealthy.subscribe();
    let alive = async {
        match liveness {
            Some(liveness) => {
                liveness
                    .run(keeper, spec, |well| {
                        unhealthy.send_replace(!well);
                    })
                    .await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = ready => {}
        () = alive => {}
        _ = heard.wait_for(|unhealthy| *unhealthy) => {}
    }
}
