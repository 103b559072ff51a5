//! Looking at a PostgreSQL cluster in pods: what its labels say, what its Lease says, and what each member says itself.

use crate::spec::estate::PostgresTarget;
use crate::targets::cluster::{ClusterError, Reader};
use firedrill_core::sight::{Member, PostgresView, Server, Sight, Standby, TargetView};
use firedrill_core::time::Known;
use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};
use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::time::Duration;

/// How long a member may take to say what it is.
const MEMBER_TIMEOUT: Duration = Duration::from_millis(800);

/// A PostgreSQL cluster that can be looked at again and again, over connections that it keeps.
pub struct PostgresEyes {
    name: String,
    target: PostgresTarget,
    reader: Reader,
    url: SecretString,
    kept: HashMap<String, PgConnection>,
}

impl std::fmt::Debug for PostgresEyes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresEyes({})", self.name)
    }
}

impl PostgresEyes {
    /// Eyes on the target called `name`; `url` is its resolved connection URL.
    pub fn new(name: &str, target: &PostgresTarget, reader: Reader, url: SecretString) -> Self {
        Self { name: name.to_owned(), target: target.clone(), reader, url, kept: HashMap::new() }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the cluster's API cannot be asked. A member that cannot be asked is no error: it is part of what is seen.
    pub async fn look(&mut self) -> Result<Sight, ClusterError> {
        let from_ns = crate::clock::now();
        let namespace = self.target.namespace.as_str();
        let pods = self.reader.pods(namespace, &self.target.members).await?;
        let leader = match &self.target.leader_lease {
            None => None,
            Some(lease) => Some(match self.reader.lease(namespace, lease.as_str()).await? {
                Some(found) => Known::Known(found.spec.and_then(|s| s.holder_identity).unwrap_or_default()),
                None => Known::Unknown(format!("the Lease {lease} is not there")),
            }),
        };
        let both = format!("{},{}", self.target.members, self.target.primary);
        let labelled = self.reader.pods(namespace, &both).await?;
        let labelled: HashSet<String> = labelled.items.into_iter().filter_map(|p| p.metadata.uid).collect();
        let asked = pods.items.into_iter().map(|pod| {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let kept = self.kept.remove(&uid);
            let labelled = labelled.contains(&uid);
            let (url, port) = (&self.url, self.target.port);
            async move {
                let (mut member, connection) = ask_member(pod, kept, url, port).await;
                member.labelled_primary = labelled;
                (member, connection)
            }
        });
        let mut members = Vec::new();
        for (member, connection) in join_all(asked).await {
            if let Some(connection) = connection {
                self.kept.insert(member.uid.clone(), connection);
            }
            members.push(member);
        }
        members.sort_by(|a, b| a.pod.cmp(&b.pod));
        let view = TargetView::Postgres(PostgresView { members, leader });
        Ok(Sight { target: self.name.clone(), from_ns, to_ns: crate::clock::now(), view })
    }
}

async fn ask_member(
    pod: Pod,
    kept: Option<PgConnection>,
    url: &SecretString,
    port: u16,
) -> (Member, Option<PgConnection>) {
    let status = pod.status.unwrap_or_default();
    let address = status.pod_ip.unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    let (said, connection) = if address.is_empty() {
        (Known::Unknown("the pod has no address".to_owned()), None)
    } else {
        ask_server(kept, url, &address, port).await
    };
    let member = Member {
        pod: pod.metadata.name.unwrap_or_default(),
        uid: pod.metadata.uid.unwrap_or_default(),
        address,
        labelled_primary: false,
        ready,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        restarts: containers.iter().map(|c| u32::try_from(c.restart_count).unwrap_or(0)).sum(),
        container_id: containers.first().and_then(|c| c.container_id.clone()),
        said,
    };
    (member, connection)
}

async fn ask_server(
    kept: Option<PgConnection>,
    url: &SecretString,
    address: &str,
    port: u16,
) -> (Known<Server>, Option<PgConnection>) {
    let asked = async {
        let mut connection = match kept {
            Some(connection) => connection,
            None => member_options(url, address, port)?.connect().await?,
        };
        let server = ask(&mut connection).await?;
        Ok::<_, sqlx::Error>((server, connection))
    };
    match tokio::time::timeout(MEMBER_TIMEOUT, asked).await {
        Ok(Ok((server, connection))) => (Known::Known(server), Some(connection)),
        // What it said, never how it was asked: the URL holds a password.
        Ok(Err(e)) => (Known::Unknown(brief(&e)), None),
        Err(_) => (Known::Unknown(format!("no answer within {} ms", MEMBER_TIMEOUT.as_millis())), None),
    }
}

/// The connection options of one member: those of the service, at the member's own address.
///
/// # Errors
/// When the URL cannot be read.
pub fn member_options(url: &SecretString, address: &str, port: u16) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(PgConnectOptions::from_str(url.expose_secret())?
        .host(address)
        .port(port)
        .application_name("firedrill")
        .disable_statement_logging())
}

/// A database error in a few words, without anything of the connection string.
pub fn brief(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(e) => e.message().to_owned(),
        sqlx::Error::Io(e) => e.to_string(),
        sqlx::Error::Configuration(_) => "the connection URL cannot be read".to_owned(),
        other => other.to_string(),
    }
}

const ASK: &str = "
select pg_is_in_recovery(),
       (select system_identifier::text from pg_control_system()),
       case when pg_is_in_recovery()
            then coalesce((select received_tli from pg_stat_wal_receiver), (select timeline_id from pg_control_checkpoint()))
            else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end,
       (case when pg_is_in_recovery() then coalesce(pg_last_wal_replay_lsn(), '0/0') else pg_current_wal_lsn() end - '0/0'::pg_lsn)::bigint,
       pg_postmaster_start_time()::text,
       exists (select from pg_stat_wal_receiver where status = 'streaming')";

const STANDBYS: &str = "
select coalesce(application_name, ''), coalesce(state, ''), coalesce(sync_state, ''),
       greatest(coalesce(pg_current_wal_lsn() - replay_lsn, 0), 0)::bigint
from pg_stat_replication order by 1";

async fn ask(connection: &mut PgConnection) -> Result<Server, sqlx::Error> {
    let row = sqlx::query(ASK).fetch_one(&mut *connection).await?;
    let in_recovery: bool = row.try_get(0)?;
    let standbys = if in_recovery {
        Vec::new()
    } else {
        let rows = sqlx::query(STANDBYS).fetch_all(&mut *connection).await?;
        let standby = |r: sqlx::postgres::PgRow| {
            Ok(Standby {
                name: r.try_get(0)?,
                state: r.try_get(1)?,
                sync_state: r.try_get(2)?,
                lag_bytes: u64::try_from(r.try_get::<i64, _>(3)?).unwrap_or(0),
            })
        };
        rows.into_iter().map(standby).collect::<Result<Vec<_>, sqlx::Error>>()?
    };
    Ok(Server {
        in_recovery,
        system_identifier: row.try_get(1)?,
        timeline: u32::try_from(row.try_get::<i32, _>(2)?).unwrap_or(0),
        lsn: u64::try_from(row.try_get::<i64, _>(3)?).unwrap_or(0),
        started: row.try_get(4)?,
        standbys,
        receiving: row.try_get(5)?,
    })
}

/// Closes what is kept, politely.
pub async fn close(eyes: PostgresEyes) {
    for (_, connection) in eyes.kept {
        // A server that is gone cannot be said goodbye to; its socket is dropped all the same.
        let _ = tokio::time::timeout(Duration::from_millis(200), connection.close()).await;
    }
}
