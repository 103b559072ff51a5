//! A running sandbox: started whole, stopped whole.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Cluster, ClusterError, ClusterOptions},
    estate::{
        apply,
        backups::{BackupError, Backups, Source},
        catalogue::DATABASE,
        client,
        credentials::{Credentials, Password, write_private},
        endpoints::{self, Feeds},
        heartbeat,
        layout::Layout,
        manifests,
        plan::{DATABASES, DEPLOYMENTS, PRIMARY_SERVICE, Plan, REPLICA_SERVICE, Wishes},
        postgres::{
            config::Fsync,
            server::login,
            switches::{AgentReport, AgentRole, Replication, Standby, Switches},
        },
        proxy::{self, Endpoints},
        store::{BUCKET, PREFIX, REGION, Store},
    },
    facts::{DatabaseFacts, Facts, StoreFacts},
    options::Options,
    process::{Keeper, KeeperError, KeeperOptions, Process, ProcessSpec, Reach, Stopped, start_ticks},
    truth::{Protocol, ServiceSettings, TruthSettings, ViewSettings},
};

/// How long the whole estate may take to become healthy.
const HEALTHY_WITHIN: Duration = Duration::from_mins(1);
/// How long a turned switch may take to have its effect.
const SWITCH_WITHIN: Duration = Duration::from_secs(20);
/// How long the truth may take to write its last line.
const TRUTH_ENDS_WITHIN: Duration = Duration::from_secs(2);
/// How long pods, controllers and API may take to stop.
const CLUSTER_ENDS_WITHIN: Duration = Duration::from_secs(10);
/// From one look at the agents' reports to the next: they are files, nothing announces them.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why a sandbox did not start, or not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file, socket or program failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The keeper of its processes failed.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// The API refused an object of the estate, or could not be reached.
    #[error("the sandbox's API: {0}")]
    Api(String),
    /// The cluster did not start.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A backup failed.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// It did not become what it should within the time.
    #[error("the sandbox has waited {waited:?} for {what}; the logs are under {}", logs.display())]
    NotHealthy {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// Where to look.
        logs: PathBuf,
    },
    /// It was told to stop before it was there.
    #[error("stopped while the sandbox was starting")]
    Stopped,
}

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::Io { what, source }
}

/// Ends the keeper, and with it everything, when a sandbox is dropped without having been stopped.
#[derive(Debug)]
struct EndOnDrop {
    keeper: Option<(i32, Option<u64>)>,
}

