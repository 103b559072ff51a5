//! The hands: the only place that changes the world. One file per primitive, each with three calls (apply, look, undo) and
//! no loop, retry or judgement inside.

mod agent;
pub(crate) mod agent_words;
pub mod database;
pub mod dead_man;
mod delete;
mod evict;
mod ledger;
mod lock;
mod looks;
pub(crate) mod own_pod;
mod pace;
mod scale;
pub mod scratch;
mod strike;
mod switchover;

use crate::faults::FaultSpec;
use crate::scratch::Scratch;
use crate::scratch::handle::KeeperProgram;
use crate::spec::estate::{StagingTarget, Target};
use crate::store::{InjectPermit, UndoPermit};
use crate::targets::cluster::{Cluster, is_conflict};
use crate::targets::scene::Scene;
use crate::targets::staging::StagingServer;
use firedrill_core::effect::{Effect, Holding, ObjectRef, Reply, Version};
use firedrill_core::event::Opening;
use firedrill_core::plan::Fact;
use firedrill_core::time::Mono;
pub use lock::Unrenewed;
use looks::Looks;
use pace::Pace;
use secrecy::SecretString;
use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long one write may take before nobody knows whether it landed.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a look at an effect's object found, with the version to be conditional on; or why it could not be looked at.
pub type LooksLike = Result<(Holding, Version), String>;

/// The hands of one runner on one drill.
#[derive(Debug)]
pub struct Hands {
    /// The drill's id: the mark on everything that is changed.
    pub drill: String,
    /// The experiment's name, for people who find a mark.
    pub experiment: String,
    /// This runner, for people who find a mark: `host pid`.
    pub runner: String,
    /// The cluster, when the estate has one.
    pub cluster: Option<Cluster>,
    /// The resolved connection URLs of `postgres` targets, by name.
    pub urls: HashMap<String, SecretString>,
    /// The scene, for what staging needs of the files.
    pub scene: Scene,
    /// How fast the API server lets this runner write.
    pace: Arc<Pace>,
    /// Looks that are made together.
    looks: Arc<Looks>,
    /// The scratches that this runner made and holds, by target: each lives while its handle does.
    pub scratches: Mutex<HashMap<String, Scratch>>,
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// When its request was written.
    pub sent_ns: Mono,
    /// When its answer was there.
    pub done_ns: Mono,
    /// The answer.
    pub reply: Reply,
    /// What was learned on the way.
    pub facts: Vec<Fact>,
}

impl Hands {
    /// The hands of a drill, for a runner called `runner`.
    pub fn new(opening: &Opening, runner: String, cluster: Option<Cluster>, scene: Scene) -> Self {
        Self {
            drill: opening.drill.clone(),
            experiment: opening.experiment.clone(),
            runner,
            cluster,
            urls: scene.routes.iter().map(|(name, route)| (name.to_string(), route.url.clone())).collect(),
            scene,
            pace: Arc::default(),
            looks: Arc::default(),
            scratches: Mutex::default(),
        }
    }

    /// Performs an effect, once. The permit says that its intent is durable.
    pub async fn apply(&self, effect: &Effect, permit: InjectPermit) -> Done {
        let sent_ns = crate::clock::now();
        let (reply, facts) = match effect {
            Effect::Lock { lease, key } => (lock::apply(self, lease, key, permit).await, Vec::new()),
            Effect::DeadMan { job, post } => (dead_man::apply(self, job, post, permit).await, Vec::new()),
            Effect::Scale { object, was, put } => (scale::apply(self, object, *was, *put, permit).await, Vec::new()),
            Effect::Delete { pod, grace_s } => (delete::apply(self, pod, *grace_s, permit).await, Vec::new()),
            Effect::Evict { pod, grace_s } => (Box::pin(evict::apply(self, pod, *grace_s, permit)).await, Vec::new()),
            Effect::Switchover { member, api, .. } => {
                (Box::pin(switchover::apply(api, member, permit)).await, Vec::new())
            }
            Effect::Agent(agent) => (Box::pin(agent::apply(self, agent, permit)).await, Vec::new()),
            Effect::Strike { agent, victim, blow } => Box::pin(strike::apply(self, agent, victim, *blow, permit)).await,
            Effect::Ledger { target } => (ledger::apply(self, target, permit).await, Vec::new()),
            Effect::Scratch { target, dir } => (self.make_scratch(target, dir, permit).await, Vec::new()),
            Effect::Database { target } => match self.staging_server(target).await {
                Ok(server) => (database::apply(&server, &self.drill).await, Vec::new()),
                Err(why) => (Reply::Rejected(why), Vec::new()),
            },
        };
        Done { sent_ns, done_ns: crate::clock::now(), reply, facts }
    }

