//! The phase of a primary: keeps the lease, tells commits whom to wait for, steps down in the manner it was told.

use std::{process::ExitCode, time::Duration};

use sqlx::{PgConnection, Row as _};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    agent::{Agent, AgentError, Kept, Phase, Readiness, STATEMENT_WITHIN},
    config::Changing,
    leadership::{Leadership, RENEW_EVERY},
    server::StopMode,
    switches::{AgentReport, AgentRole, Manner, Replication},
};

/// How long an abrupt stop may take before SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// How long an orderly stop may take, with everything sent to the standby.
const ORDERLY_WITHIN: Duration = Duration::from_secs(8);
/// The session was lost: how long a new login may take.
const LOGIN_WITHIN: Duration = Duration::from_secs(1);

/// A standby, as the primary sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Streaming {
    name: String,
    is_synchronous: bool,
}

/// Leads; returns the next phase.
pub(super) async fn lead(agent: &mut Agent, mut kept: Kept, mut leadership: Leadership) -> Result<Phase, AgentError> {
    let mut synchronous: Option<String> = None;
    let begun = leadership.renew(|seat| (seat.initialised, seat.synchronous_standby) = (true, None)).await;
    if begun.is_err() || leadership.during(agent.label(AgentRole::Primary)).await.is_err() {
        return fence(agent, kept).await;
    }
    let mut ticks = interval(RENEW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = agent.terminate.recv() => return step_down(agent, kept, leadership).await,
            ended = kept.running.ended() => {
                tracing::warn!(status = %ended?, "the primary ended by itself");
                return Ok(Phase::Ended(ExitCode::FAILURE));
            }
            _ = ticks.tick() => {}
        }
        let replication = agent.read_switches().replication;
        if leadership.renew(|seat| seat.replication = replication).await.is_err() {
            return fence(agent, kept).await;
        }
        let Some(standby) = look_at_standby(agent, &mut kept).await else {
            agent.set_ready(Readiness::NotReady);
            continue;
        };
        agent.set_ready(Readiness::Ready);
        let wanted = wanted(replication, standby.as_ref());
        if wanted != synchronous {
            // First nobody may be promoted on the old promise, then the promise ends: commits that waited go on.
            if leadership.renew(|seat| seat.synchronous_standby = None).await.is_err() {
                return fence(agent, kept).await;
            }
            agent.settings.server.configure(&Changing { upstream: None, synchronous_standby: wanted.clone() })?;
            kept.running.reload()?;
            synchronous = wanted;
        }
        // The promise is written down only once the server keeps it.
        let confirmed = standby.filter(|standby| standby.is_synchronous).map(|standby| standby.name);
        let confirmed = confirmed.filter(|name| synchronous.as_ref() == Some(name));
        if confirmed != leadership.seat().synchronous_standby
            && leadership.renew(|seat| seat.synchronous_standby = confirmed).await.is_err()
        {
            return fence(agent, kept).await;
        }
        agent.report(AgentReport {
            pod: agent.settings.pod.clone(),
            role: AgentRole::Primary,
            streams_from: None,
            synchronous_standby: leadership.seat().synchronous_standby.clone(),
            switches: agent.switches,
            postmaster_pid: Some(kept.running.pid().as_raw_nonzero().get()),
        });
    }
}

/// The standby that commits should wait for.
fn wanted(replication: Replication, standby: Option<&Streaming>) -> Option<String> {
    match replication {
        Replication::Sync => standby.map(|standby| standby.name.clone()),
        Replication::Async => None,
    }
}

/// The standby that streams, if any; `None` outside when the server did not answer.
async fn look_at_standby(agent: &Agent, kept: &mut Kept) -> Option<Option<Streaming>> {
    if let Ok(Ok(standby)) = timeout(STATEMENT_WITHIN, streaming(&mut kept.session)).await {
        return Some(standby);
    }
    // The session may have been ended by somebody, or is out of step after the deadline: the next turn has a new one.
    let login = agent.settings.server.superuser_login("postgres");
    if let Ok(session) = kept.running.connect(&login, LOGIN_WITHIN.min(STATEMENT_WITHIN)).await {
        kept.session = session;
    }
    None
}

async fn streaming(session: &mut PgConnection) -> sqlx::Result<Option<Streaming>> {
    let row = sqlx::query(
        "SELECT application_name, sync_state IN ('sync', 'quorum') AS is_synchronous FROM pg_stat_replication \
         WHERE state = 'streaming' AND usename = 'replicator' AND application_name <> 'pg_basebackup' \
         ORDER BY application_name LIMIT 1",
    )
    .fetch_optional(session)
    .await?;
    row.map(|row| {
        Ok(Streaming { name: row.try_get("application_name")?, is_synchronous: row.try_get("is_synchronous")? })
    })
    .transpose()
}

/// Another leads or may: nothing may be acknowledged here from now on.
async fn fence(agent: &mut Agent, kept: Kept) -> Result<Phase, AgentError> {
    tracing::warn!("the lease is lost: the server is stopped");
    agent.set_ready(Readiness::NotReady);
    kept.running.stop(StopMode::Immediate, STOP_WITHIN).await?;
    agent.label(AgentRole::Replica).await;
    Ok(Phase::Waiting)
}

/// SIGTERM, in the manner that was chosen.
async fn step_down(agent: &mut Agent, mut kept: Kept, mut leadership: Leadership) -> Result<Phase, AgentError> {
    match agent.read_switches().manner {
        // The lease is left as it is: it must expire, as when a machine dies.
        Manner::Failover | Manner::RestartInPlace => {
            kept.running.stop(StopMode::Immediate, STOP_WITHIN).await?;
        }
        Manner::HandOver => {
            let has_standby = matches!(look_at_standby(agent, &mut kept).await, Some(Some(_)));
            let orderly = async {
                // The stop writes another one, and then has little left to write.
                let _ = sqlx::raw_sql("CHECKPOINT").execute(&mut kept.session).await;
                kept.running.stop(StopMode::Fast, ORDERLY_WITHIN).await
            };
            if let Ok(stopped) = leadership.during(orderly).await {
                stopped?;
                if has_standby && leadership.give_away().await.is_err() {
                    tracing::warn!("the lease could not be given away; it will expire");
                }
            }
        }
    }
    Ok(Phase::Ended(ExitCode::SUCCESS))
}