impl EndOnDrop {
    fn arm(keeper: &Keeper) -> Self {
        Self { keeper: Some((keeper.pid(), start_ticks(keeper.pid()))) }
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let Some((pid, started)) = self.keeper else { return };
        // The start time tells it from a stranger that has its number by now.
        if started.is_some()
            && start_ticks(pid) == started
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// A whole estate on loopback. When it is dropped, or its process is killed, everything it started ends.
#[derive(Debug)]
pub struct Sandbox {
    facts: Facts,
    plan: Plan,
    credentials: Credentials,
    switches: Switches,
    keeper: Keeper,
    cluster: Cluster,
    truth: Process,
    backups: Backups,
    endpoints: BTreeMap<String, watch::Receiver<Endpoints>>,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
    end_on_drop: EndOnDrop,
}

impl Sandbox {
    /// Starts everything and waits until all of it is healthy: every pod ready, the standby streaming (and
    /// synchronous where asked), a first backup in the store, the truth watching.
    ///
    /// # Errors
    /// When the directory is not empty, PostgreSQL is not installed, or something did not become healthy in a minute;
    /// nothing is left then either.
    pub async fn start(options: Options) -> Result<Self, SandboxError> {
        Self::start_unless(options, std::future::pending()).await
    }

    /// The same, unless `stopped` comes first: then it returns when everything begun is gone again.
    ///
    /// # Errors
    /// As [`Sandbox::start`], and [`SandboxError::Stopped`].
    pub async fn start_unless(options: Options, stopped: impl Future<Output = ()>) -> Result<Self, SandboxError> {
        let dir = std::path::absolute(&options.dir).map_err(io_error("finding the directory"))?;
        let keeper = Keeper::start(KeeperOptions { dir: dir.clone(), program: options.program.clone() }).await?;
        let cancel = CancellationToken::new();
        let started = tokio::select! {
            started = Self::build(&options, keeper.clone(), cancel.clone()) => started,
            () = stopped => Err(SandboxError::Stopped),
        };
        if started.is_err() {
            cancel.cancel();
            // The first error is the one to be told.
            let _ = keeper.stop().await;
        }
        started
    }

    async fn build(options: &Options, keeper: Keeper, cancel: CancellationToken) -> Result<Self, SandboxError> {
        let end_on_drop = EndOnDrop::arm(&keeper);
        let layout = Layout::new(keeper.dir());
        let wishes = Wishes {
            namespace: options.namespace.clone(),
            namespace_annotations: options.namespace_annotations.clone(),
            program: options.program.clone(),
            fsync: options.fsync,
            lease_ttl: options.lease_ttl,
        };
        let plan = Plan::draw(layout, wishes).map_err(io_error("planning the estate"))?;
        plan.layout.create(plan.run_as).map_err(io_error("making the directories"))?;
        let credentials = Credentials::random().map_err(io_error("making passwords"))?;
        credentials.store(&plan.layout.credentials()).map_err(io_error("writing passwords"))?;
        options.switches.store(&plan.layout.control()).map_err(io_error("writing the switches"))?;
        let cluster = ClusterOptions { network: Some(plan.network.prefix()), ..ClusterOptions::default() };
        let cluster = Cluster::start(keeper.clone(), cluster).await?;
        let mut tasks = JoinSet::new();
        let endpoints = start_proxies(&plan, cluster.kubeconfig(), &mut tasks, &cancel).await?;
        apply::create(cluster.client()?, &manifests::all(&plan, &credentials)).await.map_err(SandboxError::Api)?;
        let store =
            Store::serve(plan.store(), &plan.layout.store(), &plan.layout.credentials(), &credentials, cancel.clone())
                .await
                .map_err(io_error("serving the store"))?;
        let source = Source {
            programs: plan.postgres_programs.clone(),
            host: plan.service(PRIMARY_SERVICE).ip().to_string(),
            port: plan.database_port,
            password: credentials.backup.clone(),
            dumps: plan.layout.dumps(),
        };
        let backups = Backups::new(source, store.clone()).map_err(io_error("preparing backups"))?;
        let truth_file = options.truth_file.clone().unwrap_or_else(|| plan.layout.truth().join("truth.jsonl"));
        let truth = start_truth(&keeper, &plan, &truth_file, options.truth_timeout, cluster.kubeconfig()).await?;
        let facts = facts(&plan, &credentials, &store, cluster.kubeconfig(), truth_file)?;
        let mut sandbox = Self {
            facts,
            plan,
            credentials,
            switches: options.switches,
            keeper,
            cluster,
            truth,
            backups,
            endpoints,
            tasks,
            cancel,
            end_on_drop,
        };
        sandbox.healthy(HEALTHY_WITHIN).await?;
        sandbox.backups.take().await?;
        sandbox.begin_routine(options);
        Ok(sandbox)
    }

    /// What goes on for as long as the sandbox does.
    fn begin_routine(&mut self, options: &Options) {
        self.tasks.spawn(self.backups.clone().run(options.backups, self.cancel.clone()));
        let primary = self.plan.service(PRIMARY_SERVICE);
        let beat =
            login(&primary.ip().to_string(), primary.port(), DATABASE, "storefront", &self.credentials.storefront);
        self.tasks.spawn(heartbeat::run(beat, self.cancel.clone()));
    }

    /// Its directory, which goes when it goes.
    pub fn dir(&self) -> &Path {
        &self.facts.dir
    }

    /// An ordinary kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.facts.kubeconfig
    }

    /// Where everything is.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The parent of every process of this sandbox.
    pub fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The API server and what acts behind it.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Backups: taken, listed, cut.
    pub fn backups(&self) -> &Backups {
        &self.backups
    }

    /// How the databases behave now.
    pub fn switches(&self) -> Switches {
        self.switches
    }

    /// Turns the switches, and returns once they have had their effect: both agents act by them, and the standby
    /// streams, or has stopped to.
    pub async fn switch(&mut self, switches: Switches) -> Result<(), SandboxError> {
        switches.store(&self.plan.layout.control()).map_err(io_error("writing the switches"))?;
        self.switches = switches;
        self.await_databases(SWITCH_WITHIN).await
    }

    /// Waits until every Service has all its endpoints and the databases stand as the switches say.
    pub async fn healthy(&self, within: Duration) -> Result<(), SandboxError> {
        let begun = tokio::time::Instant::now();
        for service in self.plan.services() {
            let Some(endpoints) = self.endpoints.get(service.name) else { continue };
            let mut endpoints = endpoints.clone();
            let left = within.saturating_sub(begun.elapsed());
            let all_ready = endpoints.wait_for(|now| now.ready.len() == service.endpoints);
            if timeout(left, all_ready).await.is_err() {
                let ready = self.endpoints.get(service.name).map_or(0, |now| now.borrow().ready.len());
                let what = format!("{} ready endpoints of {} (there are {ready})", service.endpoints, service.name);
                return Err(self.not_healthy(what, within));
            }
        }
        self.await_databases(within.saturating_sub(begun.elapsed())).await
    }

    async fn await_databases(&self, within: Duration) -> Result<(), SandboxError> {
        let settled = async {
            while !self.databases_stand() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        match timeout(within, settled).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.not_healthy(format!("databases as {:?}", self.switches), within)),
        }
    }

