//! The cluster, reached by the ordinary client. [`Reader`] can only look; only effects get the client itself.

use futures_util::stream::Stream;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::Portforwarder;
use kube::api::{ListParams, ObjectList};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client, Config, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one read of the API may take before it counts as failed.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How many objects a page of a list holds: what is in memory at once does not grow with the namespace.
pub const PAGE: u32 = 250;

/// By this name the cluster's own audit log tells firedrill's requests from everybody else's.
pub const USER_AGENT: &str = concat!("firedrill/", env!("CARGO_PKG_VERSION"));

/// The annotation of a namespace that allows faults in it, whatever the files say: their words, with commas between.
pub const ALLOW_ANNOTATION: &str = "firedrill.dev/allow";
/// The annotation of a namespace that halts every drill in it, as long as it is there; its value says why.
pub const HALT_ANNOTATION: &str = "firedrill.dev/halt";
/// The annotation that marks an object as changed by a drill; its value is the drill's id.
pub const DRILL_ANNOTATION: &str = "firedrill.dev/drill";
/// The annotation that keeps the captured replica count on the Deployment itself.
pub const REPLICAS_ANNOTATION: &str = "firedrill.dev/replicas";
/// The annotation that a dead man leaves on what it put back; its value is the drill's id.
pub const DEAD_MAN_ANNOTATION: &str = "firedrill.dev/dead-man";
/// The annotation that a take-over writes, so that what an older runner still sends finds the object moved.
pub const EPOCH_ANNOTATION: &str = "firedrill.dev/epoch";

/// Why the cluster cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No configuration leads to a cluster.
    #[error("no Kubernetes configuration: {0}. Name a kubeconfig in the estate's `kubernetes`, or set KUBECONFIG.")]
    Config(String),
    /// The API did not answer in time.
    #[error("the Kubernetes API did not answer `{what}` within {seconds} s", seconds = READ_TIMEOUT.as_secs())]
    Timeout {
        /// What was asked.
        what: String,
    },
    /// The API answered with an error, or could not be reached.
    #[error("the Kubernetes API refused `{what}`: {source}")]
    Api {
        /// What was asked.
        what: String,
        /// What it said.
        source: Box<kube::Error>,
    },
}

/// A connection to a cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// How a cluster is reached: a kubeconfig and a context, or what the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    pub context: Option<String>,
}

impl Cluster {
    /// Connects. This is the one place that makes a client: its own retries are off, since whether a request may be
    /// sent again after a time-out is for the journal to decide.
    ///
    /// # Errors
    /// When no configuration is found or it cannot be used. No request is sent yet.
    pub async fn connect(access: &Access) -> Result<Self, ClusterError> {
        let config = |e: &dyn std::fmt::Display| ClusterError::Config(e.to_string());
        let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
        let mut configuration = match &access.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|e| config(&format!("{}: {e}", path.display())))?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(|e| config(&e))?
            }
            None if access.context.is_some() => Config::from_kubeconfig(&options).await.map_err(|e| config(&e))?,
            None => Config::infer().await.map_err(|e| config(&e))?,
        };
        configuration.default_retry = false;
        configuration.connect_timeout = Some(READ_TIMEOUT);
        configuration.headers.push((hyper::header::USER_AGENT, hyper::header::HeaderValue::from_static(USER_AGENT)));
        if configuration.cluster_url.scheme_str() == Some("http") {
            // Without this the client loads the machine's certificates even for a plain address.
            configuration.root_cert = Some(Vec::new());
        }
        let client = Client::try_from(configuration).map_err(|e| config(&e))?;
        Ok(Self { client })
    }

    /// The same cluster, with eyes only.
    pub fn reader(&self) -> Reader {
        Reader { client: self.client.clone() }
    }

    /// The client itself, for effects.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }
}

/// Eyes on a cluster: what it offers cannot change anything.
#[derive(Clone)]
pub struct Reader {
    client: Client,
}

