//! What these tests share: fresh directories, and waiting for an event with a deadline instead of sleeping.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use firedrill_sandbox::BackOff;
use firedrill_sandbox::cluster::{Cluster, ClusterOptions};
use firedrill_sandbox::process::{Keeper, KeeperOptions, ProcStat, descendants_of, start_ticks};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, LogParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// The executable under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_firedrill-sandbox");

/// Longer than anything here takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that no other test has; the keeper makes and removes it.
pub(crate) fn fresh_dir(name: &str) -> PathBuf {
    let stamp = firedrill_sandbox::process::boottime_ns();
    std::env::temp_dir().join(format!("firedrill-{name}-{}-{stamp}", std::process::id()))
}

/// Whether this very process (not a successor with its number) still runs.
pub(crate) fn runs(pid: i32, started: Option<u64>) -> bool {
    started.is_some() && start_ticks(pid) == started && ProcStat::of(pid).is_some_and(|stat| stat.state != 'Z')
}

/// Waits until `done`, looking every 5 ms: `/proc` and directories have no event to wait for.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// As [`eventually`], for tests in whose own runtime the cluster runs.
pub(crate) async fn in_time(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The text of a file once it has one.
pub(crate) async fn written(path: &Path) -> String {
    let begun = Instant::now();
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(begun.elapsed() < PATIENCE, "nothing was written to {}", path.display()),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A cluster of its own for one test.
pub(crate) struct Stand {
    pub(crate) keeper: Keeper,
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

impl Stand {
    /// A cluster with quick restarts.
    pub(crate) async fn new(name: &str) -> Self {
        let options = KeeperOptions { dir: fresh_dir(name), program: PROGRAM.into() };
        let keeper = Keeper::start(options).await.expect("a keeper");
        let back_off = BackOff {
            first: Duration::from_millis(20),
            longest: Duration::from_secs(5),
            reset_after: Duration::from_mins(1),
        };
        let options = ClusterOptions { back_off, ..ClusterOptions::default() };
        let cluster = Cluster::start(keeper.clone(), options).await.expect("a cluster");
        let client = cluster.client().expect("a client");
        Self { keeper, cluster, client }
    }

    /// The objects of a kind in `default`.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Creates an object.
    pub(crate) async fn make<K>(&self, object: serde_json::Value) -> K
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
        K::DynamicType: Default,
    {
        let object = serde_json::from_value(object).expect("an object of this kind");
        self.api::<K>().create(&PostParams::default(), &object).await.expect("made")
    }

    /// Watches an object until it is as wanted.
    pub(crate) async fn until<K>(&self, name: &str, wanted: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + 'static,
        K::DynamicType: Default,
    {
        let condition = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_some_and(&wanted));
        let outcome = tokio::time::timeout(PATIENCE, condition).await;
        outcome.unwrap_or_else(|_| panic!("{name} is not as wanted in time")).expect("a watch").expect("there")
    }

    /// Watches until an object is gone.
    pub(crate) async fn until_gone<K>(&self, name: &str)
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + 'static,
        K::DynamicType: Default,
    {
        let gone = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_none());
        let waited = tokio::time::timeout(PATIENCE, gone).await;
        waited.unwrap_or_else(|_| panic!("{name} is still there")).expect("a watch");
    }

    /// The directory of a pod's processes.
    pub(crate) fn pod_dir(&self, pod: &Pod) -> PathBuf {
        self.keeper.dir().join("pods").join(pod.metadata.uid.as_ref().expect("a uid"))
    }

    /// What a pod's process wrote.
    pub(crate) async fn log(&self, pod: &str) -> String {
        self.api::<Pod>().logs(pod, &LogParams::default()).await.expect("a log")
    }

    /// Ends everything and checks that nothing is left.
    pub(crate) async fn leave(self) {
        let Self { keeper, cluster, .. } = self;
        let (pid, dir) = (keeper.pid(), keeper.dir().to_owned());
        cluster.stop().await;
        keeper.stop().await.expect("nothing is left");
        assert!(descendants_of(pid).is_empty() && !dir.exists());
    }
}

/// A pod that runs a shell script.
pub(crate) fn script(name: &str, script: &str) -> serde_json::Value {
    json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "none", "command": ["sh", "-c", script]}]},
    })
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The first container's status.
pub(crate) fn container(pod: &Pod) -> ContainerStatus {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    statuses.first().cloned().unwrap_or_default()
}

/// The process id of the first container, as its id tells it.
pub(crate) fn pid(pod: &Pod) -> i32 {
    let id = container(pod).container_id.expect("it runs");
    id.strip_prefix("process://").expect("a process").parse().expect("a pid")
}
