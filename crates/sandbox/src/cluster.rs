//! A cluster in this process: the API on a loopback socket, a kubelet whose pods are local processes, controllers.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::api::write::{Mode, create};
use crate::api::{ApiError, ApiServer, Kind, ServeError, ServeOptions, Store};
use crate::controllers;
use crate::faults::Faults;
use crate::kubelet::{BackOff, Kubelet, KubeletOptions};
use crate::process::Keeper;

/// The host part of the API server's address.
const API_HOST: u8 = 241;
/// The host parts of service addresses.
const SERVICE_HOSTS: std::ops::RangeInclusive<u8> = 200..=239;
/// How many changes of each kind a watch can go back.
const LOG_MAX: usize = 1_000;

/// What a cluster is to be like.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The first three bytes of its addresses, `127.a.b`; random when left out. Host parts: 1 to 199 pods, 200 to 239
    /// services, 241 the API.
    pub network: Option<[u8; 3]>,
    /// The names of its nodes.
    pub nodes: Vec<String>,
    /// What every pod finds in its environment, beside what a kubelet sets.
    pub pod_env: BTreeMap<String, String>,
    /// How many changes of each kind are remembered for watches that resume.
    pub log_max: usize,
    /// The pauses between restarts in place.
    pub back_off: BackOff,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            network: None,
            nodes: vec!["node-a".to_owned(), "node-b".to_owned()],
            pod_env: BTreeMap::new(),
            log_max: LOG_MAX,
            back_off: BackOff::default(),
        }
    }
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API does not serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A file or directory could not be made.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The first objects could not be made.
    #[error("the cluster's first objects: {0}")]
    Seed(#[from] ApiError),
    /// No client for it.
    #[error("a client of the sandbox's API: {0}")]
    Client(#[from] kube::Error),
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    server: ApiServer,
    kubelet: Kubelet,
    kubeconfig: PathBuf,
    network: [u8; 3],
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Cluster {
    /// Starts the cluster in the keeper's directory.
    pub async fn start(keeper: Keeper, options: ClusterOptions) -> Result<Self, ClusterError> {
        let dir = keeper.dir().to_owned();
        let network = options.network.unwrap_or_else(random_network);
        let address = |host: u8| IpAddr::V4(Ipv4Addr::new(network[0], network[1], network[2], host));
        let logs = dir.join("logs");
        let volumes = dir.join("volumes");
        let pods = dir.join("pods");
        for path in [&logs, &volumes, &pods] {
            fs::create_dir_all(path).map_err(|source| ClusterError::Write { path: path.clone(), source })?;
        }
        let store = Store::new(options.log_max);
        seed(&store, &options.nodes)?;
        let serve = ServeOptions {
            address: SocketAddr::new(address(API_HOST), 0),
            audit_log: dir.join("audit.jsonl"),
            logs: logs.clone(),
            service_addresses: SERVICE_HOSTS.map(address).collect(),
        };
        let server = ApiServer::start(Arc::clone(&store), serve).await?;
        let kubeconfig = dir.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(server.address()))
            .map_err(|source| ClusterError::Write { path: kubeconfig.clone(), source })?;
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        controllers::start(&store, &tasks, &closing);
        let mut pod_env = options.pod_env;
        pod_env.insert("KUBECONFIG".to_owned(), kubeconfig.display().to_string());
        let kubelet = KubeletOptions { network, pod_env, logs, volumes, pods, back_off: options.back_off };
        let kubelet = Kubelet::start(store, keeper, kubelet);
        Ok(Self { server, kubelet, kubeconfig, network, tasks, closing })
    }

    /// `http://address:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// An ordinary kubeconfig file for this cluster.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The first three bytes of the cluster's addresses.
    pub fn network(&self) -> [u8; 3] {
        self.network
    }

    /// The objects, past the socket and its faults.
    pub fn store(&self) -> &Arc<Store> {
        self.server.store()
    }

    /// The switches for the API's own faults.
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// The log of every request that could have changed something.
    pub fn audit_log(&self) -> &Path {
        self.server.audit_log()
    }

    /// A client that does not retry by itself: what a request did is for its sender to find out.
    pub fn client(&self) -> Result<kube::Client, ClusterError> {
        let url = self.url().parse().map_err(|error| kube::Error::Service(Box::new(error)))?;
        let mut config = kube::Config::new(url);
        config.default_retry = false;
        // Plain HTTP: no roots to load.
        config.root_cert = Some(Vec::new());
        Ok(kube::Client::try_from(config)?)
    }

    /// Ends pods, controllers and server. Processes get no grace.
    pub async fn stop(self) {
        self.kubelet.stop().await;
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.server.close().await;
    }
}

/// A network under 127, away from the one that everything else on the machine uses.
fn random_network() -> [u8; 3] {
    let seed = Uuid::now_v7().into_bytes();
    [127, 64 + seed[14] % 180, seed[15]]
}

fn kubeconfig_text(address: SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: sandbox\n  cluster:\n    server: http://{address}\n\
         users:\n- name: sandbox\n  user: {{}}\ncontexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    \
         user: sandbox\ncurrent-context: sandbox\n"
    )
}

/// What every cluster has from the start.
fn seed(store: &Arc<Store>, nodes: &[String]) -> Result<(), ApiError> {
    let make = |kind: Kind, object: Value| {
        store.with(|inner| create(inner, kind, "", object, &|_| None, Mode::Commit)).map(|_| ())
    };
    for name in ["default", "kube-system"] {
        make(Kind::Namespace, json!({"metadata": {"name": name}}))?;
    }
    for name in nodes {
        let labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"});
        make(Kind::Node, json!({"metadata": {"name": name, "labels": labels}}))?;
        let key = crate::api::Key::new(Kind::Node, "", name.as_str());
        store.modify(&key, |node| {
            controllers::set_condition(node, "Ready", "True", "KubeletReady", "the sandbox runs its pods");
        });
    }
    Ok(())
}
