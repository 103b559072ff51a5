//! Where these tests stand: a client and a namespace of their own, on a sandbox or on a real cluster.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use firedrill_sandbox::cluster::{Cluster, ClusterOptions};
use firedrill_sandbox::process::{Keeper, KeeperOptions, boottime_ns};
use futures_util::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{Api, DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, Config, Resource, ResourceExt};
use serde_json::json;

/// Longer than anything here takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A client, and a namespace that no other test has.
pub(crate) struct Ground {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// The variable that names a kubeconfig: then the suite runs against that cluster.
const GIVEN: &str = "FIREDRILL_TEST_KUBECONFIG";

/// Whether the cluster was given, and is no sandbox.
pub(crate) fn is_given() -> bool {
    std::env::var_os(GIVEN).is_some()
}

/// The kubeconfig of the cluster under test; starts a sandbox the first time, if there is to be one.
fn kubeconfig() -> PathBuf {
    static KUBECONFIG: OnceLock<PathBuf> = OnceLock::new();
    let found = KUBECONFIG.get_or_init(|| match std::env::var_os(GIVEN) {
        Some(path) => path.into(),
        None => start_sandbox(),
    });
    found.clone()
}

/// A sandbox on a thread of its own: it outlives each test's runtime, and its keeper ends it with this process.
fn start_sandbox() -> PathBuf {
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let name = format!("firedrill-conformance-{}-{}", std::process::id(), boottime_ns());
            let options = KeeperOptions {
                dir: std::env::temp_dir().join(name),
                program: env!("CARGO_BIN_EXE_firedrill-sandbox").into(),
            };
            let keeper = Keeper::start(options).await.expect("a keeper");
            let cluster = Cluster::start(keeper, ClusterOptions::default()).await.expect("a cluster");
            told.send(cluster.kubeconfig().to_owned()).expect("somebody waits");
            std::future::pending::<()>().await;
        });
    });
    heard.recv_timeout(PATIENCE).expect("the sandbox starts")
}

impl Ground {
    /// A fresh namespace.
    pub(crate) async fn new() -> Self {
        let client = client().await;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = parse(json!({"metadata": {"generateName": "conformance-"}}));
        let made = namespaces.create(&PostParams::default(), &namespace).await.expect("a namespace");
        Self { client, namespace: made.name_any() }
    }

    /// The objects of one kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Gives the namespace back.
    pub(crate) async fn leave(self) {
        let namespaces: Api<Namespace> = Api::all(self.client);
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.expect("deleted");
    }

    /// A config map with one entry.
    pub(crate) async fn config_map(&self, name: &str, labels: serde_json::Value) -> ConfigMap {
        let object = parse(json!({"metadata": {"name": name, "labels": labels}, "data": {"key": "value"}}));
        self.api().create(&PostParams::default(), &object).await.expect("a config map")
    }

    /// A deployment that is up.
    pub(crate) async fn deployment(&self, name: &str, replicas: i32) -> Deployment {
        let object = parse(deployment(name, replicas));
        self.api::<Deployment>().create(&PostParams::default(), &object).await.expect("a deployment");
        self.until(name, |deployment: &Deployment| {
            let status = deployment.status.clone().unwrap_or_default();
            status.observed_generation == deployment.metadata.generation
                && status.ready_replicas.unwrap_or(0) == replicas
        })
        .await
    }

    /// The pods of a deployment made by [`Ground::deployment`].
    pub(crate) async fn pods(&self, app: &str) -> Vec<Pod> {
        let wanted = kube::api::ListParams::default().labels(&format!("app={app}"));
        self.api().list(&wanted).await.expect("a list").items
    }

    /// Watches one object until it is as wanted.
    pub(crate) async fn until<K>(&self, name: &str, wanted: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope> + Clone + std::fmt::Debug + Send + 'static,
        K: serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut objects = Box::pin(watcher(self.api::<K>(), config).default_backoff().applied_objects());
        let found = async {
            while let Some(object) = objects.try_next().await.expect("a watch") {
                if wanted(&object) {
                    return object;
                }
            }
            panic!("the watch of {name} ended");
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{name} is not as wanted in time"))
    }

    /// Waits until an object is gone.
    pub(crate) async fn until_gone<K>(&self, name: &str)
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope> + Clone + std::fmt::Debug + Send + 'static,
        K: serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let absent = kube::runtime::wait::await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_none());
        let waited = tokio::time::timeout(PATIENCE, absent).await;
        waited.unwrap_or_else(|_| panic!("{name} is still there")).expect("a watch");
    }
}

async fn client() -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig()).expect("a kubeconfig");
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a config");
    config.default_retry = false;
    if config.cluster_url.scheme_str() == Some("http") {
        config.root_cert = Some(Vec::new());
    }
    Client::try_from(config).expect("a client")
}

/// The manifest of a deployment whose pods stay up.
pub(crate) fn deployment(name: &str, replicas: i32) -> serde_json::Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": image()}]},
            },
        },
    })
}

/// An image that stays up without a command.
pub(crate) fn image() -> String {
    std::env::var("FIREDRILL_TEST_IMAGE").unwrap_or_else(|_| "pause".to_owned())
}

/// A typed object from JSON.
pub(crate) fn parse<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> K {
    serde_json::from_value(value).expect("an object of this kind")
}

/// The `Status` of a request that was refused.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, kube::Error>) -> Status {
    match outcome {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("expected a Status, got {other:?}"),
    }
}

/// Checks code and reason.
#[track_caller]
pub(crate) fn assert_status(status: &Status, code: u16, reason: &str) {
    assert_eq!((status.code, status.reason.as_str()), (code, reason), "{}", status.message);
    assert_eq!(status.status, Some(kube::core::response::StatusSummary::Failure), "{status:?}");
}
