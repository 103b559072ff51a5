//! `kill-primary`: the primary of a database cluster is removed, and another must take over.

use crate::faults::arming;
use crate::faults::helper::Helper;
use crate::faults::kill_way;
use crate::faults::{Fault, Reach};
use crate::guards::common;
use crate::guards::preflight::Preflight;
use crate::guards::primary;
use crate::spec::estate::Estate;
use crate::spec::scalar::{Name, Span};
use crate::targets::cluster::{ClusterError, Right};
use crate::targets::postgres::PostgresEyes;
use crate::targets::scene::Scene;
use firedrill_core::drill::Landing;
use firedrill_core::event::Refusal;
use firedrill_core::plan::{Fact, Plan};
use firedrill_core::sight::{Member, PostgresView, Server, Sight, TargetView};
use firedrill_core::time::{Known, Mono};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Removes the primary of a PostgreSQL cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KillPrimary {
    /// A `postgres` target.
    pub target: Name,
    /// How.
    #[serde(default)]
    pub by: KillBy,
    /// For `delete-pod` and `evict`: how long the pod may take to stop; the pod's own grace period by default.
    pub grace: Option<Span>,
    /// For `crash`: until when the container is killed again whenever it is started again. Without it the container is
    /// restarted in place, and nobody has to take over.
    pub hold_down: Option<HoldDown>,
    /// For `hold-down`: when it ends at the latest; 45 s by default.
    pub at_most: Option<Span>,
    /// For `freeze`: after how long the processes go on; 45 s by default.
    pub r#for: Option<Span>,
}

/// How a primary is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KillBy {
    /// Its pod is deleted, with its UID as the precondition.
    #[default]
    DeletePod,
    /// Its pod is evicted: deleted if the disruption budgets let it go.
    Evict,
    /// Patroni is asked to hand its role to another member.
    Switchover,
    /// All processes of its container are killed at once, from its node.
    Crash,
    /// All processes of its container are stopped for a while, from its node.
    Freeze,
}

/// Until when a container that was killed is kept down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HoldDown {
    /// Until another member is primary.
    UntilPromoted,
}

impl KillPrimary {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str = "kill-primary: { target: orders-db, by: delete-pod }";
    /// How long a container is kept down, or stopped, where nothing else is said.
    pub(crate) const LASTS: Span = Span::secs(45);
}

impl Fault for KillPrimary {
    const REACH: Reach = Reach::Cluster;
    const RIGHTS: &'static [Right] = kill_way::RIGHTS;

    fn rights(&self) -> &'static [Right] {
        self.by.rights()
    }

    fn targets(&self) -> Vec<&Name> {
        vec![&self.target]
    }

    fn helpers(&self, estate: &Estate) -> Vec<Helper> {
        self.agent(estate).into_iter().collect()
    }

    async fn look_around(&self, scene: &Scene, preflight: &mut Preflight) -> Result<Option<Plan>, Refusal> {
        let reader = scene.reader()?;
        let (target, url) = scene.postgres(&self.target)?;
        let namespace = target.namespace.as_str();
        let unseen = |e: ClusterError| common::unseen(&e);
        let words: Vec<&str> = ["kill-primary"].into_iter().chain(self.by.opt_in()).collect();
        let admitted = common::admit(scene, preflight, (namespace, &words), self.rights()).await?;
        if admitted.is_none() {
            return Ok(None);
        }
        let mut eyes = PostgresEyes::new(self.target.as_str(), target, reader.clone(), url.clone());
        let sight = eyes.look().await.map_err(unseen)?;
        crate::targets::postgres::close(eyes).await;
        let TargetView::Postgres(view) = &sight.view else { return Ok(None) };
        let Some((primary, server)) = primary::exactly_one(view, &target.primary, preflight) else { return Ok(None) };
        primary::one_history(view, server, preflight);
        let lag = (scene.loaded.estate.guards.lag, scene.place("guards.lag"));
        primary::healthy_replicas(view, server, (lag.0, &lag.1), preflight);
        cool_down(scene, server, preflight);
        common::self_exclusion(preflight, namespace, std::slice::from_ref(&primary.pod));
        let lease = common::lock_lease(namespace, &server.system_identifier);
        common::lock(reader, preflight, &lease).await.map_err(unseen)?;

        let Some(way) = self.way(scene, preflight, target, primary).await? else { return Ok(None) };
        let mut steps = arming::steps(scene, Some((lease, server.system_identifier.clone())));
        let heal = way.into_steps(&mut steps);
        Ok(Some(Plan {
            fault: "kill-primary".to_owned(),
            steps,
            heal,
            watch: vec![self.target.to_string()],
            members: u16::try_from(view.members.len()).unwrap_or(u16::MAX),
            ledger: arming::ledgered(scene),
            facts: facts(primary, server, view),
            untouched: view.members.iter().filter(|m| m.pod != primary.pod).map(|m| format!("pod {}", m.pod)).collect(),
        }))
    }

    fn landed(&self, plan: &Plan, injected: Mono, seen: &[Sight]) -> Landing {
        kill_way::landed(plan, injected, seen)
    }
}

/// A cluster that has just changed hands is left alone.
fn cool_down(scene: &Scene, primary: &Server, preflight: &mut Preflight) {
    let limit = scene.loaded.estate.guards.cool_down;
    let text = primary.started.replacen(' ', "T", 1);
    let age = postgres_time(&text).map(|t| jiff::Timestamp::now().duration_since(t));
    let help = format!("Wait, or lower guards.cool-down in {}.", scene.place("guards.cool-down"));
    let (found, ok) = match age {
        Some(age) => (
            format!("{} s ago", age.as_secs()),
            Known::Known(age.as_secs() >= i64::try_from(limit.duration().as_secs()).unwrap_or(i64::MAX)),
        ),
        None => (primary.started.clone(), Known::Unknown("the server's start time cannot be read".to_owned())),
    };
    preflight.require("the primary's last start", format!("at least {limit} ago"), found, ok, help);
}

/// `2026-11-21T10:00:00.123+00`, as PostgreSQL writes a time with its zone, made readable for a strict parser.
fn postgres_time(text: &str) -> Option<jiff::Timestamp> {
    let short_zone = text.len() > 3 && matches!(text.as_bytes()[text.len() - 3], b'+' | b'-');
    let full = if short_zone { format!("{text}:00") } else { text.to_owned() };
    full.parse().ok()
}

fn facts(primary: &Member, server: &Server, view: &PostgresView) -> Vec<Fact> {
    let sync = server.standbys.iter().map(|s| format!("{} {} {}", s.name, s.state, s.sync_state)).collect::<Vec<_>>();
    vec![
        Fact::new("primary before", format!("{} (uid {})", primary.pod, primary.uid), "label and SQL"),
        Fact::new("system identifier", &server.system_identifier, "pg_control_system()"),
        Fact::new("timeline before", server.timeline.to_string(), "pg_walfile_name()"),
        Fact::new("LSN before", server.position(), "pg_current_wal_lsn()"),
        Fact::new(
            "members",
            view.members.iter().map(|m| m.pod.as_str()).collect::<Vec<_>>().join(", "),
            "pods by selector",
        ),
        Fact::new("standbys", sync.join("; "), "pg_stat_replication"),
    ]
}
