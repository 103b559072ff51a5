//! `kill-primary`: the primary of a database cluster is removed, and another must take over.

use crate::faults::helper::Helper;
use crate::faults::kill_way;
use crate::faults::striking;
use crate::faults::whole_cluster;
use crate::faults::{Fault, Reach};
use crate::guards::preflight::Preflight;
use crate::spec::estate::Estate;
use crate::spec::scalar::{Name, Span};
use crate::targets::cluster::Right;
use crate::targets::scene::Scene;
use firedrill_core::drill::Landing;
use firedrill_core::event::Refusal;
use firedrill_core::plan::Plan;
use firedrill_core::sight::Sight;
use firedrill_core::time::Mono;
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
        let strikes = matches!(self.by, KillBy::Crash | KillBy::Freeze);
        striking::agent(estate, &self.target).filter(|_| strikes).into_iter().collect()
    }

    async fn look_around(&self, scene: &Scene, preflight: &mut Preflight) -> Result<Option<Plan>, Refusal> {
        let words: Vec<&str> = ["kill-primary"].into_iter().chain(self.by.opt_in()).collect();
        let asked = (words.as_slice(), self.rights());
        let Some(whole) = whole_cluster::find(scene, preflight, &self.target, asked).await? else { return Ok(None) };
        let way = self.way(scene, preflight, &whole).await?;
        Ok(way.map(|way| whole.plan(scene, "kill-primary", way)))
    }

    fn landed(&self, plan: &Plan, injected: Mono, seen: &[Sight]) -> Landing {
        kill_way::landed(plan, injected, seen)
    }
}