    /// Whether one agent leads, the other follows, and both do so as the switches say.
    fn databases_stand(&self) -> bool {
        let control = self.plan.layout.control();
        let reports: Vec<AgentReport> =
            (0..2).filter_map(|ordinal| AgentReport::load(&control, &format!("{DATABASES}-{ordinal}"))).collect();
        let of =
            |role: AgentRole| reports.iter().find(|report| report.role == role && report.switches == self.switches);
        let (Some(primary), Some(replica)) = (of(AgentRole::Primary), of(AgentRole::Replica)) else { return false };
        match (self.switches.standby, self.switches.replication) {
            (Standby::Hold, _) => replica.streams_from.is_none() && primary.synchronous_standby.is_none(),
            (Standby::Follow, Replication::Async) => {
                replica.streams_from.is_some() && primary.synchronous_standby.is_none()
            }
            (Standby::Follow, Replication::Sync) => primary.synchronous_standby.as_ref() == Some(&replica.pod),
        }
    }

    fn not_healthy(&self, what: String, waited: Duration) -> SandboxError {
        SandboxError::NotHealthy { what, waited, logs: self.facts.dir.clone() }
    }

    /// Ends everything, verified: processes, ports, shared memory, directory.
    ///
    /// # Errors
    /// When something is left.
    pub async fn stop(mut self) -> Result<Stopped, SandboxError> {
        self.truth.signal(Signal::TERM, Reach::Main);
        // It writes its last line; one that hangs is killed with the rest.
        let _ = timeout(TRUTH_ENDS_WITHIN, self.truth.wait()).await;
        self.cancel.cancel();
        self.tasks.shutdown().await;
        // A pod that hangs is no reason to leave the rest: the keeper ends everything, and says what it could not.
        if timeout(CLUSTER_ENDS_WITHIN, self.cluster.stop()).await.is_err() {
            tracing::warn!("the cluster did not stop in order; the keeper ends its processes");
        }
        let stopped = self.keeper.clone().stop().await?;
        self.end_on_drop.keeper = None;
        Ok(stopped)
    }
}

