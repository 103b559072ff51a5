//! The estate: an environment's targets, probes, and what is allowed there.

use crate::filers::FilerSpec;
use crate::probes::ProbeSpec;
use crate::spec::leader_lock::LeaderLock;
use crate::spec::manager::{ManagedCluster, Scheme, words};
use crate::spec::primary_rule::PrimaryRule;
use crate::spec::scalar::{Bytes, Name, SecretRef, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An environment, described once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Estate {
    /// What this environment is called, for example `production` or `staging`.
    pub environment: Name,
    /// How its cluster is reached; without it `KUBECONFIG`, `~/.kube/config` or the pod's own service account.
    pub kubernetes: Option<Kubernetes>,
    /// The faults and operations that may be done here. Namespaces must allow them too, by annotation.
    pub allow: Vec<Name>,
    /// When drills may begin, for example `Mon-Fri 09:00-16:00 Asia/Tashkent`.
    pub window: Option<String>,
    /// When none may begin, for example `2026-12-20..2027-01-05 Asia/Tashkent`.
    #[serde(default)]
    pub blackouts: Vec<String>,
    /// Named things with capabilities.
    #[serde(default)]
    pub targets: BTreeMap<Name, Target>,
    /// Named samplers that ask the service a question at a fixed rate.
    #[serde(default)]
    pub probes: BTreeMap<Name, ProbeSpec>,
    /// Who brings deployments back when a runner is lost for good; nobody by default.
    pub dead_man: Option<DeadMan>,
    /// What must hold before anything is touched.
    #[serde(default)]
    pub guards: Guards,
    /// Where reports go.
    #[serde(default)]
    pub file: Vec<FilerSpec>,
}

/// How the cluster is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kubernetes {
    /// The path of a kubeconfig file, relative to the estate's file.
    pub kubeconfig: Option<String>,
    /// Which of its contexts; its current one by default.
    pub context: Option<String>,
}

/// A named thing with capabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A PostgreSQL cluster in pods: it has a primary.
    Postgres(PostgresTarget),
    /// Deployments of a namespace: they have replicas.
    Deployments(DeploymentsTarget),
    /// A place where backups are kept.
    Backups(BackupsTarget),
    /// A place that a backup may be restored into.
    Staging(StagingTarget),
}

impl Target {
    /// The word that says its kind in an estate.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Deployments(_) => "deployments",
            Self::Backups(_) => "backups",
            Self::Staging(_) => "staging",
        }
    }
}

/// A PostgreSQL cluster in pods.
///
/// A file names its members either by selectors, or by a failover manager as in `patroni: { namespace, cluster }`, which
/// stands for the labels that it sets ([`crate::spec::manager`]); here both have become the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "PostgresYaml", rename_all = "kebab-case")]
pub struct PostgresTarget {
    /// The namespace of its pods.
    pub namespace: Name,
    /// The label selector of all its members.
    pub members: String,
    /// What, among the members, marks the primary.
    pub primary: PrimaryRule,
    /// The lock on which its failover manager elects, when it has one: evidence of who gave the role away.
    pub leader_lock: Option<LeaderLock>,
    /// A connection URL through the service that applications use: `postgres://user:password@host:port/database`.
    pub url: SecretRef,
    /// The port on which each member's pod address answers.
    #[serde(default = "default_port")]
    pub port: u16,
    /// How the members and the Service are reached from where firedrill runs.
    #[serde(default)]
    pub reach: Reach,
    /// The port on which Patroni's REST API answers at each member's pod address.
    #[serde(default = "default_patroni_port")]
    pub patroni_port: u16,
    /// How processes on a member's node are reached, for `kill-manager` and for `kill-primary` by `crash` and `freeze`.
    pub agent: Option<Box<AgentPlace>>,
}

/// How a cluster's pods and Services are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// At their own addresses: from inside the cluster, or over a network that leads there.
    #[default]
    Direct,
    /// Through the API's port-forward, from outside. `url` names the Service as the cluster does: `name.namespace.svc`.
    PortForward,
}

