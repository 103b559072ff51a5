//! The Lease between the agents: read, taken, renewed, given away; every write carries the version it was read at.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use super::{election::Seat, switches::Replication};

/// The Lease's name.
pub const LEASE: &str = "postgresql-leader";

const RUN: &str = "postgresql.sandbox.firedrill.example/run";
const ADDRESS: &str = "postgresql.sandbox.firedrill.example/address";
const INITIALISED: &str = "postgresql.sandbox.firedrill.example/initialised";
const REPLICATION: &str = "postgresql.sandbox.firedrill.example/replication";
const SYNCHRONOUS: &str = "postgresql.sandbox.firedrill.example/synchronous-standby";
const LAST_HOLDER: &str = "postgresql.sandbox.firedrill.example/last-holder";

/// Why a write to the lease did not happen.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else wrote since it was read.
    #[error("the lease was changed by another")]
    Lost,
    /// The API server did not answer, or refused. A write may have happened.
    #[error("the API server: {0}")]
    Api(String),
}

impl From<kube::Error> for LeaseError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 409 => Self::Lost,
            error => Self::Api(error.to_string()),
        }
    }
}

/// What was read, with the version to write against.
#[derive(Debug, Clone)]
pub struct Held {
    /// What it said.
    pub seat: Seat,
    version: Option<String>,
    transitions: i32,
    acquired: Option<MicroTime>,
}

/// Access to the Lease.
#[derive(Debug, Clone)]
pub struct LeaseClient {
    leases: Api<Lease>,
}

impl LeaseClient {
    /// Access to the Lease in `namespace`.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { leases: Api::namespaced(client, namespace) }
    }

    /// What the Lease says; `None` when there is none.
    pub async fn look(&self) -> Result<Option<Held>, LeaseError> {
        Ok(self.leases.get_opt(LEASE).await?.map(read))
    }

    /// Writes `seat`, against what was read (`None`: creates it). The renewal time is now.
    pub async fn write(&self, seat: Seat, against: Option<&Held>) -> Result<Held, LeaseError> {
        let now = MicroTime(Timestamp::now());
        let changes_hands = against.is_none_or(|before| before.seat.run != seat.run);
        let transitions = against.map_or(0, |before| before.transitions + i32::from(changes_hands));
        let acquired = match against {
            Some(before) if !changes_hands => before.acquired.clone(),
            Some(_) | None => Some(now.clone()),
        };
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(LEASE.to_owned()),
                resource_version: against.and_then(|before| before.version.clone()),
                annotations: Some(annotations(&seat)),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: seat.holder.clone(),
                lease_duration_seconds: i32::try_from(seat.ttl.as_secs().max(1)).ok(),
                acquire_time: acquired,
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams::default();
        let written = match against {
            None => self.leases.create(&params, &lease).await?,
            Some(_) => self.leases.replace(LEASE, &params, &lease).await?,
        };
        Ok(read(written))
    }
}

fn annotations(seat: &Seat) -> BTreeMap<String, String> {
    let replication = match seat.replication {
        Replication::Sync => "sync",
        Replication::Async => "async",
    };
    let mut annotations = BTreeMap::from([
        (RUN.to_owned(), seat.run.clone()),
        (ADDRESS.to_owned(), seat.address.clone()),
        (INITIALISED.to_owned(), seat.initialised.to_string()),
        (REPLICATION.to_owned(), replication.to_owned()),
        (LAST_HOLDER.to_owned(), seat.last_holder.clone()),
    ]);
    if let Some(standby) = &seat.synchronous_standby {
        annotations.insert(SYNCHRONOUS.to_owned(), standby.clone());
    }
    annotations
}

fn read(lease: Lease) -> Held {
    let mut notes = lease.metadata.annotations.unwrap_or_default();
    let spec = lease.spec.unwrap_or_default();
    let mut note = |name: &str| notes.remove(name).unwrap_or_default();
    let seat = Seat {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        run: note(RUN),
        renewed_us: spec.renew_time.map_or(0, |time| time.0.as_microsecond()),
        ttl: Duration::from_secs(u64::try_from(spec.lease_duration_seconds.unwrap_or(1)).unwrap_or(1)),
        address: note(ADDRESS),
        initialised: note(INITIALISED) == "true",
        // Whoever wrote something else promised nothing: then nobody but a confirmed standby may lead.
        replication: if note(REPLICATION) == "async" { Replication::Async } else { Replication::Sync },
        synchronous_standby: Some(note(SYNCHRONOUS)).filter(|name| !name.is_empty()),
        last_holder: note(LAST_HOLDER),
    };
    Held {
        seat,
        version: lease.metadata.resource_version,
        transitions: spec.lease_transitions.unwrap_or(0),
        acquired: spec.acquire_time,
    }
}
