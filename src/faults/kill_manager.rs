//! `kill-manager`: the failover manager of the primary dies or stands still, and its PostgreSQL goes on.

use crate::faults::helper::Helper;
use crate::faults::striking;
use crate::faults::whole_cluster;
use crate::faults::{Fault, Reach};
use crate::guards::patroni;
use crate::guards::preflight::Preflight;
use crate::spec::estate::Estate;
use crate::spec::scalar::{Name, Span};
use crate::targets::cluster::Right;
use crate::targets::scene::Scene;
use firedrill_core::drill::Landing;
use firedrill_core::effect::{Blow, Effect, Part, Victim};
use firedrill_core::event::Refusal;
use firedrill_core::plan::Plan;
use firedrill_core::sight::{PostgresView, Sight, TargetView};
use firedrill_core::time::{Known, Mono};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Takes Patroni away from the primary of a PostgreSQL cluster, and leaves PostgreSQL running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KillManager {
    /// A `postgres` target that Patroni manages, with an `agent`.
    pub target: Name,
    /// How.
    #[serde(default)]
    pub by: ManagerBy,
    /// For how long; 45 s by default. Longer than the manager's patience (Patroni's `ttl`), or nobody takes over.
    pub r#for: Option<Span>,
}

/// How a failover manager is taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ManagerBy {
    /// Its processes are stopped, and go on afterwards.
    #[default]
    Stop,
    /// Its processes are killed, again whenever they are started again; only where the container outlives them.
    Kill,
}

impl KillManager {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str = "kill-manager: { target: orders-db, by: stop, for: 45s }";
    /// How long it lasts where nothing else is said.
    const LASTS: Span = Span::secs(45);

    fn blow(&self) -> Blow {
        let lasts = self.r#for.unwrap_or(Self::LASTS).0;
        match self.by {
            ManagerBy::Stop => Blow::Freeze { for_ns: lasts },
            ManagerBy::Kill => Blow::HoldDown { at_most_ns: lasts },
        }
    }
}

impl Fault for KillManager {
    const REACH: Reach = Reach::Cluster;
    const RIGHTS: &'static [Right] = &[Right::to("get", "", "pods"), Right::to("list", "", "pods")];

    fn targets(&self) -> Vec<&Name> {
        vec![&self.target]
    }

    fn helpers(&self, estate: &Estate) -> Vec<Helper> {
        striking::agent(estate, &self.target).into_iter().collect()
    }

    async fn look_around(&self, scene: &Scene, preflight: &mut Preflight) -> Result<Option<Plan>, Refusal> {
        let asked = (&["kill-manager"][..], Self::RIGHTS);
        let Some(whole) = whole_cluster::find(scene, preflight, &self.target, asked).await? else { return Ok(None) };
        let Some(led) = patroni::leads(preflight, whole.target, &whole.primary).await else { return Ok(None) };
        let part = Part::Manager { api: led.api };
        let way = striking::strike(scene, preflight, &whole, (self.blow(), part)).await?;
        let spared = format!("PostgreSQL's own processes in pod {}", whole.primary.pod);
        Ok(way.map(|way| {
            let mut plan = whole.plan(scene, "kill-manager", way);
            plan.untouched.push(spared);
            plan
        }))
    }

    fn landed(&self, plan: &Plan, injected: Mono, seen: &[Sight]) -> Landing {
        let victim = plan.steps.iter().find_map(|s| match &s.effect {
            Effect::Strike { victim, .. } => Some(victim),
            _ => None,
        });
        let Some(victim) = victim else { return Landing::NotYet };
        let later = seen.iter().filter(|sight| sight.from_ns >= injected);
        let evidence = later.filter_map(|sight| match &sight.view {
            TargetView::Postgres(view) => Some((sight.to_ns, evidence(victim, view)?)),
            TargetView::Deployments(_) => None,
        });
        match evidence.into_iter().next() {
            Some((at, evidence)) => Landing::Landed { at, evidence },
            None => Landing::NotYet,
        }
    }
}

