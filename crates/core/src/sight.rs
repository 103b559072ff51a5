//! What was seen at the targets: read-only looks, recorded when they change, from which landing, redundancy and what
//! happened are judged.

use crate::time::{Known, Mono};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// One look at a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sight {
    /// The target's name in the estate.
    pub target: String,
    /// When the look began …
    pub from_ns: Mono,
    /// … and when it was complete. What it says held at some moment between.
    pub to_ns: Mono,
    /// What was seen.
    pub view: TargetView,
}

/// What was seen of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetView {
    /// A PostgreSQL cluster.
    Postgres(PostgresView),
    /// Deployments.
    Deployments(DeploymentsView),
}

/// What was seen of a PostgreSQL cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostgresView {
    /// Its member pods, by name.
    pub members: Vec<Member>,
    /// Who holds the failover manager's lock, when the estate names one; empty text when it was given up.
    pub leader: Option<Known<String>>,
    /// How long the holder has it, where the lock says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<Box<Term>>,
}

/// How long a lock is its holder's: nobody else takes it sooner, unless the holder gives it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Term {
    /// When the holder says that it renewed it, as text: another value is another renewal.
    pub renewed: String,
    /// How long it lasts from there, seconds.
    pub lasts_s: u32,
}

/// One member pod of a PostgreSQL cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The pod's address; empty before it has one.
    pub address: String,
    /// Whether the label says that it is the primary.
    pub labelled_primary: bool,
    /// Whether the pod is ready.
    pub ready: bool,
    /// Whether the pod is being deleted.
    pub terminating: bool,
    /// How often its containers were restarted in place.
    pub restarts: u32,
    /// The container's start time as the kubelet tells it, for what was restarted when.
    pub container_id: Option<String>,
    /// What it said of itself over SQL, or why it could not be asked.
    pub said: Known<Server>,
    /// That its failover manager answers, or why that is not known; nothing where it is not asked.
    #[serde(default)]
    pub manager: Option<Known<()>>,
}

/// What a PostgreSQL server says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    /// `pg_is_in_recovery()`: true on a standby.
    pub in_recovery: bool,
    /// The cluster's system identifier, as text.
    pub system_identifier: String,
    /// Its timeline.
    pub timeline: u32,
    /// Its write or replay position, bytes.
    pub lsn: u64,
    /// When the postmaster started, as text: another value is another process.
    pub started: String,
    /// On a primary: the standbys streaming from it, by `application_name`.
    pub standbys: Vec<Standby>,
    /// On a standby: whether its WAL receiver is streaming.
    pub receiving: bool,
}

impl Server {
    /// Its position in the log as PostgreSQL writes it (`0/3000060`).
    pub fn position(&self) -> String {
        format!("{:X}/{:X}", self.lsn >> 32, self.lsn & 0xFFFF_FFFF)
    }
}

/// A standby as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standby {
    /// Its `application_name`.
    pub name: String,
    /// `streaming`, `catchup`, …
    pub state: String,
    /// `sync`, `async`, `quorum`, `potential`.
    pub sync_state: String,
    /// How far its replay is behind the primary's position, bytes.
    pub lag_bytes: u64,
}

impl PostgresView {
    /// The members that say over SQL that they are primaries.
    pub fn primaries(&self) -> impl Iterator<Item = (&Member, &Server)> {
        self.members.iter().filter_map(|m| m.said.known().filter(|s| !s.in_recovery).map(|s| (m, s)))
    }

    /// The one primary by label and by SQL, when there is exactly one of each and they agree.
    pub fn primary(&self) -> Option<(&Member, &Server)> {
        let mut by_sql = self.primaries();
        let (member, server) = by_sql.next()?;
        let labelled = self.members.iter().filter(|m| m.labelled_primary).count();
        (by_sql.next().is_none() && member.labelled_primary && labelled == 1).then_some((member, server))
    }

    /// Redundancy: one primary by label and SQL, `members` of them in all, every one ready, every other one streaming.
    pub fn redundant(&self, members: usize) -> bool {
        let Some((primary, server)) = self.primary() else { return false };
        let others = self.members.iter().filter(|m| m.pod != primary.pod);
        self.members.len() >= members
            && self.members.iter().all(|m| m.ready && !m.terminating)
            && others.clone().all(|m| m.said.known().is_some_and(|s| s.in_recovery && s.receiving))
            && server.standbys.iter().filter(|s| s.state == "streaming").count() >= others.count()
    }
}

/// What was seen of deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentsView {
    /// By name. Looks share what has not changed from one to the next: there may be hundreds of deployments, and many looks.
    #[serde(serialize_with = "each", deserialize_with = "all")]
    #[schemars(with = "Vec<DeploymentView>")]
    pub deployments: Vec<Arc<DeploymentView>>,
}

impl DeploymentsView {
    /// What was seen of the deployment of a name.
    pub fn of(&self, name: &str) -> Option<&DeploymentView> {
        let sorted =
            self.deployments.binary_search_by(|d| d.name.as_str().cmp(name)).ok().map(|at| &self.deployments[at]);
        // Whoever wrote it may have had them in another order.
        sorted.or_else(|| self.deployments.iter().find(|d| d.name == name)).map(AsRef::as_ref)
    }
}

fn each<S: Serializer>(views: &[Arc<DeploymentView>], into: S) -> Result<S::Ok, S::Error> {
    into.collect_seq(views.iter().map(AsRef::as_ref))
}

fn all<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Arc<DeploymentView>>, D::Error> {
    Ok(Vec::<DeploymentView>::deserialize(from)?.into_iter().map(Arc::new).collect())
}

/// What was seen of one Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentView {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The count that is wanted.
    pub replicas: i32,
    /// How many pods exist, ready or not. Once none is meant to, those that are still going count too.
    pub existing: i32,
    /// How many are ready.
    pub ready: i32,
    /// Whether its status speaks of its newest specification.
    pub observed: bool,
    /// The drill whose annotation it carries.
    pub drill: Option<String>,
    /// What keeps its pods from being there and ready, as far as the cluster says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl DeploymentView {
    /// No pod of it serves.
    pub fn down(&self) -> bool {
        self.replicas == 0 && self.observed && self.ready == 0 && self.existing == 0
    }

    /// As many pods as wanted are ready.
    pub fn up(&self) -> bool {
        self.replicas > 0 && self.observed && self.ready >= self.replicas
    }
}

impl TargetView {
    /// Whether two looks say the same but for positions that always move (LSN, lag): then the second is not recorded.
    pub fn same_but_for_positions(&self, other: &Self) -> bool {
        fn still(view: &PostgresView) -> PostgresView {
            let mut view = view.clone();
            for member in &mut view.members {
                if let Known::Known(server) = &mut member.said {
                    server.lsn = 0;
                    server.standbys.iter_mut().for_each(|s| s.lag_bytes = 0);
                }
            }
            view
        }
        match (self, other) {
            (Self::Postgres(one), Self::Postgres(two)) => still(one) == still(two),
            (one, two) => one == two,
        }
    }
}
