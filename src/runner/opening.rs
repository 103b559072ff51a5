//! Getting ready: files read, secrets resolved, the cluster reached, the journal open. Nothing is changed yet.

use crate::effects::Hands;
use crate::faults::{FaultSpec, Reach};
use crate::probes::ProbeSpec;
use crate::runner::points;
use crate::spec::estate::{self, Target};
use crate::spec::experiment::{Expect, Recover};
use crate::spec::load::{self, Loaded};
use crate::spec::problem::Problems;
use crate::spec::scalar::{Name, SecretRef, Span};
use crate::store::{DrillLock, Journal, JournalError};
use crate::targets::cluster::{self, Cluster, ClusterError};
use crate::targets::route::{Route, RouteError};
use crate::targets::scene::Scene;
use crate::targets::secrets::{self, SecretError};
use firedrill_core::digest::Digest;
use firedrill_core::drill::Drill;
use firedrill_core::event::{AbortRule, Brief, Event, Objectives, Opening, Settings, Source};
use firedrill_core::exercised::Expected;
use firedrill_core::report::Trigger;
use firedrill_core::time::Nanos;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// How long a fault may take to be seen at its target.
const LANDING: Nanos = Nanos::from_secs(30);

/// Why a drill could not even be opened.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The files are wrong.
    #[error("{0}")]
    Spec(#[from] Problems),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A database cannot be reached as the estate says.
    #[error("target `{target}`: {source}")]
    Route {
        /// The target.
        target: Name,
        /// Why not.
        source: RouteError,
    },
    /// The cluster's configuration cannot be used.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal could not be written.
    #[error(transparent)]
    Append(#[from] crate::store::AppendError),
    /// A probe cannot be started.
    #[error(transparent)]
    Probe(#[from] crate::probes::config::ProbeError),
    /// Another process holds the drill.
    #[error("drill {0} is held by another process of this machine; it is not taken from it")]
    Held(String),
    /// The state directory cannot be used.
    #[error("cannot hold the drill in {path}: {source}")]
    Lock {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A drill that is ready to be opened or taken over.
#[derive(Debug)]
pub struct Prepared {
    /// What it was asked to be.
    pub opening: Opening,
    /// Its read-only scene.
    pub scene: Scene,
    /// Its hands.
    pub hands: Hands,
}

impl Prepared {
    /// The fault or operation of the experiment. The loader has seen to it that there is exactly one.
    pub fn fault(&self) -> &FaultSpec {
        self.scene.loaded.experiment.method.first().expect("the loader refuses an empty method")
    }
}

/// Who runs: host and process, for people who find a mark.
pub(crate) fn runner_name() -> String {
    format!("{} pid {}", host(), std::process::id())
}

/// This machine's name.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What a drill is made of: an experiment and its estate, which were read and fit each other.
#[derive(Clone, Debug)]
pub struct Order {
    loaded: Loaded,
    sources: Vec<Source>,
}

impl Order {
    /// Reads both files.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn read(experiment: &Path, estate: &Path) -> Result<Self, RunError> {
        let loaded = load::load(experiment, estate)?;
        Ok(Self { loaded, sources: vec![source("experiment", experiment)?, source("estate", estate)?] })
    }

    /// Makes it of files that were read before, whatever has become of them since.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn of(sources: Vec<Source>) -> Result<Self, RunError> {
        let of = |role: &str| sources.iter().find(|s| s.role == role);
        let text = |s: Option<&Source>| s.map(|s| (s.path.clone(), s.text.clone())).unwrap_or_default();
        let (experiment_path, experiment_text) = text(of("experiment"));
        let (estate_path, estate_text) = text(of("estate"));
        let experiment = load::parse_experiment(&experiment_path, experiment_text.as_bytes())?;
        let estate = load::parse_estate(&estate_path, estate_text.as_bytes())?;
        Ok(Self { loaded: load::resolve(experiment, estate)?, sources })
    }
}

/// The id of a new drill: they sort by the time at which they were made.
pub fn new_drill() -> String {
    Uuid::now_v7().to_string()
}

/// Makes everything ready for a new drill.
///
/// # Errors
/// When a secret or the configuration of the cluster cannot be used. Nothing was changed.
pub async fn prepare(order: Order, drill: String, trigger: Trigger, state_dir: &Path) -> Result<Prepared, RunError> {
    let Order { loaded, sources } = order;
    let opening = Opening {
        drill,
        experiment: loaded.experiment.experiment.to_string(),
        fault: loaded.experiment.method.first().map(|f| f.word().to_owned()).unwrap_or_default(),
        environment: loaded.estate.environment.to_string(),
        trigger,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host(),
        settings: settings(&loaded),
        brief: brief(&loaded),
        sources,
    };
    build(opening, loaded, state_dir).await
}

/// Opens a drill: from here on it has a record, and ends with a report.
///
/// # Errors
/// When it cannot be written down, or another process holds it.
pub async fn open(journal: &Journal, prepared: &Prepared) -> Result<(Drill, DrillLock), RunError> {
    let id = &prepared.opening.drill;
    let held = DrillLock::take(journal.dir(), id);
    let held = held.map_err(|source| RunError::Lock { path: journal.dir().to_owned(), source })?;
    let lock = held.ok_or_else(|| RunError::Held(id.clone()))?;
    let mut drill = Drill::default();
    points::reached("before open");
    let opened = Event::Opened(Box::new(prepared.opening.clone()));
    journal.append(&mut drill, &crate::clock::stamp(), vec![opened]).await?;
    points::reached("after open");
    Ok((drill, lock))
}

/// Makes everything ready to take over a drill, from what its journal says.
///
/// # Errors
/// As [`prepare`].
pub async fn reopen(opening: &Opening, journal: &Journal) -> Result<Prepared, RunError> {
    let Order { loaded, .. } = Order::of(opening.sources.clone())?;
    build(opening.clone(), loaded, journal.dir()).await
}

/// A file as the drill keeps it.
///
/// # Errors
/// When it cannot be read.
pub fn source(role: &str, path: &Path) -> Result<Source, RunError> {
    let file = |source| RunError::File { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(file)?;
    let sha256 = Digest::of(text.as_bytes()).to_string();
    // Absolute, so that a take-over from another directory finds what the estate names beside itself.
    let path = path.canonicalize().map_err(file)?.display().to_string();
    Ok(Source { role: role.to_owned(), path, sha256, text })
}

fn settings(loaded: &Loaded) -> Settings {
    let experiment = &loaded.experiment;
    let Recover { stable_for, deadline, .. } = experiment.recover;
    Settings {
        baseline_ns: experiment.baseline.r#for.0,
        tolerate: experiment.baseline.tolerate,
        stable_ns: stable_for.0,
        deadline_ns: deadline.0,
        landing_ns: LANDING.min(deadline.0),
        abort_when: experiment
            .abort_when
            .iter()
            .map(|rule| AbortRule { probe: rule.down.to_string(), down_ns: rule.r#for.0 })
            .collect(),
        excluded: experiment.exclude.iter().map(|(probe, why)| (probe.to_string(), why.clone())).collect(),
    }
}

fn brief(loaded: &Loaded) -> Brief {
    let experiment = &loaded.experiment;
    let ns = |span: Option<Span>| span.map(|s| s.0);
    let objectives = &experiment.objectives;
    Brief {
        title: experiment.title.clone(),
        owner: experiment.owner.clone(),
        description: experiment.description.clone(),
        runbook: experiment.runbook.clone(),
        objectives: Objectives {
            rto_ns: ns(objectives.rto),
            rpo_ns: ns(objectives.rpo),
            restore_ns: ns(objectives.restore),
            redundancy_ns: ns(objectives.redundancy),
            detect_and_decide_ns: ns(objectives.detect_and_decide),
            source: objectives.source.clone(),
        },
        expect: experiment.recover.expect.map(|e| match e {
            Expect::Failover => Expected::Failover,
            // A failover is more than a hand-over, and proves as much.
            Expect::HandOver | Expect::Promotion => Expected::Promotion,
            Expect::Restart => Expected::Restart,
        }),
        schedule: experiment.schedule.as_ref().map(|_| experiment.schedule_words()),
    }
}

async fn build(opening: Opening, loaded: Loaded, state_dir: &Path) -> Result<Prepared, RunError> {
    let estate_path = opening.sources.iter().find(|s| s.role == "estate").map(|s| PathBuf::from(&s.path));
    let base = estate_path.as_deref().and_then(Path::parent).unwrap_or(Path::new(".")).to_owned();
    let cluster = if needs_cluster(&loaded) {
        Some(Cluster::connect(&cluster::access(loaded.estate.kubernetes.as_ref(), &base)).await?)
    } else {
        None
    };
    let reader = cluster.as_ref().map(Cluster::reader);
    let mut routes = HashMap::new();
    for (name, target) in &loaded.estate.targets {
        if let (Target::Postgres(postgres), true) = (target, named(&loaded).contains(name)) {
            let url = secrets::resolve(&postgres.url, &base, reader.as_ref()).await?;
            let route = Route::to(postgres, url, reader.as_ref()).await;
            routes.insert(name.clone(), route.map_err(|source| RunError::Route { target: name.clone(), source })?);
        }
    }
    let scene = Scene {
        loaded: Arc::new(loaded),
        base,
        reader,
        routes: Arc::new(routes),
        drill: opening.drill.clone(),
        state_dir: state_dir.to_owned(),
    };
    let hands = Hands::new(&opening, runner_name(), cluster, scene.clone());
    Ok(Prepared { opening, scene, hands })
}

/// The targets that the method and the probes name, and those that these name in turn.
pub fn named(loaded: &Loaded) -> BTreeSet<Name> {
    let mut names: BTreeSet<Name> = loaded.experiment.method.iter().flat_map(FaultSpec::targets).cloned().collect();
    let probes = loaded.experiment.probes.iter().filter_map(|p| loaded.estate.probes.get(p));
    names.extend(probes.filter_map(ProbeSpec::target).cloned());
    let sources = names.iter().filter_map(|name| match loaded.estate.targets.get(name) {
        Some(Target::Backups(backups)) => backups.of.clone(),
        _ => None,
    });
    let sources: Vec<Name> = sources.collect();
    names.extend(sources);
    names
}

/// A restore from S3 into a scratch needs no cluster; most else does.
pub fn needs_cluster(loaded: &Loaded) -> bool {
    let from_cluster = |t: &Target| match t {
        Target::Postgres(p) => matches!(p.url, SecretRef::Secret(_)) || p.reach == estate::Reach::PortForward,
        Target::Deployments(_) => true,
        Target::Backups(_) | Target::Staging(_) => false,
    };
    let names = named(loaded);
    loaded.experiment.method.iter().any(|f| f.reach() == Reach::Cluster)
        || loaded.estate.targets.iter().any(|(name, target)| names.contains(name) && from_cluster(target))
}