/// What a look shows of it: the manager answers no more, and its server does. Silence of both is no proof that the server was
/// left running, and says nothing.
fn evidence(victim: &Victim, view: &PostgresView) -> Option<String> {
    let member = view.members.iter().find(|m| Some(&m.uid) == victim.pod.uid.as_ref())?;
    let again = member.container_id.as_ref().filter(|id| **id != victim.container_id);
    match (again, &member.manager, &member.said) {
        (Some(_), ..) => Some(format!("the container of {} was started anew", member.pod)),
        (None, Some(Known::Unknown(why)), Known::Known(server)) => {
            let role = if server.in_recovery { "a standby" } else { "primary" };
            Some(format!("{why}; PostgreSQL in {} does, as {role}", member.pod))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use firedrill_core::effect::{Kind, ObjectRef};
    use firedrill_core::plan::{Heal, Ledgered};
    use firedrill_core::sight::{Member, Server};
    use firedrill_core::time::Nanos;

    fn victim() -> Victim {
        Victim {
            pod: ObjectRef {
                kind: Kind::Pod,
                namespace: "shop".into(),
                name: "orders-0".into(),
                uid: Some("u0".into()),
            },
            container: "postgres".into(),
            container_id: "containerd://a".into(),
            part: Part::Manager { api: "http://10.0.0.1:8008".into() },
        }
    }

    fn plan() -> Plan {
        let agent = ObjectRef { kind: Kind::Pod, namespace: "agents".into(), name: "agent".into(), uid: None };
        let inject = Effect::Strike { agent, victim: victim(), blow: Blow::Freeze { for_ns: Nanos::from_secs(45) } };
        let mut steps = Vec::new();
        let heal = striking::Way { arm: None, inject }.into_steps(&mut steps);
        Plan {
            fault: "kill-manager".into(),
            steps,
            heal,
            watch: vec!["orders-db".into()],
            members: 2,
            ledger: Ledgered::Yes,
            facts: Vec::new(),
            untouched: Vec::new(),
        }
    }

    fn sight(from: u64, manager: Option<Known<()>>, server: Known<()>, container: &str) -> Sight {
        let server = match server {
            Known::Known(()) => Known::Known(Server {
                in_recovery: false,
                system_identifier: "1".into(),
                timeline: 1,
                lsn: 1,
                started: "now".into(),
                standbys: Vec::new(),
                receiving: false,
            }),
            Known::Unknown(why) => Known::Unknown(why),
        };
        let member = Member {
            pod: "orders-0".into(),
            uid: "u0".into(),
            address: "10.0.0.1".into(),
            labelled_primary: true,
            ready: true,
            terminating: false,
            restarts: 0,
            container_id: Some(container.into()),
            said: server,
            manager,
        };
        let view = TargetView::Postgres(PostgresView { members: vec![member], ..PostgresView::default() });
        Sight { target: "orders-db".into(), from_ns: Mono(from), to_ns: Mono(from + 5), view }
    }

    fn fault() -> KillManager {
        KillManager { target: Name::parse("orders-db").unwrap(), by: ManagerBy::Stop, r#for: None }
    }

    #[test]
    fn it_is_seen_by_the_managers_silence_beside_a_server_that_answers() {
        let silent = || Some(Known::Unknown("nothing".into()));
        let landed = |sight: Sight| matches!(fault().landed(&plan(), Mono(100), &[sight]), Landing::Landed { .. });
        assert!(landed(sight(100, silent(), Known::Known(()), "containerd://a")));
        assert!(!landed(sight(99, silent(), Known::Known(()), "containerd://a")), "a look that began before it");
        assert!(!landed(sight(100, Some(Known::Known(())), Known::Known(()), "containerd://a")));
        assert!(!landed(sight(100, None, Known::Known(()), "containerd://a")), "a manager that nobody asked");
        assert!(!landed(sight(100, silent(), Known::Unknown("nothing".into()), "containerd://a")), "both silent");
        assert!(landed(sight(100, Some(Known::Known(())), Known::Known(()), "containerd://b")));
    }

    #[test]
    fn nothing_counts_as_recovery_before_it_is_over() {
        let Heal::Afterwards { release, hold_ns } = plan().heal else { panic!("{:?}", plan().heal) };
        assert_eq!((release.len(), hold_ns), (1, KillManager::LASTS.0));
        let by_kill = KillManager { by: ManagerBy::Kill, r#for: Some(Span::secs(30)), ..fault() };
        assert_eq!(by_kill.blow(), Blow::HoldDown { at_most_ns: Nanos::from_secs(30) });
    }
}
