//! The phase of a standby: streams from the leader, is held back when told, takes over when the lease falls to it.

use std::{process::ExitCode, time::Duration};

use sqlx::PgConnection;
use tokio::time::{Instant, timeout};

use super::{
    agent::{Agent, AgentError, Kept, LOOK_EVERY, Phase, Readiness, STATEMENT_WITHIN},
    config::{Changing, Upstream},
    election::{Choice, Data, choose},
    leadership::Leadership,
    lease::Held,
    server::{ServerError, StopMode},
    switches::{AgentReport, AgentRole, Replication, Standby},
    wait::upstream_of,
};

/// How long a standby may fail to stream from a living leader before it is made anew: the leader's history may
/// have left ours behind.
const CLONE_AGAIN_AFTER: Duration = Duration::from_secs(4);
/// How long a promotion may take.
const PROMOTE_WITHIN_S: i32 = 30;
/// How long a standby may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Follows; returns the next phase.
pub(super) async fn follow(agent: &mut Agent, mut kept: Kept) -> Result<Phase, AgentError> {
    agent.label(AgentRole::Replica).await;
    let mut upstream: Option<Upstream> = None;
    let mut streaming_at = Instant::now();
    // What it was started with is written anew by the first turn, which asks the lease.
    let mut configured = false;
    loop {
        let switches = agent.read_switches();
        let looked = agent.look().await;
        if let Ok((held, unchanged)) = &looked {
            let wanted = wanted_upstream(agent, held.as_ref(), switches.standby, upstream.as_ref())?;
            if wanted != upstream || !configured {
                agent.settings.server.configure(&Changing { upstream: wanted.clone(), synchronous_standby: None })?;
                kept.running.reload()?;
                (upstream, configured) = (wanted, true);
                streaming_at = Instant::now();
            }
            let choice = choose(&agent.candidate(Data::Standby), held.as_ref().map(|held| &held.seat), *unchanged);
            if choice == Choice::Take
                && let Some(leadership) = promote(agent, &mut kept, held.as_ref()).await?
            {
                return Ok(Phase::Leading(Box::new((kept, leadership))));
            }
        }
        let streams_from = streams_from(&mut kept.session).await;
        agent.set_ready(if streams_from.is_ok() { Readiness::Ready } else { Readiness::NotReady });
        let streams_from = streams_from.unwrap_or_default();
        let leader_lives = looked.is_ok_and(|(held, unchanged)| held.is_some_and(|held| unchanged <= held.seat.ttl));
        if streams_from.is_some() || upstream.is_none() || !leader_lives {
            streaming_at = Instant::now();
        } else if streaming_at.elapsed() > CLONE_AGAIN_AFTER {
            tracing::warn!("the standby cannot follow the leader; it is made anew");
            kept.running.stop(StopMode::Immediate, STOP_WITHIN).await?;
            agent.settings.server.forget_cluster()?;
            return Ok(Phase::Waiting);
        }
        agent.report(AgentReport {
            pod: agent.settings.pod.clone(),
            role: AgentRole::Replica,
            streams_from,
            synchronous_standby: None,
            switches: agent.switches,
            postmaster_pid: Some(kept.running.pid().as_raw_nonzero().get()),
        });
        tokio::select! {
            _ = agent.terminate.recv() => {
                kept.running.stop(StopMode::Fast, STOP_WITHIN).await?;
                return Ok(Phase::Ended(ExitCode::SUCCESS));
            }
            ended = kept.running.ended() => {
                tracing::warn!(status = %ended?, "the standby ended by itself");
                return Ok(Phase::Ended(ExitCode::FAILURE));
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Whom to stream from now.
fn wanted_upstream(
    agent: &Agent,
    held: Option<&Held>,
    standby: Standby,
    current: Option<&Upstream>,
) -> Result<Option<Upstream>, ServerError> {
    match (standby, held) {
        (Standby::Hold, _) => Ok(None),
        (Standby::Follow, Some(held)) if held.seat.last_holder != agent.settings.pod && held.seat.initialised => {
            upstream_of(&agent.settings.server, &held.seat).map(Some)
        }
        (Standby::Follow, _) => Ok(current.cloned()),
    }
}

/// Where the walreceiver streams from at this moment. `Err`: the server did not answer.
async fn streams_from(session: &mut PgConnection) -> Result<Option<String>, ()> {
    let ask = sqlx::query_scalar("SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'")
        .fetch_optional(session);
    match timeout(STATEMENT_WITHIN, ask).await {
        Ok(Ok(host)) => Ok(host),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}

/// Takes the lease and promotes; `None` when somebody else was faster or leads by now.
async fn promote(agent: &mut Agent, kept: &mut Kept, against: Option<&Held>) -> Result<Option<Leadership>, AgentError> {
    let synchronous = match agent.switches.replication {
        // Until it is promoted it stays the only one who may be: an agent that dies here must find its way back.
        Replication::Sync => Some(agent.settings.pod.clone()),
        Replication::Async => None,
    };
    let mut seat = agent.own_seat(true, synchronous);
    if let Some(against) = against {
        seat.replication = against.seat.replication;
    }
    let Ok(mut leadership) = Leadership::take(&agent.lease, seat, against).await else { return Ok(None) };
    let promotion =
        sqlx::query_scalar("SELECT pg_promote(true, $1)").bind(PROMOTE_WITHIN_S).fetch_one(&mut kept.session);
    let promoted: bool = match leadership.during(promotion).await {
        Ok(Ok(promoted)) => promoted,
        Ok(Err(error)) => return Err(ServerError::Sql(error).into()),
        Err(_) => return Ok(None),
    };
    if !promoted {
        tracing::warn!("the promotion did not end in time");
        return Ok(None);
    }
    agent.settings.server.configure(&Changing::default())?;
    kept.running.reload()?;
    Ok(Some(leadership))
}
