//! A whole sandbox for one test at a time: two cores do not carry several.

use super::files;
use super::place::Place;
pub use super::runner::{LOOK_EVERY, PROGRAM, SOON};
use firedrill::targets::cluster::{ALLOW_ANNOTATION, HALT_ANNOTATION, USER_AGENT};
use firedrill_sandbox::audit::{Entry, read_audit_log};
use firedrill_sandbox::estate::postgres::switches::Switches;
use firedrill_sandbox::{Options, Sandbox};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio::sync::{Mutex, MutexGuard};

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The turn of a test that starts servers. What is measured on two cores is not measured beside somebody else's.
pub async fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().await
}

/// A sandbox, and the files of drills on it.
pub struct Scene {
    pub sandbox: Sandbox,
    place: Place,
    _turn: MutexGuard<'static, ()>,
}

impl AsRef<Path> for Scene {
    /// Where its files lie.
    fn as_ref(&self) -> &Path {
        self.place.path()
    }
}

impl Scene {
    pub async fn start() -> Self {
        Self::start_with(Switches::default()).await
    }

    pub async fn start_with(switches: Switches) -> Self {
        let turn = turn().await;
        let place = Place::new();
        let mut options = Options::new(place.path().join("sandbox"), PROGRAM)
            .annotate(ALLOW_ANNOTATION, "kill-primary,scale-to-zero,restore-backup");
        options.switches = switches;
        let sandbox = Sandbox::start(options).await.unwrap();
        std::fs::write(place.path().join("estate.yaml"), files::estate(sandbox.facts())).unwrap();
        Self { sandbox, place, _turn: turn }
    }

    /// Ends it, verified.
    pub async fn stop(self) {
        let dir = self.sandbox.dir().to_owned();
        self.sandbox.stop().await.unwrap();
        assert!(!dir.exists(), "the sandbox left its directory");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Writes an experiment, and says where.
    pub fn write(&self, text: &str) -> PathBuf {
        let path = self.path(&format!("experiment-{}.yaml", uuid::Uuid::now_v7()));
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn client(&self) -> kube::Client {
        self.sandbox.cluster().client().unwrap()
    }

    pub fn namespace(&self) -> &str {
        &self.sandbox.facts().namespace
    }

    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client(), self.namespace())
    }

    /// The counts that the deployments ask for.
    pub async fn counts(&self) -> BTreeMap<String, i32> {
        let listed = self.deployments().list(&ListParams::default()).await.unwrap();
        listed.into_iter().map(|d| (d.metadata.name.unwrap(), d.spec.unwrap().replicas.unwrap())).collect()
    }

    /// Changes a deployment as a person would.
    pub async fn patch(&self, deployment: &str, body: Value) {
        let patch = Patch::Merge(body);
        #[expect(clippy::disallowed_methods, reason = "a person, not firedrill")]
        self.deployments().patch(deployment, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Halts the namespace by its annotation, as its owner would; or lifts that.
    pub async fn halt(&self, why: Option<&str>) {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { HALT_ANNOTATION: why } } }));
        #[expect(clippy::disallowed_methods, reason = "a person, not firedrill")]
        namespaces.patch(self.namespace(), &PatchParams::default(), &patch).await.unwrap();
    }

    pub async fn scale(&self, deployment: &str, replicas: i32) {
        self.patch(deployment, json!({ "spec": { "replicas": replicas } })).await;
    }

    /// Every request of firedrill that could have changed something, and was no question of permission.
    pub fn changes(&self) -> Vec<Entry> {
        let log: &Path = self.sandbox.cluster().audit_log();
        let mut entries = read_audit_log(log).unwrap();
        entries.retain(|e| e.user_agent == USER_AGENT && e.resource != "selfsubjectaccessreviews");
        entries
    }

    /// A session of the superuser on whatever takes writes now.
    pub async fn database(&self) -> Option<PgConnection> {
        let url = std::fs::read_to_string(&self.sandbox.facts().database.url_files["postgres"]).unwrap();
        PgConnection::connect(url.trim()).await.ok()
    }

    /// Waits until the whole estate is well again.
    pub async fn healthy(&self) {
        self.sandbox.healthy(SOON).await.unwrap();
    }
}

/// The counts of the shop as it is made.
pub fn whole_shop() -> BTreeMap<String, i32> {
    [("cart", 2), ("checkout", 3), ("storefront", 5)].map(|(name, n)| (name.to_owned(), n)).into()
}
