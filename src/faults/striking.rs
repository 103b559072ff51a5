//! Acting on processes from their node: the agent that is made while all is well, and what it is then told to do. Beside it,
//! what any way of taking a primary away plans.

use crate::faults::arming::{RANK_FAULT, RANK_STAGING};
use crate::faults::helper::Helper;
use crate::faults::whole_cluster::Whole;
use crate::guards::common;
use crate::guards::preflight::Preflight;
use crate::spec::estate::{Estate, Target};
use crate::spec::scalar::Name;
use crate::targets::cluster::{ClusterError, Right};
use crate::targets::helpers;
use crate::targets::scene::Scene;
use firedrill_core::effect::{Agent, Blow, Effect, Kind, ObjectRef, Part, StepId, Victim};
use firedrill_core::event::Refusal;
use firedrill_core::plan::{Heal, Stage, Step};
use firedrill_core::time::{Known, Nanos};

/// What a runner needs in the namespace of its agents.
pub const AGENT_RIGHTS: &[Right] = &[
    Right::to("get", "", "pods"),
    Right::to("create", "", "pods"),
    Right::to("patch", "", "pods"),
    Right::to("delete", "", "pods"),
];

/// How much longer than everything it could wait for an agent's pod may live.
const AGENT_SPARE: Nanos = Nanos::from_secs(600);

/// What a way plans.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) arm: Option<Effect>,
    pub(crate) inject: Effect,
}

impl Way {
    /// Its steps, after the `steps` that are there already, and who heals.
    pub(crate) fn into_steps(self, steps: &mut Vec<Step>) -> Heal {
        steps.extend(self.arm.map(|effect| Step { stage: Stage::Arm, rank: RANK_STAGING, effect }));
        let release = || vec![StepId(u16::try_from(steps.len()).unwrap_or(u16::MAX))];
        let heal = match &self.inject {
            // The server goes on without its manager, and looks whole: only afterwards can it be.
            Effect::Strike { blow, victim: Victim { part: Part::Manager { .. }, .. }, .. } => {
                Heal::Afterwards { release: release(), hold_ns: blow.lasts_ns() }
            }
            Effect::Strike { blow: Blow::HoldDown { .. }, .. } => Heal::Promotion { release: release() },
            _ => Heal::Itself,
        };
        steps.push(Step { stage: Stage::Inject, rank: RANK_FAULT, effect: self.inject });
        heal
    }
}

/// The agent on the node of a target's primary, where the estate says where it may be.
pub(crate) fn agent(estate: &Estate, target: &Name) -> Option<Helper> {
    let Some(Target::Postgres(target)) = estate.targets.get(target) else { return None };
    let place = target.agent.as_ref()?;
    Some(Helper {
        word: "agent",
        namespace: place.namespace.to_string(),
        account: place.service_account.to_string(),
        owner: AGENT_RIGHTS,
        file: "deploy/roles/kill-primary-agent.yaml",
        at: place.namespace.to_string(),
        own: helpers::AGENT,
        own_file: "deploy/roles/kill-primary-agent.yaml",
        meanwhile: &[],
    })
}

/// Plans a blow against processes of the primary's container, by an agent on its node. `None` when something refuses.
///
/// # Errors
/// When the cluster cannot be asked, or the estate names no agent.
pub(crate) async fn strike(
    scene: &Scene,
    preflight: &mut Preflight,
    whole: &Whole<'_>,
    (blow, part): (Blow, Part),
) -> Result<Option<Way>, Refusal> {
    let pod = whole.pod();
    let place = format!("targets.{}.postgres", whole.name);
    let Some(agent) = &whole.target.agent else {
        return Err(Refusal::new(
            format!("the estate names no agent for `{}`: only from its node can processes be reached", whole.name),
            format!("Add `agent: {{ image, namespace, service-account }}` to {}.", scene.place(&place)),
        ));
    };
    let unseen = |e: ClusterError| common::unseen(&e);
    let reader = scene.reader()?;
    common::permissions(reader, preflight, agent.namespace.as_str(), AGENT_RIGHTS).await.map_err(unseen)?;
    let Some(found) = reader.pod(&pod.namespace, &pod.name).await.map_err(unseen)? else {
        return Err(Refusal::new(format!("{pod} is gone"), "See what happened, and start again."));
    };
    let node = found.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap_or_default();
    let named: Vec<String> = found.spec.iter().flat_map(|s| &s.containers).map(|c| c.name.clone()).collect();
    let container = match &agent.container {
        Some(name) => named.iter().find(|n| *n == name.as_str()),
        None => Some(&named[0]).filter(|_| named.len() == 1),
    };
    preflight.require(
        "the database's container",
        agent.container.as_ref().map_or_else(|| "the only one of its pod".to_owned(), ToString::to_string),
        named.join(", "),
        Known::Known(container.is_some()),
        format!("Name it: `agent.container` in {}.", scene.place(&place)),
    );
    let statuses = found.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    let running = statuses.into_iter().find(|s| Some(&s.name) == container).and_then(|s| s.container_id.clone());
    let (Some(container), Some(container_id)) = (container, running) else { return Ok(None) };
    let victim = Victim { pod, container: container.clone(), container_id, part };
    let made = ObjectRef {
        kind: Kind::Pod,
        namespace: agent.namespace.to_string(),
        name: format!("firedrill-agent-{}", scene.drill),
        uid: None,
    };
    let baseline = scene.loaded.experiment.baseline.r#for.0;
    let lifetime = AGENT_SPARE.0.saturating_add(2 * baseline.0).saturating_add(blow.lasts_ns().0);
    let arm = Agent {
        pod: made.clone(),
        node,
        image: agent.image.clone(),
        service_account: agent.service_account.to_string(),
        victim: victim.clone(),
        blow,
        lifetime_s: u32::try_from(lifetime.div_ceil(1_000_000_000)).unwrap_or(u32::MAX),
    };
    Ok(Some(Way { arm: Some(Effect::Agent(Box::new(arm))), inject: Effect::Strike { agent: made, victim, blow } }))
}
