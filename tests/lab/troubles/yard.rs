//! A namespace of a trouble's own: one deployment of the lab's web image, its Service, the opt-in, and an estate that leads
//! there. It is taken away again, also when the test fails.

use crate::lab::Lab;
use crate::runner::{LOOK_EVERY, Runner, SOON};
use firedrill::targets::cluster::{ALLOW_ANNOTATION, DRILL_ANNOTATION};
use firedrill_core::report::Report;
use futures_util::FutureExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};

/// The image that the lab's node has.
pub const IMAGE: &str = "docker.io/firedrill-lab/web:1";
/// The deployment of a yard, and its Service.
pub const WEB: &str = "web";
/// How many pods it asks for.
pub const REPLICAS: i32 = 2;

/// A namespace of a trouble's own.
pub struct Yard<'a> {
    pub lab: &'a Lab,
    pub name: String,
    place: PathBuf,
}

impl AsRef<Path> for Yard<'_> {
    fn as_ref(&self) -> &Path {
        &self.place
    }
}

/// How a trouble went: one that failed is told when all have been cleared away.
pub type Went = std::thread::Result<()>;

/// Makes a yard called after `word`, whose pods are of `image`, does what `body` says, and takes the yard away.
pub async fn within(lab: &Lab, word: &str, image: &str, body: impl AsyncFnOnce(&Yard<'_>)) -> Went {
    let random = &uuid::Uuid::now_v7().simple().to_string()[20..];
    let yard = Yard { lab, name: format!("fd-{word}-{random}"), place: lab.path(word) };
    let done = AssertUnwindSafe(async {
        yard.open(image).await;
        body(&yard).await;
    });
    let went = done.catch_unwind().await;
    yard.close().await;
    went
}

/// Fails as the first of these that failed.
pub fn all_went_well(went: impl IntoIterator<Item = Went>) {
    if let Some(panic) = went.into_iter().find_map(Result::err) {
        resume_unwind(panic);
    }
}

impl Yard<'_> {
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        self.lab.api(&self.name)
    }

    pub fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.lab.client.clone())
    }

    /// Makes an object in the yard.
    pub async fn make<K>(&self, body: Value) -> K
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + serde::Serialize
            + Debug,
        K::DynamicType: Default,
    {
        let object: K = serde_json::from_value(body).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap()
    }

    /// Merges a patch into an object of the yard.
    pub async fn patch<K>(&self, name: &str, body: Value)
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(body)).await.unwrap();
    }

    async fn open(&self, image: &str) {
        std::fs::create_dir_all(&self.place).unwrap();
        let body = json!({ "metadata": { "name": self.name, "annotations": { ALLOW_ANNOTATION: "scale-to-zero" } } });
        let namespace: Namespace = serde_json::from_value(body).unwrap();
        self.namespaces().create(&PostParams::default(), &namespace).await.unwrap();
        let labels = json!({ "app": WEB });
        let service = json!({ "metadata": { "name": WEB },
            "spec": { "selector": labels, "ports": [{ "port": 80, "targetPort": 8080 }] } });
        let address = self.make::<Service>(service).await.spec.unwrap().cluster_ip.unwrap();
        let container = json!({ "name": WEB, "image": image, "imagePullPolicy": "IfNotPresent",
            "env": [{ "name": "SERVICE", "value": WEB }], "ports": [{ "containerPort": 8080 }],
            "readinessProbe": { "httpGet": { "path": "/healthz", "port": 8080 }, "periodSeconds": 1 },
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65534 } });
        let template = json!({ "metadata": { "labels": labels }, "spec": { "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 2, "containers": [container] } });
        let deployment = json!({ "metadata": { "name": WEB }, "spec": { "replicas": REPLICAS,
            "selector": { "matchLabels": labels }, "template": template } });
        self.make::<Deployment>(deployment).await;
        let estate = format!(
            "environment: lab
allow: [scale-to-zero]
kubernetes: {{ kubeconfig: \"{}\" }}
targets:
  web:
    deployments: {{ namespace: {}, select: {{ names: [{WEB}] }} }}
probes:
  web: {{ http: {{ url: \"http://{address}/\", every: 50ms, timeout: 500ms }} }}
",
            self.lab.directory().join("kubeconfig").display(),
            self.name
        );
        std::fs::write(self.place.join("estate.yaml"), estate).unwrap();
        self.until(async || self.ready().await == REPLICAS, "its pods are ready").await;
    }

    /// An experiment that takes the deployment to zero for `hold_s` seconds, and waits for it for as short as its objective
    /// of `rto_s` seconds lets it.
    pub fn to_zero(&self, hold_s: u32, rto_s: u32) -> PathBuf {
        let deadline_s = hold_s + rto_s + 1;
        let text = format!(
            "experiment: web-to-zero
title: A drill with something in its way
owner: tests@ultramarket.example
objectives: {{ rto: {rto_s}s }}
probes: [web]
method:
  - scale-to-zero: {{ target: web, hold: {hold_s}s }}
baseline: {{ for: 1s, tolerate: 20 }}
recover: {{ stable-for: 1s, deadline: {deadline_s}s }}
"
        );
        let path = self.place.join("web-to-zero.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn runner(&self) -> Runner {
        Runner::new(self, "runner")
    }

    pub async fn deployment(&self) -> Option<Deployment> {
        self.api::<Deployment>().get_opt(WEB).await.unwrap()
    }

    /// The count that the deployment asks for.
    pub async fn count(&self) -> i32 {
        self.deployment().await.unwrap().spec.unwrap().replicas.unwrap()
    }

    pub async fn ready(&self) -> i32 {
        self.deployment().await.and_then(|d| d.status?.ready_replicas).unwrap_or(0)
    }

    pub async fn pods(&self) -> Vec<Pod> {
        self.api::<Pod>().list(&ListParams::default()).await.unwrap().items
    }

    /// Waits until something is so.
    pub async fn until(&self, mut so: impl AsyncFnMut() -> bool, what: &str) {
        let waiting = async {
            while !so().await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        assert!(tokio::time::timeout(SOON, waiting).await.is_ok(), "{} never came to it that {what}", self.name);
    }

    /// The deployment has its count, and neither a mark nor a lock tells of a drill.
    pub async fn assert_restored(&self) {
        let deployment = self.deployment().await.unwrap();
        assert!(!deployment.annotations().contains_key(DRILL_ANNOTATION), "{:?}", deployment.metadata);
        assert_eq!(deployment.spec.unwrap().replicas, Some(REPLICAS));
        assert_eq!(self.locks().await, Vec::<String>::new());
    }

    pub async fn locks(&self) -> Vec<String> {
        let leases = self.api::<Lease>().list(&ListParams::default()).await.unwrap();
        leases.iter().map(kube::ResourceExt::name_any).collect()
    }

    /// Takes the yard away, and what the test itself holds it up with.
    async fn close(&self) {
        let namespaces = self.namespaces();
        // It may not have been made at all.
        let _ = namespaces.delete(&self.name, &DeleteParams::default()).await;
        let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        let gone = async {
            while namespaces.get_opt(&self.name).await.unwrap().is_some() {
                for pod in self.pods().await.iter().filter(|p| !p.finalizers().is_empty()) {
                    let _ = self.api::<Pod>().patch(&pod.name_any(), &PatchParams::default(), &free).await;
                }
                let held: Api<k8s_openapi::api::core::v1::ConfigMap> = self.api();
                for map in held.list(&ListParams::default()).await.unwrap() {
                    let _ = held.patch(&map.name_any(), &PatchParams::default(), &free).await;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        assert!(tokio::time::timeout(SOON, gone).await.is_ok(), "{} does not go", self.name);
    }
}

/// All that a report says, for the question whether it says something.
pub fn told(report: &Report) -> String {
    serde_json::to_string(report).unwrap()
}

/// Whether one of the reasons of its verdict begins so.
pub fn tells(report: &Report, sentence: &str) -> bool {
    report.judgement.reasons.iter().any(|reason| reason.text.starts_with(sentence))
}
