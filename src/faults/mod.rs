//! The registry of faults and operations: one word each. A fault is one file beside this one.

mod arming;
pub mod helper;
pub mod kill_manager;
pub mod kill_primary;
pub mod kill_way;
pub mod restore_backup;
pub mod scale_to_zero;
pub mod striking;
mod whole_cluster;

use crate::guards::preflight::Preflight;
use crate::spec::estate::Estate;
use crate::spec::scalar::Name;
use crate::targets::cluster::Right;
use crate::targets::scene::Scene;
use firedrill_core::drill::{Landing, Surveyed};
use firedrill_core::event::Refusal;
use firedrill_core::plan::Plan;
use firedrill_core::sight::Sight;
use firedrill_core::time::Mono;
use helper::Helper;

/// What a fault has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A Kubernetes cluster.
    Cluster,
    /// Only what its targets name.
    Targets,
}

/// A fault or operation: a read-only survey that ends in a plan of effects, and a pure test of landing.
pub(crate) trait Fault {
    /// What it has to reach.
    const REACH: Reach;

    /// What its runner must be allowed in the namespace of each of its targets, besides the lock: the plan and its undo, in
    /// every way of doing it.
    const RIGHTS: &'static [Right];

    /// The same, in the way that is asked for.
    fn rights(&self) -> &'static [Right] {
        Self::RIGHTS
    }

    /// The targets it names.
    fn targets(&self) -> Vec<&Name>;

    /// The helpers that it makes in namespaces of their own.
    fn helpers(&self, _estate: &Estate) -> Vec<Helper> {
        Vec::new()
    }

    /// Looks around, read-only, and writes down what it saw; the plan, when nothing forbids the drill.
    ///
    /// # Errors
    /// What forbids it and is no check.
    async fn look_around(&self, scene: &Scene, preflight: &mut Preflight) -> Result<Option<Plan>, Refusal>;

    /// Looks whether it can be done, and plans it. Every doubt is a refusal.
    async fn survey(&self, scene: &Scene) -> Surveyed {
        let mut preflight = Preflight::default();
        let plan = self.look_around(scene, &mut preflight).await.unwrap_or_else(|refusal| {
            preflight.refuse(refusal);
            None
        });
        preflight.end(plan)
    }

    /// What the looks at its targets, oldest first, say. `injected` is when the last answer of the injection was there.
    fn landed(&self, plan: &Plan, injected: Mono, seen: &[Sight]) -> Landing;
}

/// Declares the registry. The order is the order of documentation.
macro_rules! faults {
    ($($module:ident :: $spec:ident = $word:literal),+ $(,)?) => {
        /// What an experiment's `method` may hold.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultSpec {
            $(
                #[doc = concat!("`", $word, "`")]
                $spec($module::$spec),
            )+
        }

        /// The words, with the sample of each that documentation and tests use.
        pub const FAULTS: &[(&str, &str)] = &[$(($word, $module::$spec::SAMPLE)),+];

        /// What the runner of each must be allowed in the namespaces of its targets, besides the lock.
        pub const RIGHTS: &[(&str, &[Right])] = &[$(($word, <$module::$spec as Fault>::RIGHTS)),+];

        impl FaultSpec {
            /// What it has to reach.
            pub fn reach(&self) -> Reach {
                match self { $(Self::$spec(_) => <$module::$spec as Fault>::REACH),+ }
            }

            /// The targets it names.
            pub fn targets(&self) -> Vec<&Name> {
                match self { $(Self::$spec(f) => f.targets()),+ }
            }

            /// Looks, read-only, whether and how it can be done.
            pub async fn survey(&self, scene: &Scene) -> Surveyed {
                match self { $(Self::$spec(f) => f.survey(scene).await),+ }
            }

            /// What the looks at its targets say: not yet, landed, or undone by somebody.
            pub fn landed(&self, plan: &Plan, injected: Mono, seen: &[Sight]) -> Landing {
                match self { $(Self::$spec(f) => f.landed(plan, injected, seen)),+ }
            }

            /// What its runner must be allowed in the namespaces of its targets, besides the lock.
            pub fn rights(&self) -> &'static [Right] {
                match self { $(Self::$spec(f) => f.rights()),+ }
            }

            /// The helpers that it makes in namespaces of their own.
            pub fn helpers(&self, estate: &Estate) -> Vec<Helper> {
                match self { $(Self::$spec(f) => f.helpers(estate)),+ }
            }

            /// The word in `method` and in `allow`.
            pub fn word(&self) -> &'static str {
                match self { $(Self::$spec(_) => $word),+ }
            }
        }
    };
}

faults![
    kill_primary::KillPrimary = "kill-primary",
    kill_manager::KillManager = "kill-manager",
    scale_to_zero::ScaleToZero = "scale-to-zero",
    restore_backup::RestoreBackup = "restore-backup",
];