fn default_port() -> u16 {
    5432
}

fn default_patroni_port() -> u16 {
    8008
}

/// Where and as what the agent of a drill runs: a pod on the primary's node that sees the node's processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AgentPlace {
    /// An image that holds this very program as `firedrill` on its PATH.
    pub image: String,
    /// The namespace of the pod; one of its own that admits pods with the node's process namespace.
    pub namespace: Name,
    /// The service account of the pod, in that namespace.
    pub service_account: Name,
    /// The database's container in its pod; not needed where it is the only one.
    pub container: Option<Name>,
}

/// A PostgreSQL cluster in pods, found by its failover manager or by `namespace`, `members` and `primary`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "PostgresTarget", extend("anyOf" = ways_to_members()))]
struct PostgresYaml {
    /// A cluster that Patroni manages, by its scope: instead of `namespace`, `members` and `primary`, as all managers are.
    patroni: Option<ManagedCluster>,
    /// A Cluster of CloudNativePG.
    cloudnative_pg: Option<ManagedCluster>,
    /// A cluster of Zalando's postgres-operator.
    zalando: Option<ManagedCluster>,
    /// A `PostgresCluster` of Crunchy Data's operator.
    crunchy: Option<ManagedCluster>,
    /// A cluster of Percona's operator.
    percona: Option<ManagedCluster>,
    /// An `SGCluster` of `StackGres`.
    stackgres: Option<ManagedCluster>,
    /// A release of Bitnami's chart postgresql-ha: repmgr.
    repmgr: Option<ManagedCluster>,
    /// The namespace of its pods.
    namespace: Option<Name>,
    /// The label selector of all its members.
    members: Option<String>,
    /// What, among the members, marks the primary: a label selector, `sql: …` or `repmgr: …`.
    primary: Option<PrimaryRule>,
    /// The lock on which its failover manager elects, when it has one: evidence of who gave the role away.
    leader_lock: Option<LeaderLock>,
    /// A connection URL through the service that applications use: `postgres://user:password@host:port/database`.
    url: SecretRef,
    /// The port on which each member's pod address answers.
    #[serde(default = "default_port")]
    port: u16,
    /// How the members and the Service are reached from where firedrill runs.
    #[serde(default)]
    reach: Reach,
    /// The port on which Patroni's REST API answers at each member's pod address.
    #[serde(default = "default_patroni_port")]
    patroni_port: u16,
    /// How processes on a member's node are reached, for `kill-manager` and for `kill-primary` by `crash` and `freeze`.
    agent: Option<Box<AgentPlace>>,
}

/// For editors: one manager and nothing that says the same, or all selectors.
fn ways_to_members() -> serde_json::Value {
    let selectors = ["namespace", "members", "primary"];
    let required = |key: &str| serde_json::json!({ "required": [key] });
    let alone = |word: &'static str| {
        let others = words().chain(selectors).filter(|other| *other != word).map(required);
        serde_json::json!({ "required": [word], "not": { "anyOf": others.collect::<Vec<_>>() } })
    };
    let mut ways: Vec<serde_json::Value> = words().map(alone).collect();
    ways.push(
        serde_json::json!({ "required": selectors, "not": { "anyOf": words().map(required).collect::<Vec<_>>() } }),
    );
    serde_json::Value::Array(ways)
}

impl TryFrom<PostgresYaml> for PostgresTarget {
    type Error = &'static str;