    /// Looks at what an effect changed. Changes nothing.
    ///
    /// # Errors
    /// When it cannot be looked at now; the sentence says why.
    pub async fn look(&self, effect: &Effect) -> LooksLike {
        match effect {
            Effect::Lock { lease, .. } => lock::look(self, lease).await,
            Effect::DeadMan { job, .. } => dead_man::look(self, job).await,
            Effect::Scale { object, was, put } => scale::look(self, object, *was, *put).await,
            Effect::Delete { pod, .. } | Effect::Evict { pod, .. } => delete::look(self, pod).await,
            Effect::Switchover { api, .. } => Box::pin(switchover::look(api)).await,
            Effect::Agent(agent) => Box::pin(agent::look(self, agent)).await,
            Effect::Strike { agent, victim, blow } => Box::pin(strike::look(self, agent, victim, *blow)).await,
            Effect::Ledger { target } => ledger::look(self, target).await,
            Effect::Scratch { dir, .. } => Ok((scratch::look(Path::new(dir), &self.drill), Version::default())),
            Effect::Database { target } => {
                let server = self.staging_server(target).await?;
                Ok((database::look(&server, &self.drill).await?, Version::default()))
            }
        }
    }

    /// Puts an effect back, on condition of the version seen.
    ///
    /// # Errors
    /// When it could not be done, or nobody knows; a look tells.
    pub async fn undo(&self, effect: &Effect, seen: &Version, permit: UndoPermit) -> Result<(), String> {
        match effect {
            Effect::Lock { lease, .. } => lock::undo(self, lease, seen, permit).await,
            Effect::DeadMan { job, .. } => dead_man::undo(self, job, permit).await,
            Effect::Scale { object, was, .. } => scale::undo(self, object, *was, seen, permit).await,
            Effect::Delete { .. } | Effect::Evict { .. } => Err("a deleted pod cannot be given back".to_owned()),
            Effect::Switchover { .. } => Err("a role that was handed over is not fetched back".to_owned()),
            Effect::Agent(agent) => Box::pin(agent::undo(self, agent, seen, permit)).await,
            Effect::Strike { agent, .. } => Box::pin(strike::undo(self, agent, seen, permit)).await,
            Effect::Ledger { target } => ledger::undo(self, target, permit).await,
            Effect::Scratch { target, dir } => self.end_scratch(target, dir).await,
            Effect::Database { target } => {
                let server = self.staging_server(target).await?;
                certain(database::undo(&server, &self.drill).await)
            }
        }
    }

    /// Takes our marks off what somebody else changed meanwhile.
    ///
    /// # Errors
    /// When the marks could not be taken off.
    pub async fn relinquish(&self, effect: &Effect, permit: UndoPermit) -> Result<(), String> {
        match effect {
            Effect::Scale { object, .. } => scale::relinquish(self, object, permit).await,
            _ => Ok(()),
        }
    }

    /// Sees to it that what an older runner may still have under way cannot land any more.
    ///
    /// # Errors
    /// When the object could not be touched.
    pub async fn touch(&self, effect: &Effect, epoch: u64) -> Result<(), String> {
        match effect {
            Effect::Scale { object, .. } => scale::touch(self, object, epoch).await,
            Effect::Delete { pod, .. } | Effect::Evict { pod, .. } => delete::touch(self, pod, epoch).await,
            Effect::Strike { agent, .. } => Box::pin(strike::touch(self, agent, epoch)).await,
            Effect::Ledger { target } => ledger::touch(self, target).await,
            Effect::Lock { .. }
            | Effect::Agent(_)
            | Effect::DeadMan { .. }
            | Effect::Switchover { .. }
            | Effect::Scratch { .. }
            | Effect::Database { .. } => Ok(()),
        }
    }

    /// Renews the lock, for the dead man that watches it.
    ///
    /// # Errors
    /// Whether it is lost, or only could not be renewed now.
    pub async fn renew(&self, lease: &ObjectRef) -> Result<(), Unrenewed> {
        lock::renew(self, lease).await
    }

