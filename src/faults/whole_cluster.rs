//! A database cluster that is whole: what every fault at its primary asks before, and the plan around what it does.

use crate::faults::arming;
use crate::faults::striking::Way;
use crate::guards::common;
use crate::guards::preflight::Preflight;
use crate::guards::primary;
use crate::spec::estate::PostgresTarget;
use crate::spec::scalar::Name;
use crate::targets::cluster::{ClusterError, Right};
use crate::targets::postgres::PostgresEyes;
use crate::targets::scene::Scene;
use firedrill_core::effect::{Kind, ObjectRef};
use firedrill_core::event::Refusal;
use firedrill_core::plan::{Fact, Plan};
use firedrill_core::sight::{Member, PostgresView, Server, TargetView};
use firedrill_core::time::Known;

/// The cluster as preflight found it.
#[derive(Debug)]
pub(crate) struct Whole<'a> {
    /// Its name in the estate.
    pub(crate) name: &'a Name,
    pub(crate) target: &'a PostgresTarget,
    pub(crate) primary: Member,
    server: Server,
    view: PostgresView,
    lease: ObjectRef,
}

/// Finds the cluster whole, with one primary that may be taken away: `asked` are the words that its namespace must allow, and
/// what the runner must be allowed there. `None` when something refuses already.
///
/// # Errors
/// When it cannot be seen.
pub(crate) async fn find<'a>(
    scene: &'a Scene,
    preflight: &mut Preflight,
    name: &'a Name,
    (words, rights): (&[&str], &[Right]),
) -> Result<Option<Whole<'a>>, Refusal> {
    let reader = scene.reader()?;
    let (target, url) = scene.postgres(name)?;
    let namespace = target.namespace.as_str();
    let unseen = |e: ClusterError| common::unseen(&e);
    if common::admit(scene, preflight, (namespace, words), rights).await?.is_none() {
        return Ok(None);
    }
    let mut eyes = PostgresEyes::new(name.as_str(), target, reader.clone(), url.clone());
    let sight = eyes.look().await.map_err(unseen)?;
    crate::targets::postgres::close(eyes).await;
    let TargetView::Postgres(view) = sight.view else { return Ok(None) };
    let Some((primary, server)) = primary::exactly_one(&view, &target.primary, preflight) else { return Ok(None) };
    primary::one_history(&view, server, preflight);
    let lag = (scene.loaded.estate.guards.lag, scene.place("guards.lag"));
    primary::healthy_replicas(&view, server, (lag.0, &lag.1), preflight);
    cool_down(scene, server, preflight);
    common::self_exclusion(preflight, namespace, std::slice::from_ref(&primary.pod));
    let lease = common::lock_lease(namespace, &server.system_identifier);
    common::lock(reader, preflight, &lease).await.map_err(unseen)?;
    let (primary, server) = (primary.clone(), server.clone());
    Ok(Some(Whole { name, target, primary, server, view, lease }))
}

impl Whole<'_> {
    /// The primary's pod.
    pub(crate) fn pod(&self) -> ObjectRef {
        ObjectRef {
            kind: Kind::Pod,
            namespace: self.target.namespace.to_string(),
            name: self.primary.pod.clone(),
            uid: Some(self.primary.uid.clone()),
        }
    }

    /// The plan of a fault that goes this way.
    pub(crate) fn plan(self, scene: &Scene, word: &str, way: Way) -> Plan {
        let mut steps = arming::steps(scene, Some((self.lease.clone(), self.server.system_identifier.clone())));
        let heal = way.into_steps(&mut steps);
        let others = self.view.members.iter().filter(|m| m.pod != self.primary.pod);
        Plan {
            fault: word.to_owned(),
            steps,
            heal,
            watch: vec![self.name.to_string()],
            members: u16::try_from(self.view.members.len()).unwrap_or(u16::MAX),
            ledger: arming::ledgered(scene),
            facts: facts(&self.primary, &self.server, &self.view),
            untouched: others.map(|m| format!("pod {}", m.pod)).collect(),
        }
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
