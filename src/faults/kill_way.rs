//! The ways of killing a primary: what each asks of preflight, which steps it plans, and when it is to be seen.

use crate::faults::arming::{RANK_FAULT, RANK_STAGING};
use crate::faults::helper::Helper;
use crate::faults::kill_primary::{HoldDown, KillBy, KillPrimary};
use crate::guards::common;
use crate::guards::preflight::Preflight;
use crate::spec::estate::{AgentPlace, Estate, PostgresTarget, Target};
use crate::targets::cluster::{ClusterError, Right};
use crate::targets::helpers;
use crate::targets::patroni;
use crate::targets::scene::Scene;
use firedrill_core::drill::Landing;
use firedrill_core::effect::{Agent, Blow, Effect, Kind, ObjectRef, StepId, Victim};
use firedrill_core::event::Refusal;
use firedrill_core::plan::{Heal, Plan, Stage, Step};
use firedrill_core::sight::{Member, PostgresView, Sight, TargetView};
use firedrill_core::time::{Known, Mono, Nanos};

const GET: Right = Right::to("get", "", "pods");
const LIST: Right = Right::to("list", "", "pods");
const PATCH: Right = Right::to("patch", "", "pods");
const DELETE: Right = Right::to("delete", "", "pods");
const EVICT: Right = Right::to("create", "", "pods/eviction");

/// What all of the ways together need in the namespace of the cluster.
pub(crate) const RIGHTS: &[Right] = &[GET, LIST, DELETE, PATCH, EVICT];
/// What a runner needs in the namespace of its agents.
pub const AGENT_RIGHTS: &[Right] = &[GET, Right::to("create", "", "pods"), PATCH, DELETE];

/// How much longer than everything it could wait for an agent's pod may live.
const AGENT_SPARE: Nanos = Nanos::from_secs(600);

impl KillBy {
    /// What the way needs in the namespace of the cluster.
    pub(crate) fn rights(self) -> &'static [Right] {
        match self {
            Self::DeletePod => &[GET, LIST, DELETE, PATCH],
            Self::Evict => &[GET, LIST, EVICT, PATCH],
            Self::Switchover => &[LIST],
            Self::Crash | Self::Freeze => &[GET, LIST],
        }
    }

    /// What the namespace's annotation must hold besides the fault's own word.
    pub(crate) fn opt_in(self) -> Option<&'static str> {
        match self {
            Self::DeletePod | Self::Evict | Self::Switchover => None,
            Self::Crash => Some("kill-primary/crash"),
            Self::Freeze => Some("kill-primary/freeze"),
        }
    }
}

/// What a way plans.
pub(crate) struct Way {
    pub(crate) arm: Option<Effect>,
    pub(crate) inject: Effect,
}

impl Way {
    /// Its steps, after the `steps` that are there already, and who heals.
    pub(crate) fn into_steps(self, steps: &mut Vec<Step>) -> Heal {
        steps.extend(self.arm.map(|effect| Step { stage: Stage::Arm, rank: RANK_STAGING, effect }));
        let heal = match &self.inject {
            Effect::Strike { blow: Blow::HoldDown { .. }, .. } => {
                Heal::Promotion { release: vec![StepId(u16::try_from(steps.len()).unwrap_or(u16::MAX))] }
            }
            _ => Heal::Itself,
        };
        steps.push(Step { stage: Stage::Inject, rank: RANK_FAULT, effect: self.inject });
        heal
    }
}