impl Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    async fn timed<T>(&self, what: String, asked: impl Future<Output = kube::Result<T>>) -> Result<T, ClusterError> {
        match tokio::time::timeout(READ_TIMEOUT, asked).await {
            Err(_) => Err(ClusterError::Timeout { what }),
            Ok(Err(source)) => Err(ClusterError::Api { what, source: Box::new(source) }),
            Ok(Ok(value)) => Ok(value),
        }
    }

    async fn get_in<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, ClusterError>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("get {} {namespace}/{name}", K::kind(&K::DynamicType::default()));
        self.timed(what, async { api.get_opt(name).await }).await
    }

    async fn list_in<K>(&self, namespace: &str, selector: &str) -> Result<ObjectList<K>, ClusterError>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().labels(selector);
        let what = format!("list {} in {namespace}", K::plural(&K::DynamicType::default()));
        self.timed(what, async { api.list(&params).await }).await
    }

    /// Goes through a list by pages; all of them show the moment of the first.
    async fn each_in<K>(&self, namespace: &str, selector: &str, mut take: impl FnMut(K)) -> Result<(), ClusterError>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let mut params = ListParams::default().labels(selector).limit(PAGE);
        loop {
            let what = format!("list {} in {namespace}", K::plural(&K::DynamicType::default()));
            let page = self.timed(what, async { api.list(&params).await }).await?;
            page.items.into_iter().for_each(&mut take);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(()),
            }
        }
    }

    /// A pod, if it is there.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn pod(&self, namespace: &str, name: &str) -> Result<Option<Pod>, ClusterError> {
        self.get_in(namespace, name).await
    }

    /// The pods that a selector matches; all with an empty one.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn pods(&self, namespace: &str, selector: &str) -> Result<ObjectList<Pod>, ClusterError> {
        self.list_in(namespace, selector).await
    }

    /// Some of the pods that a selector matches, `count` at most.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn few_pods(&self, namespace: &str, selector: &str, count: u32) -> Result<ObjectList<Pod>, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().labels(selector).limit(count);
        self.timed(format!("list pods in {namespace}"), async { api.list(&params).await }).await
    }

    /// Takes the labels of each pod of a namespace that is being deleted, without having them all, or anything else of them,
    /// in memory.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn each_going_pod(
        &self,
        namespace: &str,
        mut take: impl FnMut(&BTreeMap<String, String>),
    ) -> Result<(), ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let what = format!("list pods in {namespace}");
            let page = self.timed(what, async { api.list_metadata(&params).await }).await?;
            let going = page.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some());
            going.for_each(|pod| take(pod.labels()));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(()),
            }
        }
    }

    /// Whether anybody is ready behind a Service.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn is_served(&self, namespace: &str, service: &str) -> Result<bool, ClusterError> {
        let selector = format!("kubernetes.io/service-name={service}");
        let slices: ObjectList<EndpointSlice> = self.list_in(namespace, &selector).await?;
        let ready = |slice: &EndpointSlice| {
            let unready = |e: &Endpoint| e.conditions.as_ref().and_then(|c| c.ready) == Some(false);
            slice.endpoints.iter().any(|e| !unready(e))
        };
        Ok(slices.iter().any(ready))
    }

    /// A Deployment, if it is there.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn deployment(&self, namespace: &str, name: &str) -> Result<Option<Deployment>, ClusterError> {
        self.get_in(namespace, name).await
    }

    /// Takes each Deployment that a selector matches, all with an empty one, without having them all in memory.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn each_deployment(
        &self,
        namespace: &str,
        selector: &str,
        take: impl FnMut(Deployment),
    ) -> Result<(), ClusterError> {
        self.each_in(namespace, selector, take).await
    }

    /// A Lease, if it is there.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn lease(&self, namespace: &str, name: &str) -> Result<Option<Lease>, ClusterError> {
        self.get_in(namespace, name).await
    }

    /// The annotations of an object, if it is there; nothing else of it is read.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn annotations<K>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ClusterError>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("get {} {namespace}/{name}", K::kind(&K::DynamicType::default()));
        let found = self.timed(what, async { api.get_metadata_opt(name).await }).await?;
        Ok(found.map(|object| object.metadata.annotations.unwrap_or_default()))
    }

    /// A Secret, if it is there.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, ClusterError> {
        self.get_in(namespace, name).await
    }

    /// A Service, if it is there.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn service(&self, namespace: &str, name: &str) -> Result<Option<Service>, ClusterError> {
        self.get_in(namespace, name).await
    }

    /// The endpoints of a Service, as they change. After an error it begins anew by itself.
    pub fn endpoints(
        &self,
        namespace: &str,
        service: &str,
    ) -> impl Stream<Item = watcher::Result<watcher::Event<EndpointSlice>>> + Send + use<> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        watcher::watcher(api, watcher::Config::default().labels(&format!("kubernetes.io/service-name={service}")))
    }

    /// A channel to a port of a pod, through the API and the pod's kubelet.
    ///
    /// # Errors
    /// When the API cannot be asked, or does not give one.
    pub async fn forward(&self, namespace: &str, pod: &str, port: u16) -> Result<Portforwarder, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        self.timed(format!("forward to {namespace}/{pod}:{port}"), async { api.portforward(pod, &[port]).await }).await
    }

    /// That the API answers at all.
    ///
    /// # Errors
    /// When it does not.
    pub async fn answers(&self) -> Result<(), ClusterError> {
        self.timed("/version".to_owned(), async { self.client.apiserver_version().await.map(drop) }).await
    }

    /// A namespace, if it is there.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn namespace(&self, name: &str) -> Result<Option<Namespace>, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        self.timed(format!("get namespace {name}"), async { api.get_opt(name).await }).await
    }

    /// Objects of any kind in a namespace, or of the whole cluster where `namespace` is `None`. A kind that the cluster
    /// does not know has no objects.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn list_any(
        &self,
        kind: &kube::discovery::ApiResource,
        namespace: Option<&str>,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let api: Api<DynamicObject> = match namespace {
            Some(ns) => Api::namespaced_with(self.client.clone(), ns, kind),
            None => Api::all_with(self.client.clone(), kind),
        };
        let listed =
            self.timed(format!("list {}", kind.plural), async { api.list(&ListParams::default()).await }).await;
        match listed {
            Ok(list) => Ok(list.items),
            Err(ClusterError::Api { source, .. }) if is_not_found(&source) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    /// Whether this runner has a right in a namespace, by the cluster's own answer. It changes nothing.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn may(&self, namespace: &str, right: Right) -> Result<bool, ClusterError> {
        use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(right.attributes(namespace)),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = self.review(format!("may I {} {}", right.verb, right.resource), &review).await?;
        Ok(answer.status.is_some_and(|s| s.allowed))
    }

    /// Whether somebody else may do something in a namespace. `None` when the cluster does not tell this runner.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn may_account(
        &self,
        account: &str,
        namespace: &str,
        right: Right,
    ) -> Result<Option<bool>, ClusterError> {
        use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};
        let of_namespace = account.split(':').nth(2).unwrap_or_default();
        let groups =
            ["system:authenticated", "system:serviceaccounts", &format!("system:serviceaccounts:{of_namespace}")];
        let question = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(account.to_owned()),
                groups: Some(groups.map(str::to_owned).to_vec()),
                resource_attributes: Some(right.attributes(namespace)),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        match self.review(format!("may {account} {} {}", right.verb, right.resource), &question).await {
            Ok(answer) => Ok(Some(answer.status.is_some_and(|s| s.allowed))),
            Err(ClusterError::Api { source, .. }) if is_forbidden(&source) || is_not_found(&source) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// As whom this runner is known to the cluster, for example `system:serviceaccount:firedrill:firedrill`.
    ///
    /// # Errors
    /// When the API cannot be asked.
    pub async fn who_am_i(&self) -> Result<String, ClusterError> {
        use k8s_openapi::api::authentication::v1::SelfSubjectReview;
        let answer = self.review("who am I".to_owned(), &SelfSubjectReview::default()).await?;
        Ok(answer.status.and_then(|s| s.user_info).and_then(|u| u.username).unwrap_or_default())
    }

    /// A question about what an account is or may. The API has it asked by a `create`, and keeps nothing of it.
    async fn review<K>(&self, what: String, question: &K) -> Result<K, ClusterError>
    where
        K: kube::Resource<Scope = k8s_openapi::ClusterResourceScope> + Clone + DeserializeOwned + Serialize + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::all(self.client.clone());
        #[expect(clippy::disallowed_methods, reason = "a question, which the API asks by a create")]
        let asked = async { api.create(&kube::api::PostParams::default(), question).await };
        self.timed(what, asked).await
    }

    /// What the API server says of itself, and what time it is there.
    ///
    /// # Errors
    /// When it does not answer, or answers with an error.
    pub async fn server(&self) -> Result<ServerSaid, ClusterError> {
        let what = "/version".to_owned();
        let asked = async {
            let request = hyper::Request::get("/version").body(Body::empty()).map_err(kube::Error::HttpError)?;
            let before = jiff::Timestamp::now();
            let answer = self.client.send(request).await?;
            let date = answer.headers().get(hyper::header::DATE).and_then(|d| d.to_str().ok()).map(str::to_owned);
            let after = jiff::Timestamp::now();
            let version = self.client.apiserver_version().await?;
            Ok((version, date, before, after))
        };
        let (version, date, before, after) = self.timed(what, asked).await?;
        let digits = |text: &str| text.trim_end_matches('+').parse().ok();
        Ok(ServerSaid {
            version: version.git_version,
            release: digits(&version.major).zip(digits(&version.minor)),
            date,
            asked: before..=after,
        })
    }
}

