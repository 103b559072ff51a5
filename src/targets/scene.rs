//! What a survey may use: the files, eyes on the cluster, and the connection URLs. Nothing in it can change anything.

use crate::probes::detour::Detour;
use crate::spec::estate::{DeploymentsTarget, PostgresTarget, Target};
use crate::spec::load::Loaded;
use crate::spec::scalar::Name;
use crate::targets::cluster::Reader;
use crate::targets::route::Route;
use firedrill_core::event::Refusal;
use secrecy::SecretString;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The scene of a drill, read-only.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Experiment and estate.
    pub loaded: Arc<Loaded>,
    /// Where the estate's relative paths begin.
    pub base: PathBuf,
    /// Eyes on the cluster, when the estate has one.
    pub reader: Option<Reader>,
    /// The ways to the `postgres` targets that the experiment and its probes name.
    pub routes: Arc<HashMap<Name, Route>>,
    /// The drill's id.
    pub drill: String,
    /// The runner's state directory: its journal, and where a scratch is made by default.
    pub state_dir: PathBuf,
}

impl Scene {
    /// Eyes on the cluster.
    ///
    /// # Errors
    /// A refusal when the estate leads to no cluster.
    pub fn reader(&self) -> Result<&Reader, Refusal> {
        self.reader.as_ref().ok_or_else(|| {
            Refusal::new(
                "no Kubernetes cluster is configured",
                "Name a kubeconfig in the estate's `kubernetes`, or set KUBECONFIG.",
            )
        })
    }

    /// What to connect to for a `postgres` target.
    pub fn url(&self, name: &Name) -> Option<&SecretString> {
        self.routes.get(name).map(|route| &route.url)
    }

    /// What is known of the way to a target, where its URL is not used as it stands.
    pub fn detour(&self, name: &Name) -> Option<Detour> {
        self.routes.get(name).and_then(Route::detour)
    }

    /// A `postgres` target with its connection URL.
    ///
    /// # Errors
    /// A refusal when it is not one, or has no URL here.
    pub fn postgres(&self, name: &Name) -> Result<(&PostgresTarget, &SecretString), Refusal> {
        match (self.loaded.estate.targets.get(name), self.url(name)) {
            (Some(Target::Postgres(target)), Some(url)) => Ok((target, url)),
            _ => Err(Refusal::new(
                format!("`{name}` is not a `postgres` target with a connection URL"),
                "Name one in the estate's `targets`.",
            )),
        }
    }

    /// A `deployments` target.
    ///
    /// # Errors
    /// A refusal when it is not one.
    pub fn deployments(&self, name: &Name) -> Result<&DeploymentsTarget, Refusal> {
        match self.loaded.estate.targets.get(name) {
            Some(Target::Deployments(target)) => Ok(target),
            _ => Err(Refusal::new(
                format!("`{name}` is not a `deployments` target"),
                "Name one in the estate's `targets`.",
            )),
        }
    }

    /// The `postgres` targets that the experiment's ledger probes write to, without repetition.
    pub fn ledger_targets(&self) -> Vec<Name> {
        let probes = self.loaded.experiment.probes.iter().filter_map(|p| self.loaded.estate.probes.get(p));
        let mut targets: Vec<Name> = probes
            .filter_map(|p| match p {
                crate::probes::ProbeSpec::Ledger(ledger) => Some(ledger.target.clone()),
                _ => None,
            })
            .collect();
        targets.sort();
        targets.dedup();
        targets
    }

    /// Where a setting of the estate is written, for a refusal's help: `estates/production.yaml:14:9`.
    pub fn place(&self, path: &str) -> String {
        let source = &self.loaded.estate_source;
        match source.locate(path) {
            Some(place) => format!("{}:{}:{}", source.file(), place.line, place.column),
            None => source.file().to_owned(),
        }
    }
}