impl KillPrimary {
    /// The agent on the primary's node, where the way needs one and the estate says where it may be.
    pub(crate) fn agent(&self, estate: &Estate) -> Option<Helper> {
        let Some(Target::Postgres(target)) = estate.targets.get(&self.target) else { return None };
        let place = target.agent.as_ref().filter(|_| matches!(self.by, KillBy::Crash | KillBy::Freeze))?;
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

    /// Checks what only this way needs, and plans it. `None` when something refuses.
    pub(crate) async fn way(
        &self,
        scene: &Scene,
        preflight: &mut Preflight,
        target: &PostgresTarget,
        primary: &Member,
    ) -> Result<Option<Way>, Refusal> {
        let pod = ObjectRef {
            kind: Kind::Pod,
            namespace: target.namespace.to_string(),
            name: primary.pod.clone(),
            uid: Some(primary.uid.clone()),
        };
        let grace_s = self.grace.map(|g| u32::try_from(g.duration().as_secs()).unwrap_or(u32::MAX));
        let only = |inject| Ok(Some(Way { arm: None, inject }));
        match self.by {
            KillBy::DeletePod => only(Effect::Delete { pod, grace_s }),
            KillBy::Evict => only(Effect::Evict { pod, grace_s }),
            KillBy::Switchover => Ok(switchover(preflight, target, pod, &primary.address).await),
            KillBy::Crash | KillBy::Freeze => self.strike(scene, preflight, target, pod).await,
        }
    }

    fn blow(&self) -> Blow {
        match (self.by, self.hold_down) {
            (KillBy::Freeze, _) => Blow::Freeze { for_ns: self.r#for.unwrap_or(KillPrimary::LASTS).0 },
            (_, Some(HoldDown::UntilPromoted)) => {
                Blow::HoldDown { at_most_ns: self.at_most.unwrap_or(KillPrimary::LASTS).0 }
            }
            _ => Blow::Crash,
        }
    }

    async fn strike(
        &self,
        scene: &Scene,
        preflight: &mut Preflight,
        target: &PostgresTarget,
        pod: ObjectRef,
    ) -> Result<Option<Way>, Refusal> {
        let place = format!("targets.{}.postgres", self.target);
        let Some(agent) = &target.agent else {
            return Err(Refusal::new(
                format!(
                    "the estate names no agent for `{}`: only from its node can a container be killed as a crash kills it",
                    self.target
                ),
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
        let victim = Victim { pod, container: container.clone(), container_id };
        Ok(Some(self.armed(scene, agent, node, victim)))
    }

    fn armed(&self, scene: &Scene, place: &AgentPlace, node: String, victim: Victim) -> Way {
        let blow = self.blow();
        let agent = ObjectRef {
            kind: Kind::Pod,
            namespace: place.namespace.to_string(),
            name: format!("firedrill-agent-{}", scene.drill),
            uid: None,
        };
        let baseline = scene.loaded.experiment.baseline.r#for.0;
        let lifetime = AGENT_SPARE.0.saturating_add(2 * baseline.0).saturating_add(blow.lasts_ns().0);
        let pod = Agent {
            pod: agent.clone(),
            node,
            image: place.image.clone(),
            service_account: place.service_account.to_string(),
            victim: victim.clone(),
            blow,
            lifetime_s: u32::try_from(lifetime.div_ceil(1_000_000_000)).unwrap_or(u32::MAX),
        };
        Way { arm: Some(Effect::Agent(Box::new(pod))), inject: Effect::Strike { agent, victim, blow } }
    }
}

/// Patroni itself must say that this member leads, and that another one could.
async fn switchover(preflight: &mut Preflight, target: &PostgresTarget, pod: ObjectRef, address: &str) -> Option<Way> {
    let api = patroni::api_of(address, target.patroni_port);
    let view = match patroni::cluster(&api).await {
        Ok(view) => view,
        Err(why) => {
            let help =
                "A switchover is asked of Patroni's REST API; see `patroni-port`, and that this runner reaches it.";
            preflight.require("Patroni's REST API", "it answers", why.clone(), Known::Unknown(why), help);
            return None;
        }
    };
    let leader = view.leader().map(|l| l.name.clone());
    let shown = leader.clone().unwrap_or_else(|| "not exactly one".to_owned());
    let help = "Patroni and the labels disagree, or its members have names of their own. See `patronictl list`.";
    preflight.require("Patroni's leader", &pod.name, shown, Known::Known(leader.as_ref() == Some(&pod.name)), help);
    let fit = view.members.iter().filter(|m| Some(&m.name) != leader.as_ref());
    let fit = fit.filter(|m| matches!(m.state.as_str(), "running" | "streaming")).count();
    let help = "Patroni hands over to nobody else. See `patronictl list`.";
    preflight.require("members to hand over to", "at least one", fit.to_string(), Known::Known(fit > 0), help);
    let paused = if view.pause { "paused" } else { "at work" };
    let help = "While it is paused a switchover needs a candidate; `patronictl resume` first.";
    preflight.require("Patroni", "at work", paused, Known::Known(!view.pause), help);
    Some(Way { arm: None, inject: Effect::Switchover { member: leader?, pod, api } })
}

/// Whether what the plan does to the primary is to be seen in the looks, oldest first.
pub(crate) fn landed(plan: &Plan, injected: Mono, seen: &[Sight]) -> Landing {
    let Some(effect) = plan.steps.iter().map(|s| &s.effect).find(|e| e.takes().is_some()) else {
        return Landing::NotYet;
    };
    let evidence = seen.iter().find_map(|sight| match &sight.view {
        TargetView::Postgres(view) => Some((sight.to_ns, evidence(effect, view, sight.from_ns >= injected)?)),
        TargetView::Deployments(_) => None,
    });
    match evidence {
        Some((at, evidence)) => Landing::Landed { at, evidence },
        None => Landing::NotYet,
    }
}

/// What a look shows of an effect; `later`: it began after the effect was answered.
fn evidence(effect: &Effect, view: &PostgresView, later: bool) -> Option<String> {
    let pod = effect.takes()?;
    let uid = pod.uid.as_deref().unwrap_or_default();
    let gone = || format!("the pod with uid {uid} is gone or going");
    let Some(member) = view.members.iter().find(|m| m.uid == uid) else { return Some(gone()) };
    match effect {
        Effect::Switchover { .. } => match &member.said {
            Known::Known(server) if server.in_recovery => Some(format!("{} is a standby now", member.pod)),
            _ => None,
        },
        Effect::Strike { victim, .. } => match (&member.container_id, &member.said) {
            (Some(id), _) if *id != victim.container_id => {
                Some(format!("the container of {} was started anew", member.pod))
            }
            (_, Known::Unknown(why)) if later => Some(format!("{} does not answer any more: {why}", member.pod)),
            _ => None,
        },
        // A kill cannot be undone by anybody.
        _ => member.terminating.then(gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::sight::Server;

    fn pod() -> ObjectRef {
        ObjectRef { kind: Kind::Pod, namespace: "shop".into(), name: "orders-0".into(), uid: Some("u0".into()) }
    }

    fn member(said: Known<bool>) -> Member {
        let server = |in_recovery| Server {
            in_recovery,
            system_identifier: "1".into(),
            timeline: 1,
            lsn: 1,
            started: "now".into(),
            standbys: Vec::new(),
            receiving: in_recovery,
        };
        Member {
            pod: "orders-0".into(),
            uid: "u0".into(),
            address: "10.0.0.1".into(),
            labelled_primary: true,
            ready: true,
            terminating: false,
            restarts: 0,
            container_id: Some("containerd://a".into()),
            said: match said {
                Known::Known(in_recovery) => Known::Known(server(in_recovery)),
                Known::Unknown(why) => Known::Unknown(why),
            },
        }
    }

    fn seen(effect: &Effect, member: Option<Member>, later: bool) -> bool {
        let view = PostgresView { members: member.into_iter().collect(), leader: None };
        evidence(effect, &view, later).is_some()
    }

    #[test]
    fn a_kill_is_seen_by_its_pod_alone() {
        for effect in [Effect::Delete { pod: pod(), grace_s: None }, Effect::Evict { pod: pod(), grace_s: None }] {
            assert!(seen(&effect, None, true));
            assert!(seen(&effect, Some(Member { terminating: true, ..member(Known::Known(false)) }), true));
            assert!(!seen(&effect, Some(member(Known::Unknown("silent".into()))), true));
        }
    }

    #[test]
    fn a_switchover_is_seen_when_the_member_follows() {
        let effect = Effect::Switchover { pod: pod(), member: "orders-0".into(), api: String::new() };
        assert!(!seen(&effect, Some(member(Known::Known(false))), true));
        assert!(!seen(&effect, Some(member(Known::Unknown("silent".into()))), true), "silence is no role");
        assert!(seen(&effect, Some(member(Known::Known(true))), true));
    }

    #[test]
    fn a_blow_is_seen_by_silence_after_it_or_by_another_start() {
        let victim = Victim { pod: pod(), container: "postgres".into(), container_id: "containerd://a".into() };
        let effect = Effect::Strike { agent: pod(), victim, blow: Blow::Crash };
        assert!(!seen(&effect, Some(member(Known::Known(false))), true));
        assert!(!seen(&effect, Some(member(Known::Unknown("silent".into()))), false), "a look that began before it");
        assert!(seen(&effect, Some(member(Known::Unknown("silent".into()))), true));
        let again = Member { container_id: Some("containerd://b".into()), ..member(Known::Known(false)) };
        assert!(seen(&effect, Some(again), false));
    }

    #[test]
    fn each_way_asks_for_what_it_needs_and_the_role_grants_all() {
        for by in [KillBy::DeletePod, KillBy::Evict, KillBy::Switchover, KillBy::Crash, KillBy::Freeze] {
            assert!(by.rights().iter().all(|r| RIGHTS.contains(r)), "{by:?}");
        }
        assert!(!KillBy::Switchover.rights().contains(&DELETE));
        assert!(!KillBy::Evict.rights().contains(&DELETE));
    }
}
