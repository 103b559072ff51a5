//! Looking at a PostgreSQL cluster in pods: what its labels say, what its leader's lock says, and what each member says itself.

use crate::probes::detour::Detour;
use crate::spec::estate::{PostgresTarget, Reach};
use crate::spec::primary_rule::PrimaryRule;
use crate::targets::aim::{Aim, Place};
use crate::targets::cluster::{ClusterError, Reader};
use crate::targets::door::Door;
use crate::targets::leader;
use crate::targets::marks::{self, Claim};
use crate::targets::patroni;
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
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a member may take to say what it is.
const MEMBER_TIMEOUT: Duration = Duration::from_millis(800);
/// How long a connection may take to be made. More than one look: where it takes that long it is there for a later one, and
/// a member is not unknown for ever because everything is slow.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2_400);

/// A connection to a member, from one look to the next.
enum Kept {
    Open(PgConnection),
    /// Still being made, also between two looks; it asks nothing by itself.
    Coming(Coming),
}

/// One task that makes a connection, or says why there is none. It ends with the set.
type Coming = JoinSet<Result<PgConnection, String>>;

/// A PostgreSQL cluster that can be looked at again and again, over connections that it keeps.
pub struct PostgresEyes {
    name: String,
    target: PostgresTarget,
    reader: Reader,
    url: SecretString,
    kept: HashMap<String, Kept>,
    /// With `reach: port-forward`, a door to each member, by its UID.
    doors: HashMap<String, Door>,
    /// The UID of the member whose failover manager is asked too, and the address of its API.
    manager: Option<(String, String)>,
}

impl std::fmt::Debug for PostgresEyes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresEyes({})", self.name)
    }
}

impl PostgresEyes {
    /// Eyes on the target called `name`; `url` is its resolved connection URL.
    pub fn new(name: &str, target: &PostgresTarget, reader: Reader, url: SecretString) -> Self {
        let (name, target) = (name.to_owned(), target.clone());
        Self { name, target, reader, url, kept: HashMap::new(), doors: HashMap::new(), manager: None }
    }

