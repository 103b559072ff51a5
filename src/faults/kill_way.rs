//! The ways of killing a primary: what each asks of preflight, which steps it plans, and when it is to be seen.

use crate::faults::kill_primary::{HoldDown, KillBy, KillPrimary};
use crate::faults::striking::{self, Way};
use crate::faults::whole_cluster::Whole;
use crate::guards::patroni::{self, Led};
use crate::guards::preflight::Preflight;
use crate::targets::cluster::Right;
use crate::targets::scene::Scene;
use firedrill_core::drill::Landing;
use firedrill_core::effect::{Blow, Effect, Part};
use firedrill_core::event::Refusal;
use firedrill_core::plan::Plan;
use firedrill_core::sight::{PostgresView, Sight, TargetView};
use firedrill_core::time::{Known, Mono};

const GET: Right = Right::to("get", "", "pods");
const LIST: Right = Right::to("list", "", "pods");
const PATCH: Right = Right::to("patch", "", "pods");
const DELETE: Right = Right::to("delete", "", "pods");
const EVICT: Right = Right::to("create", "", "pods/eviction");

/// What all of the ways together need in the namespace of the cluster.
pub(crate) const RIGHTS: &[Right] = &[GET, LIST, DELETE, PATCH, EVICT];
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

impl KillPrimary {
    /// Checks what only this way needs, and plans it. `None` when something refuses.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or the estate lacks what the way needs.
    pub(crate) async fn way(
        &self,
        scene: &Scene,
        preflight: &mut Preflight,
        whole: &Whole<'_>,
    ) -> Result<Option<Way>, Refusal> {
        let pod = whole.pod();
        let grace_s = self.grace.map(|g| u32::try_from(g.duration().as_secs()).unwrap_or(u32::MAX));
        let only = |inject| Ok(Some(Way { arm: None, inject }));
        match self.by {
            KillBy::DeletePod => only(Effect::Delete { pod, grace_s }),
            KillBy::Evict => only(Effect::Evict { pod, grace_s }),
            KillBy::Switchover => {
                let led = patroni::leads(preflight, whole.target, &whole.primary).await;
                let effect = led.map(|Led { leader, api }| Effect::Switchover { member: leader, pod, api });
                Ok(effect.map(|inject| Way { arm: None, inject }))
            }
            KillBy::Crash | KillBy::Freeze => striking::strike(scene, preflight, whole, (self.blow(), Part::All)).await,
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
    use firedrill_core::effect::{Kind, ObjectRef, Victim};
    use firedrill_core::sight::{Member, Server};

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
            manager: None,
        }
    }

    fn seen(effect: &Effect, member: Option<Member>, later: bool) -> bool {
        let view = PostgresView { members: member.into_iter().collect(), ..PostgresView::default() };
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
        let victim =
            Victim { pod: pod(), container: "postgres".into(), container_id: "containerd://a".into(), part: Part::All };
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