/// One proxy a Service, and the watch that feeds them.
async fn start_proxies(
    plan: &Plan,
    kubeconfig: &Path,
    tasks: &mut JoinSet<()>,
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, watch::Receiver<Endpoints>>, SandboxError> {
    let mut feeds = Feeds::new();
    let mut endpoints = BTreeMap::new();
    for service in plan.services() {
        let (sender, followed) = watch::channel(Endpoints::default());
        tasks.spawn(proxy::run(service.listen, followed.clone(), cancel.clone()));
        feeds.insert(service.name.to_owned(), sender);
        endpoints.insert(service.name.to_owned(), followed);
    }
    let client = client::from_file(kubeconfig, None, "proxy").await.map_err(SandboxError::Api)?;
    tasks.spawn(endpoints::follow(client, plan.namespace.clone(), feeds, cancel.clone()));
    Ok(endpoints)
}

/// Starts the truth process.
async fn start_truth(
    keeper: &Keeper,
    plan: &Plan,
    file: &Path,
    timeout: Duration,
    kubeconfig: &Path,
) -> Result<Process, SandboxError> {
    let http = |name: &str, path: &str, status: u16, contains: &str| ServiceSettings {
        name: name.to_owned(),
        address: plan.service(name),
        protocol: Protocol::Http { path: path.to_owned(), status, contains: contains.to_owned() },
        kept: ViewSettings { calm_us: 20_000, dense_us: 4_000, slots: 8 },
        fresh: ViewSettings { calm_us: 50_000, dense_us: 8_000, slots: 2 },
    };
    let database = ServiceSettings {
        name: PRIMARY_SERVICE.to_owned(),
        address: plan.service(PRIMARY_SERVICE),
        protocol: Protocol::PostgresWrite {
            database: DATABASE.to_owned(),
            role: "truth".to_owned(),
            password_file: plan.layout.credentials().join("truth"),
        },
        kept: ViewSettings { calm_us: 5_000, dense_us: 1_000, slots: 8 },
        fresh: ViewSettings { calm_us: 50_000, dense_us: 5_000, slots: 2 },
    };
    let settings = TruthSettings {
        file: file.to_owned(),
        timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        dense_for_ms: 500,
        services: vec![
            database,
            http("storefront", "/v2/products?limit=1", 200, "\"success\":true"),
            // Theirs need a login to read anything: that they answer at all is what is watched.
            http("cart", "/healthz", 204, ""),
            http("checkout", "/healthz", 204, ""),
        ],
        kubeconfig: Some(kubeconfig.to_owned()),
        namespace: plan.namespace.clone(),
        control: Some(plan.layout.control()),
    };
    let path = plan.layout.truth().join("settings.json");
    let text = serde_json::to_vec(&settings).map_err(|error| SandboxError::Api(error.to_string()))?;
    std::fs::write(&path, text).map_err(io_error("writing the truth's settings"))?;
    let spec = ProcessSpec::part(
        plan.program.display().to_string(),
        "truth",
        plan.layout.truth(),
        plan.layout.logs().join("truth.log"),
    );
    Ok(keeper.spawn(spec.arg(path.display().to_string())).await?)
}

/// Writes the files that facts refer to, and the facts.
fn facts(
    plan: &Plan,
    credentials: &Credentials,
    store: &Store,
    kubeconfig: &Path,
    truth_file: PathBuf,
) -> Result<Facts, SandboxError> {
    let secrets_dir = plan.layout.credentials();
    let roles: [(&str, &Password); 4] = [
        ("firedrill", &credentials.firedrill),
        ("storefront", &credentials.storefront),
        ("backup", &credentials.backup),
        ("postgres", &credentials.superuser),
    ];
    let mut url_files = BTreeMap::new();
    for (role, password) in roles {
        let file = secrets_dir.join(format!("{role}.url"));
        write_private(&file, &manifests::database_url(plan, role, password)).map_err(io_error("writing URLs"))?;
        url_files.insert(role.to_owned(), file);
    }
    let fsync = match plan.fsync {
        Fsync::Off => "off",
        Fsync::On => "on",
    };
    let secret = |role: &str| (role.to_owned(), format!("{DATABASES}-{role}"));
    Ok(Facts {
        dir: plan.layout.root().to_owned(),
        kubeconfig: kubeconfig.to_owned(),
        namespace: plan.namespace.clone(),
        services: plan.services().into_iter().map(|service| (service.name.to_owned(), service.listen)).collect(),
        deployments: DEPLOYMENTS.iter().map(|one| (one.name.to_owned(), one.replicas)).collect(),
        database: DatabaseFacts {
            stateful_set: DATABASES.to_owned(),
            name: DATABASE.to_owned(),
            port: plan.database_port,
            primary_service: PRIMARY_SERVICE.to_owned(),
            replica_service: REPLICA_SERVICE.to_owned(),
            url_files,
            secrets: BTreeMap::from([secret("firedrill"), secret("storefront")]),
            heartbeat: ("heartbeat".to_owned(), "beat_at".to_owned()),
            programs: plan.postgres_programs.clone(),
            fsync: fsync.to_owned(),
        },
        storefront_url: format!("http://{}", plan.service("storefront")),
        store: StoreFacts {
            endpoint: store.endpoint(),
            region: REGION.to_owned(),
            bucket: BUCKET.to_owned(),
            prefix: PREFIX.to_owned(),
            credentials_file: store.credentials_file.clone(),
            access_key_file: secrets_dir.join("s3-access-key"),
            secret_key_file: secrets_dir.join("s3-secret-key"),
            secret: "dr-backups".to_owned(),
        },
        staging: plan.layout.staging(),
        truth_file,
    })
}
