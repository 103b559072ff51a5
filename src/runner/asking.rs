//! What the probes of a drill ask, with everything resolved that asking needs: where each of them connects to, and which
//! numbers its rows have.

use crate::probes::ProbeSpec;
use crate::probes::config::{ProbeConfig, ProbeError};
use crate::probes::ledger::At;
use crate::spec::scalar::Name;
use crate::targets::cluster::ClusterError;
use crate::targets::route::{Route, RouteError};
use crate::targets::scene::Scene;
use firedrill_core::event::Refusal;
use firedrill_core::plan::Plan;
use secrecy::SecretString;
use uuid::Uuid;

/// Why probes cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unasked {
    /// One of them is wrong.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The member that one of them writes to cannot be looked for.
    #[error("probe `{probe}`: its member cannot be looked for: {source}")]
    Member {
        /// The probe.
        probe: Name,
        /// Why not.
        source: ClusterError,
    },
    /// The URL of its target cannot be led to the member.
    #[error("probe `{probe}`: {source}")]
    Route {
        /// The probe.
        probe: Name,
        /// Why not.
        source: RouteError,
    },
    /// It has no target that could be asked.
    #[error("probe `{probe}`: {}", .why.why)]
    NoTarget {
        /// The probe.
        probe: Name,
        /// Why not.
        why: Refusal,
    },
}

/// The probes of the experiment. Each epoch numbers its ledger streams apart, so that no token is written twice. A probe that
/// holds on to a member that is gone is left out: nobody can.
///
/// # Errors
/// Why one of them cannot be started.
pub(crate) async fn configs(scene: &Scene, plan: &Plan, epoch: u64) -> Result<Vec<ProbeConfig>, Unasked> {
    let experiment = &scene.loaded.experiment;
    let drill = Uuid::parse_str(&scene.drill).expect("a drill's id is a UUID");
    let mut configs = Vec::new();
    for name in &experiment.probes {
        let Some(spec) = scene.loaded.estate.probes.get(name) else { continue };
        let at_member = match spec {
            ProbeSpec::Ledger(ledger) if ledger.at == At::Member => {
                let Some(url) = member_url(scene, plan, name, &ledger.target).await? else { continue };
                Some(url)
            }
            _ => None,
        };
        let url_of = |target: &Name| at_member.clone().or_else(|| scene.url(target).cloned());
        let mut config = ProbeConfig::resolve(name, spec, url_of, drill, first_stream(epoch))?;
        config.excluded = experiment.exclude.get(name).cloned();
        config.detour = spec.target().and_then(|target| scene.detour(target));
        configs.push(config);
    }
    Ok(configs)
}

/// The URL of the member that the plan takes, at its own address; `None` when that pod is not there.
async fn member_url(scene: &Scene, plan: &Plan, probe: &Name, target: &Name) -> Result<Option<SecretString>, Unasked> {
    let unable = |why| Unasked::NoTarget { probe: probe.clone(), why };
    let (postgres, url) = scene.postgres(target).map_err(unable)?;
    let Some(taken) = plan.steps.iter().find_map(|s| s.effect.takes()) else { return Ok(None) };
    let pods = scene.reader().map_err(unable)?.pods(&taken.namespace, &postgres.members).await;
    let pods = pods.map_err(|source| Unasked::Member { probe: probe.clone(), source })?;
    let pod = pods.items.into_iter().find(|p| p.metadata.uid == taken.uid);
    let Some(address) = pod.and_then(|p| p.status?.pod_ip?.parse().ok()) else {
        tracing::warn!(%probe, member = taken.name, "it is gone, so nobody writes to it");
        return Ok(None);
    };
    let at = Route::at(url, address, postgres.port);
    at.map(Some).map_err(|source| Unasked::Route { probe: probe.clone(), source })
}

/// The number of the first ledger stream of an epoch.
pub(crate) fn first_stream(epoch: u64) -> u32 {
    u32::try_from(epoch.saturating_mul(1000)).unwrap_or(u32::MAX / 2)
}