    /// The same, that also see whether the failover manager of one member answers.
    #[must_use]
    pub fn seeing_manager(self, uid: &str, api: &str) -> Self {
        Self { manager: Some((uid.to_owned(), api.to_owned())), ..self }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the cluster's API cannot be asked. A member that cannot be asked is no error: it is part of what is seen.
    pub async fn look(&mut self) -> Result<Sight, ClusterError> {
        let from_ns = crate::clock::now();
        let namespace = self.target.namespace.as_str();
        let pods = self.reader.pods(namespace, &self.target.members).await?;
        let lock = match &self.target.leader_lock {
            None => None,
            Some(lock) => Some(leader::look(&self.reader, namespace, lock).await?),
        };
        let term = lock.as_ref().and_then(|lock| lock.term.clone().map(Box::new));
        let labelled: HashSet<String> = match &self.target.primary {
            PrimaryRule::Label(primary) => {
                let both = format!("{},{primary}", self.target.members);
                let labelled = self.reader.pods(namespace, &both).await?;
                labelled.items.into_iter().filter_map(|p| p.metadata.uid).collect()
            }
            PrimaryRule::Sql(_) | PrimaryRule::Repmgr(_) => HashSet::new(),
        };
        let mut items = pods.items;
        items.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        if self.target.reach == Reach::PortForward {
            self.open_doors(&items).await;
        }
        let asked = items.into_iter().map(|pod| {
            let uid = pod.metadata.uid.as_deref().unwrap_or_default();
            let kept = self.kept.remove(uid);
            let by = match self.target.reach {
                Reach::Direct => Ok(None),
                Reach::PortForward => self.doors.get(uid).map(|d| Some(d.port())).ok_or("no door leads to it"),
            };
            ask_member(pod, kept, by, (&self.url, &self.target))
        });
        let asked = join_all(asked);
        let (answered, manager) = tokio::join!(asked, asked_manager(self.manager.as_ref()));
        let (mut members, mut claims) = (Vec::new(), Vec::new());
        for (mut member, answer) in answered {
            if let Some(connection) = answer.connection {
                self.kept.insert(member.uid.clone(), connection);
            }
            member.labelled_primary = labelled.contains(&member.uid);
            member.manager = manager.as_ref().filter(|(uid, _)| **uid == member.uid).map(|(_, said)| said.clone());
            members.push(member);
            claims.push(answer.claim);
        }
        marks::mark(&mut members, &claims);
        let view = TargetView::Postgres(PostgresView { members, leader: lock.map(|lock| lock.holder), term });
        Ok(Sight { target: self.name.clone(), from_ns, to_ns: crate::clock::now(), view })
    }
}

impl PostgresEyes {
    /// A door to every member that is there, and none to those that are gone.
    async fn open_doors(&mut self, pods: &[Pod]) {
        let uids: HashSet<&str> = pods.iter().filter_map(|p| p.metadata.uid.as_deref()).collect();
        self.doors.retain(|uid, _| uids.contains(uid.as_str()));
        for pod in pods {
            let (Some(uid), Some(name)) = (&pod.metadata.uid, &pod.metadata.name) else { continue };
            if self.doors.contains_key(uid) {
                continue;
            }
            let place = Place {
                namespace: self.target.namespace.to_string(),
                pod: name.clone(),
                uid: uid.clone(),
                port: self.target.port,
            };
            // What is known of the way is not needed here: a member that does not answer is unknown in any case.
            let door = Door::open(self.reader.clone(), Aim::Pod(place), Detour::default()).await;
            match door {
                Ok(door) => drop(self.doors.insert(uid.clone(), door)),
                Err(why) => tracing::debug!(%why, pod = name, "no door could be opened"),
            }
        }
    }
}

/// Whether the failover manager of a member, by its UID, answers.
async fn asked_manager(manager: Option<&(String, String)>) -> Option<(&String, Known<()>)> {
    let (uid, api) = manager?;
    Some((uid, patroni::answers(api).await.map_or_else(Known::Unknown, Known::Known)))
}

/// What came of asking one member's server.
struct Answer {
    said: Known<Server>,
    claim: Claim,
    /// To be asked again the next time.
    connection: Option<Kept>,
}

impl Answer {
    fn nothing(why: impl Into<String>) -> Self {
        Self { said: Known::Unknown(why.into()), claim: Claim::None, connection: None }
    }
}

/// The port on loopback by which a member is reached, where not at its own address; or why it cannot be.
type By = Result<Option<u16>, &'static str>;

async fn ask_member(
    pod: Pod,
    kept: Option<Kept>,
    by: By,
    target: (&SecretString, &PostgresTarget),
) -> (Member, Answer) {
    let status = pod.status.unwrap_or_default();
    let address = status.pod_ip.unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    let answer = match by {
        _ if address.is_empty() => Answer::nothing("the pod has no address"),
        Ok(None) => ask_server(kept, (&address, target.1.port), target).await,
        Ok(Some(port)) => ask_server(kept, ("127.0.0.1", port), target).await,
        Err(why) => Answer::nothing(why),
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
        said: answer.said.clone(),
        manager: None,
    };
    (member, answer)
}

async fn ask_server(
    kept: Option<Kept>,
    address: (&str, u16),
    (url, target): (&SecretString, &PostgresTarget),
) -> Answer {
    let deadline = Instant::now() + MEMBER_TIMEOUT;
    let late = format!("no answer within {} ms", MEMBER_TIMEOUT.as_millis());
    let connecting = match kept {
        Some(Kept::Open(connection)) => Ok(connection),
        Some(Kept::Coming(coming)) => Err(coming),
        None => Err(connect(options(url, address, target))),
    };
    let mut connection = match connecting {
        Ok(connection) => connection,
        Err(mut coming) => match timeout_at(deadline, coming.join_next()).await {
            Ok(Some(Ok(Ok(connection)))) => connection,
            Ok(Some(Ok(Err(why)))) => return Answer::nothing(why),
            Ok(Some(Err(_)) | None) => return Answer::nothing("the connection came to nothing"),
            Err(_) => return Answer { connection: Some(Kept::Coming(coming)), ..Answer::nothing(late) },
        },
    };
    let asked = async {
        let server = ask(&mut connection).await.map_err(|e| brief(&e))?;
        let claim = marks::ask(&mut connection, &target.primary).await?;
        Ok::<_, String>((server, claim))
    };
    match timeout_at(deadline, asked).await {
        Ok(Ok((server, claim))) => {
            Answer { said: Known::Known(server), claim, connection: Some(Kept::Open(connection)) }
        }
        Ok(Err(why)) => Answer::nothing(why),
        // With a question under way it cannot be asked another.
        Err(_) => Answer::nothing(late),
    }
}

/// Begins to connect. What is told of an error is what was said, never how it was asked: the URL holds a password.
fn connect(options: Result<PgConnectOptions, sqlx::Error>) -> Coming {
    let connecting = async move {
        let options = options.map_err(|e| brief(&e))?;
        options.connect().await.map_err(|e| brief(&e))
    };
    let mut coming = Coming::new();
    coming.spawn(async {
        let limited = timeout(CONNECT_TIMEOUT, connecting).await;
        limited.unwrap_or_else(|_| Err(format!("no connection within {} ms", CONNECT_TIMEOUT.as_millis())))
    });
    coming
}

/// As [`member_options`]; repmgr's record is in a database of its own, and everything else can be asked there too.
fn options(
    url: &SecretString,
    (host, port): (&str, u16),
    target: &PostgresTarget,
) -> Result<PgConnectOptions, sqlx::Error> {
    let options = member_options(url, host, port)?;
    Ok(match &target.primary {
        PrimaryRule::Repmgr(database) => options.database(database),
        PrimaryRule::Label(_) | PrimaryRule::Sql(_) => options,
    })
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
    for (_, kept) in eyes.kept {
        let Kept::Open(connection) = kept else { continue };
        // A server that is gone cannot be said goodbye to; its socket is dropped all the same.
        let _ = timeout(Duration::from_millis(200), connection.close()).await;
    }
}
