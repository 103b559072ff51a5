//! The agent: process 1 of a database pod. Waits, follows or leads; one phase at a time.

use std::{
    io,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use sqlx::PgConnection;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    election::{Candidate, Data, Observer, Seat},
    follow, lead,
    leadership::Leadership,
    lease::{Held, LeaseClient},
    server::{Running, ServerError},
    settings::Settings,
    switches::{AgentReport, AgentRole, Switches},
    wait,
};
use crate::estate::client;

/// How long one request to the API server may take: a fraction of the lease.
const REQUEST_WITHIN: Duration = Duration::from_millis(500);
/// How long a statement of the agent's own may take.
pub(super) const STATEMENT_WITHIN: Duration = Duration::from_millis(300);
/// From one look at lease and switches to the next, while not leading.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A server that runs, with the agent's own session in it.
pub(super) struct Kept {
    pub(super) running: Running,
    pub(super) session: PgConnection,
}

/// What the agent is doing.
pub(super) enum Phase {
    /// Nothing runs.
    Waiting,
    /// A standby runs.
    Following(Box<Kept>),
    /// A primary runs, the lease is ours.
    Leading(Box<(Kept, Leadership)>),
    /// The pod ends.
    Ended(ExitCode),
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Following(_) => "following",
            Self::Leading(_) => "leading",
            Self::Ended(_) => "ended",
        }
    }
}

/// What goes wrong for an agent so that it ends; the kubelet starts it again.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What every phase uses.
pub(super) struct Agent {
    pub(super) settings: Settings,
    pub(super) lease: LeaseClient,
    pub(super) run: String,
    pub(super) observer: Observer,
    pub(super) switches: Switches,
    pub(super) terminate: Signal,
    pods: Api<Pod>,
    ready: Arc<AtomicBool>,
    reported: Option<AgentReport>,
}

impl Agent {
    /// Reads the switches; they stay as they were while the file cannot be read.
    pub(super) fn read_switches(&mut self) -> Switches {
        if let Some(switches) = Switches::load(&self.settings.control) {
            self.switches = switches;
        }
        self.switches
    }

    /// This agent, as an election sees it.
    pub(super) fn candidate(&self, data: Data) -> Candidate<'_> {
        Candidate { pod: &self.settings.pod, is_first: self.settings.is_first(), data, manner: self.switches.manner }
    }

    /// What the lease will say when we hold it.
    pub(super) fn own_seat(&self, initialised: bool, synchronous_standby: Option<String>) -> Seat {
        Seat {
            holder: Some(self.settings.pod.clone()),
            run: self.run.clone(),
            renewed_us: 0,
            ttl: self.settings.lease_ttl,
            address: self.settings.address(),
            initialised,
            replication: self.switches.replication,
            synchronous_standby,
            last_holder: self.settings.pod.clone(),
        }
    }

    /// What the lease says, `Err` when it could not be asked; with how long it has said so.
    pub(super) async fn look(&mut self) -> Result<(Option<Held>, Duration), String> {
        let held = self.lease.look().await.map_err(|error| error.to_string())?;
        let now = std::time::Instant::now();
        let unchanged = held.as_ref().map_or(Duration::ZERO, |held| self.observer.note(&held.seat, now));
        Ok((held, unchanged))
    }

    /// Whether Services may send to this pod.
    pub(super) fn set_ready(&self, ready: Readiness) {
        self.ready.store(ready == Readiness::Ready, Ordering::Relaxed);
    }

    /// Labels our own pod, by which Services and people find the primary.
    pub(super) async fn label(&self, role: AgentRole) {
        let role = match role {
            AgentRole::Primary => "primary",
            AgentRole::Replica => "replica",
            AgentRole::Waiting => return,
        };
        let patch = serde_json::json!({ "metadata": { "labels": { "role": role } } });
        if let Err(error) = self.pods.patch(&self.settings.pod, &PatchParams::default(), &Patch::Merge(patch)).await {
            tracing::warn!(%error, role, "the pod could not be labelled");
        }
    }

    /// Says what we do to those who wait for it; only when it changed.
    pub(super) fn report(&mut self, report: AgentReport) {
        if self.reported.as_ref() != Some(&report) {
            if let Err(error) = report.store(&self.settings.control) {
                tracing::warn!(%error, "the report could not be written");
            }
            self.reported = Some(report);
        }
    }
}

/// Whether Services may send to this pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Its server answers.
    Ready,
    /// It does not, or must not be asked.
    NotReady,
}

/// Runs `postgres-agent`.
pub fn agent_main() -> ExitCode {
    // The pod's log is its standard error.
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
    let begin = || -> Result<ExitCode, String> {
        let settings = Settings::from_env()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .map_err(|error| format!("starting the runtime: {error}"))?;
        runtime.block_on(run(settings))
    };
    match begin() {
        Ok(code) => code,
        Err(message) => {
            tracing::error!("{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<ExitCode, String> {
    let terminate = signal(SignalKind::terminate()).map_err(|error| format!("listening for SIGTERM: {error}"))?;
    let client = client::from_environment(REQUEST_WITHIN, "postgres-agent").await?;
    let ready = Arc::new(AtomicBool::new(false));
    serve_readiness(&settings, Arc::clone(&ready)).await?;
    let mut agent = Agent {
        lease: LeaseClient::new(client.clone(), &settings.namespace),
        pods: Api::namespaced(client, &settings.namespace),
        run: uuid::Uuid::now_v7().to_string(),
        observer: Observer::default(),
        switches: Switches::default(),
        terminate,
        ready,
        reported: None,
        settings,
    };
    let mut phase = Phase::Waiting;
    loop {
        tracing::info!(phase = phase.name(), "now");
        let next = match phase {
            Phase::Waiting => wait::wait(&mut agent).await,
            Phase::Following(kept) => follow::follow(&mut agent, *kept).await,
            Phase::Leading(led) => {
                let (kept, leadership) = *led;
                lead::lead(&mut agent, kept, leadership).await
            }
            Phase::Ended(code) => return Ok(code),
        };
        phase = next.map_err(|error| error.to_string())?;
    }
}

/// Answers the kubelet's readiness probe.
async fn serve_readiness(settings: &Settings, ready: Arc<AtomicBool>) -> Result<(), String> {
    let listener = TcpListener::bind(settings.readiness)
        .await
        .map_err(|error| format!("listening on {}: {error}", settings.readiness))?;
    let answer = async move || {
        if ready.load(Ordering::Relaxed) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    };
    let app = Router::new().route("/readiness", get(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(())
}