    async fn make_scratch(&self, target: &str, dir: &str, _permit: InjectPermit) -> Reply {
        match scratch::apply(Path::new(dir), &self.drill, &KeeperProgram::own()).await {
            Ok(made) => {
                self.return_scratch(target, made).await;
                Reply::Applied
            }
            Err(reply) => reply,
        }
    }

    async fn end_scratch(&self, target: &str, dir: &str) -> Result<(), String> {
        if let Some(made) = self.take_scratch(target).await {
            return made.end().await.map_err(|e| e.to_string());
        }
        // The runner that made it is dead: without its handle, by its marker.
        let (dir, drill) = (PathBuf::from(dir), self.drill.clone());
        let undone = tokio::task::spawn_blocking(move || scratch::undo(&dir, &drill)).await;
        undone.map_err(|e| e.to_string()).and_then(certain)
    }

    /// Takes the scratch that was made for a target, for work in it.
    pub async fn take_scratch(&self, target: &str) -> Option<Scratch> {
        self.scratches.lock().await.remove(target)
    }

    /// Gives it back, for its undo.
    pub async fn return_scratch(&self, target: &str, scratch: Scratch) {
        self.scratches.lock().await.insert(target.to_owned(), scratch);
    }

    async fn staging_server(&self, target: &str) -> Result<StagingServer, String> {
        for fault in &self.scene.loaded.experiment.method {
            if let FaultSpec::RestoreBackup(restore) = fault
                && let Some((_, Target::Staging(StagingTarget::Server(server)))) =
                    self.scene.loaded.estate.targets.iter().find(|(name, _)| name.as_str() == target)
            {
                return restore.server(&self.scene, server).await.map_err(|r| r.why);
            }
        }
        Err(format!("`{target}` is not a staging server of this experiment"))
    }

    fn namespaced<K>(&self, namespace: &str) -> kube::Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        let cluster = self.cluster.as_ref().expect("a plan with objects of a cluster is only made with a cluster");
        kube::Api::namespaced(cluster.client(), namespace)
    }
}

/// Why a request came to nothing certain.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no answer within {} s", WRITE_TIMEOUT.as_secs())]
    Timeout,
    #[error("{0}")]
    Api(#[from] kube::Error),
}

/// Whether something was certainly done.
fn certain(reply: Reply) -> Result<(), String> {
    match reply {
        Reply::Applied => Ok(()),
        Reply::Conflict(why) | Reply::Rejected(why) | Reply::Unknown(why) => Err(why),
    }
}

async fn timed<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
    match tokio::time::timeout(WRITE_TIMEOUT, request).await {
        Err(_) => Err(Trouble::Timeout),
        Ok(result) => result.map_err(Trouble::Api),
    }
}

/// How the API server begins to say that an admission webhook could not be asked. Its code is 500.
const UNJUDGED: &str = "Internal error occurred: failed calling webhook";

/// What an error says of whether the write happened. Only an answer of the API proves that it did not.
fn refused(trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Api(e) if is_conflict(&e) => Reply::Conflict(e.to_string()),
        // Webhooks are asked before anything is written.
        Trouble::Api(kube::Error::Api(status)) if status.message.starts_with(UNJUDGED) => {
            Reply::Rejected(status.message)
        }
        // The server may have failed after it wrote.
        Trouble::Api(kube::Error::Api(status)) if status.code >= 500 => Reply::Unknown(status.message),
        Trouble::Api(kube::Error::Api(status)) => Reply::Rejected(status.message),
        other => Reply::Unknown(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, message: &str) -> Reply {
        let status =
            serde_json::json!({ "status": "Failure", "code": code, "reason": "InternalError", "message": message });
        refused(Trouble::Api(kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))))
    }

    #[test]
    fn what_a_webhook_that_is_down_was_to_judge_was_certainly_not_written() {
        let said =
            "Internal error occurred: failed calling webhook \"judge.example\": failed to call webhook: no endpoints";
        assert_eq!(answer(500, said), Reply::Rejected(said.to_owned()));
        assert!(matches!(answer(500, "Internal error occurred: etcd is away"), Reply::Unknown(_)));
        assert!(matches!(answer(403, "not allowed"), Reply::Rejected(_)));
    }
}
