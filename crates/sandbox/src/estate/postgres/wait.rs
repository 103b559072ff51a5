//! The phase in which no server runs: until there is a leader to follow, or the lease is ours.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use super::{
    agent::{Agent, AgentError, Kept, LOOK_EVERY, Phase, Readiness},
    clone::clone_from,
    config::{Changing, Upstream},
    election::{Choice, Data, Seat, choose},
    leadership::Leadership,
    lease::Held,
    server::{Server, ServerError},
    switches::{AgentReport, AgentRole},
};
use crate::estate::{catalogue, credentials::Credentials};

/// How long a server may take to answer after its start, crash recovery included.
pub(super) const START_WITHIN: Duration = Duration::from_secs(30);

/// Waits; returns the next phase.
pub(super) async fn wait(agent: &mut Agent) -> Result<Phase, AgentError> {
    agent.set_ready(Readiness::NotReady);
    agent.report(AgentReport {
        pod: agent.settings.pod.clone(),
        role: AgentRole::Waiting,
        streams_from: None,
        synchronous_standby: None,
        switches: agent.switches,
        postmaster_pid: None,
    });
    let server = agent.settings.server.clone();
    server.make_volume()?;
    server.write_replication_password(&agent.settings.credentials.replicator)?;
    loop {
        agent.read_switches();
        let data = data_of(&server);
        if data == Data::Standby {
            return Ok(Phase::Following(Box::new(start_standby(&server, None).await?)));
        }
        match agent.look().await {
            Err(why) => tracing::debug!(why, "the lease could not be read"),
            Ok((held, unchanged)) => {
                let choice = choose(&agent.candidate(data), held.as_ref().map(|held| &held.seat), unchanged);
                match (choice, &held) {
                    (Choice::Take, _) => {
                        if let Some(phase) = take(agent, &server, data, held.as_ref()).await? {
                            return Ok(phase);
                        }
                    }
                    (Choice::Follow, Some(held)) => match join(&server, &held.seat).await {
                        Ok(kept) => return Ok(Phase::Following(Box::new(kept))),
                        // The leader may have died meanwhile: look again.
                        Err(error) => tracing::warn!(%error, "the leader could not be joined"),
                    },
                    (Choice::Follow | Choice::Wait, _) => {}
                }
            }
        }
        tokio::select! {
            _ = agent.terminate.recv() => return Ok(Phase::Ended(ExitCode::SUCCESS)),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn data_of(server: &Server) -> Data {
    match (server.is_made(), server.is_standby()) {
        (false, _) => Data::None,
        (true, true) => Data::Standby,
        (true, false) => Data::Primary,
    }
}

/// Takes the lease and starts a primary; `None` when somebody else was faster.
async fn take(
    agent: &mut Agent,
    server: &Server,
    data: Data,
    against: Option<&Held>,
) -> Result<Option<Phase>, AgentError> {
    let was_initialised = against.is_some_and(|held| held.seat.initialised);
    let seat = agent.own_seat(was_initialised, None);
    let Ok(mut leadership) = Leadership::take(&agent.lease, seat, against).await else { return Ok(None) };
    let work = async {
        if was_initialised && data == Data::Primary {
            start_primary(server).await
        } else {
            found(server, &agent.settings.credentials).await
        }
    };
    let Ok(started) = leadership.during(work).await else { return Ok(None) };
    let kept = started?;
    Ok(Some(Phase::Leading(Box::new((kept, leadership)))))
}

/// Makes the cluster, its roles, schema and seed data.
async fn found(server: &Server, credentials: &Credentials) -> Result<Kept, ServerError> {
    server.make_cluster().await?;
    let mut kept = start_primary(server).await?;
    catalogue::create_roles(&mut kept.session, credentials).await?;
    let mut shop = kept.running.connect(&server.superuser_login(catalogue::DATABASE), START_WITHIN).await?;
    catalogue::create_schema(&mut shop).await?;
    Ok(kept)
}

async fn start_primary(server: &Server) -> Result<Kept, ServerError> {
    start(server, &Changing::default()).await
}

/// Starts a standby on the data that is there.
async fn start_standby(server: &Server, upstream: Option<Upstream>) -> Result<Kept, ServerError> {
    start(server, &Changing { upstream, synchronous_standby: None }).await
}

async fn start(server: &Server, changing: &Changing) -> Result<Kept, ServerError> {
    server.configure(changing)?;
    let mut running = server.start()?;
    let session = running.connect(&server.superuser_login("postgres"), START_WITHIN).await?;
    Ok(Kept { running, session })
}

/// Copies the leader and starts as its standby.
async fn join(server: &Server, leader: &Seat) -> Result<Kept, ServerError> {
    let upstream = upstream_of(server, leader)?;
    clone_from(server, &upstream).await?;
    start_standby(server, Some(upstream)).await
}

/// The leader, as somebody to stream from.
pub(super) fn upstream_of(server: &Server, leader: &Seat) -> Result<Upstream, ServerError> {
    let address: SocketAddr = leader.address.parse().map_err(|error| ServerError::Io {
        what: format!("the leader's address `{}`", leader.address),
        source: std::io::Error::other(error),
    })?;
    Ok(Upstream { address: address.ip(), port: address.port(), passfile: server.passfile() })
}