/// What an API server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSaid {
    /// Its version, for example `v1.34.4`.
    pub version: String,
    /// Major and minor, where they are numbers.
    pub release: Option<(u32, u32)>,
    /// Its `Date`, to the second, as it wrote it.
    pub date: Option<String>,
    /// When it was asked and when its answer was there, by this machine's clock.
    pub asked: RangeInclusive<jiff::Timestamp>,
}

/// One verb on one kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource in the plural; a part of it as in a Role (`pods/eviction`).
    pub resource: &'static str,
    /// The verb.
    pub verb: &'static str,
}

impl Right {
    /// A verb on a resource of a group.
    pub const fn to(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self { group, resource, verb }
    }

    /// As the cluster is asked for it.
    fn attributes(self, namespace: &str) -> ResourceAttributes {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (self.resource, None),
        };
        ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            group: Some(self.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource,
            verb: Some(self.verb.to_owned()),
            ..ResourceAttributes::default()
        }
    }
}

/// Whether an error says that the thing is not there. By code too: the client's own test of it asks the wrong variable.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404 || status.reason == "NotFound")
}

/// Whether an error says that one may not.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether an error says that the object moved on, exists already, or is another one of the same name: of a patch, the
/// API takes a UID for a field that cannot be changed, and answers 422 (seen on 1.34).
pub fn is_conflict(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let another = || {
        let causes = status.details.as_ref().map(|d| d.causes.as_slice()).unwrap_or_default();
        status.code == 422 && causes.iter().any(|c| c.field == "metadata.uid")
    };
    status.code == 409 || another()
}

/// The path of an estate's kubeconfig: relative to the estate's own file.
pub fn access(kubernetes: Option<&crate::spec::estate::Kubernetes>, estate_dir: &Path) -> Access {
    Access {
        kubeconfig: kubernetes.and_then(|k| k.kubeconfig.as_ref()).map(|p| estate_dir.join(p)),
        context: kubernetes.and_then(|k| k.context.clone()),
    }
}