    fn try_from(yaml: PostgresYaml) -> Result<Self, Self::Error> {
        let PostgresYaml { namespace, members, primary, leader_lock, url, port, reach, patroni_port, agent, .. } = yaml;
        let managers = [
            ("patroni", yaml.patroni),
            ("cloudnative-pg", yaml.cloudnative_pg),
            ("zalando", yaml.zalando),
            ("crunchy", yaml.crunchy),
            ("percona", yaml.percona),
            ("stackgres", yaml.stackgres),
            ("repmgr", yaml.repmgr),
        ];
        let mut managers = managers.into_iter().filter_map(|(word, cluster)| Some((Scheme::of(word)?, cluster?)));
        match (managers.next(), managers.next(), namespace, members, primary) {
            (Some((scheme, ManagedCluster { namespace, cluster })), None, None, None, None) => Ok(Self {
                namespace,
                members: scheme.members(&cluster),
                primary: scheme.primary(),
                leader_lock: leader_lock.or_else(|| scheme.leader_lock(&cluster)),
                url,
                port,
                reach,
                patroni_port,
                agent,
            }),
            (None, None, Some(namespace), Some(members), Some(primary)) => {
                Ok(Self { namespace, members, primary, leader_lock, url, port, reach, patroni_port, agent })
            }
            _ => Err("either one failover manager, or `namespace`, `members` and `primary`"),
        }
    }
}

/// Deployments of a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeploymentsTarget {
    /// Their namespace.
    pub namespace: Name,
    /// Which of them.
    pub select: Selection,
}

/// Which objects of a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// Every one.
    All,
    /// These, by name.
    Names(Vec<Name>),
    /// Those that a label selector matches.
    Selector(String),
}

/// A place where backups are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BackupsTarget {
    /// An S3 bucket, or one compatible.
    pub s3: S3,
    /// The target whose data these are: its system identifier must differ from the staging server's, and live counts come from it.
    pub of: Option<Name>,
}

/// An S3 bucket and a prefix in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// Keys begin with this; `postgresql/` for example.
    pub prefix: String,
    /// The region, `us-east-1` by default.
    pub region: Option<String>,
    /// The address of a compatible store; AWS by default.
    pub endpoint: Option<String>,
    /// The access key id; without it the usual AWS environment, profile or web identity.
    pub access_key: Option<SecretRef>,
    /// The secret access key.
    pub secret_key: Option<SecretRef>,
}

/// A place that a backup may be restored into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StagingTarget {
    /// A PostgreSQL that firedrill makes for the drill and destroys afterwards.
    Scratch(ScratchStaging),
    /// A server that is there already; every guard of a restore must agree.
    Server(ServerStaging),
}

/// A throwaway PostgreSQL on the runner's machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScratchStaging {
    /// The directory under which it is made; the runner's state directory by default.
    pub directory: Option<String>,
    /// Where `initdb`, `postgres` and `pg_restore` are; found on PATH and in Debian's places by default.
    pub binaries: Option<String>,
    /// Server settings that make a restore fast and a copy unsafe (fsync off and others). The report says so.
    #[serde(default)]
    pub tuning: Tuning,
}

/// How a scratch server is set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tuning {
    /// PostgreSQL's own defaults: durable.
    #[default]
    Durable,
    /// No fsync, larger memory: faster than production would be.
    Throwaway,
}

/// A server that is there already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServerStaging {
    /// A connection URL to the empty database to restore into.
    pub url: SecretRef,
    /// The setting that marks it as staging, outside the data: `ALTER DATABASE name SET firedrill.staging = 'marker'`.
    pub marker: String,
}

/// A Job for the time of a drill, outside of what it may touch, that brings deployments back when the runner's Lease is not
/// renewed any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeadMan {
    /// Where it runs: never the namespace of a target.
    pub namespace: Name,
    /// The image of this program.
    pub image: String,
    /// Its service account there, to which the namespaces of the targets grant `deploy/roles/dead-man-target.yaml`.
    pub service_account: Name,
    /// How long the Lease may go without being renewed: from 5s to 1h, and longer than a request to the API server may take.
    #[serde(default = "default_after")]
    pub after: Span,
}

fn default_after() -> Span {
    Span::secs(60)
}

/// What must hold before anything is touched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Guards {
    /// How far the best replica may be behind.
    pub lag: Bytes,
    /// How long ago the last failover must be.
    pub cool_down: Span,
}

impl Default for Guards {
    fn default() -> Self {
        Self { lag: Bytes(16 << 20), cool_down: Span::secs(600) }
    }
}
