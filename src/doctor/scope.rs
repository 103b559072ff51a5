//! For which drills the doctor looks: the experiments, their estate, and what these name.

use crate::faults::helper::Helper;
use crate::faults::restore_backup::RestoreBackup;
use crate::faults::{FaultSpec, Reach};
use crate::runner;
use crate::spec::check::{CheckReport, FileKind, check};
use crate::spec::estate::{Estate, Reach as Way, Target};
use crate::spec::load::{self, Loaded};
use crate::spec::problem::Problems;
use crate::spec::scalar::{Name, SecretRef};
use crate::targets::cluster::Right;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the doctor was asked to look at.
#[derive(Debug)]
pub struct Scope {
    /// The estate.
    pub estate: Estate,
    /// Its file.
    pub estate_file: PathBuf,
    /// Where its relative paths begin.
    pub base: PathBuf,
    /// The experiments; none when only an estate could be found.
    pub experiments: Vec<Arc<Loaded>>,
    /// The runner's state directory.
    pub state_dir: PathBuf,
}

/// What the experiments do in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The fault's word.
    pub word: &'static str,
    /// The namespace.
    pub namespace: String,
    /// What the runner must be allowed there, besides the lock.
    pub rights: Vec<Right>,
}

/// Files as they were named on a command line.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Experiments, or directories of them. Without any, those that lie beside the estate and fit it.
    pub files: &'a [PathBuf],
    /// The estate's name or file.
    pub estate: Option<&'a str>,
    /// The state directory.
    pub state_dir: &'a Path,
}

/// Where estates and experiments are looked for when no file is named.
const PLACES: [&str; 2] = [".", "experiments"];

impl Scope {
    /// Reads the files.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn load(named: Named<'_>) -> Result<Self, Problems> {
        let (files, estate_file) = find(named)?;
        let estate = load::load_estate(&estate_file)?.value;
        // Those that were named must fit it; those that only lie there may be for another.
        let report = check(&files, (!named.files.is_empty()).then_some(estate_file.as_path()));
        if !report.sound {
            return Err(Problems(report.files.into_iter().flat_map(|f| f.problems.0).collect()));
        }
        let mut experiments = Vec::new();
        for path in fitting(&report, &estate) {
            experiments.push(Arc::new(load::load(&path, &estate_file)?));
        }
        let base = estate_file.canonicalize().unwrap_or_else(|_| estate_file.clone());
        let base = base.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { estate, estate_file, base, experiments, state_dir: named.state_dir.to_owned() })
    }

    /// Whether anything of it leads to a cluster.
    pub fn needs_cluster(&self) -> bool {
        let secret = |t: &Target| matches!(t, Target::Postgres(p) if matches!(p.url, SecretRef::Secret(_)));
        if self.experiments.is_empty() {
            return self.estate.targets.values().any(|t| secret(t) || matches!(t, Target::Deployments(_)));
        }
        self.experiments.iter().any(|loaded| runner::needs_cluster(loaded))
    }

    /// The targets that are named, each once, by name.
    pub fn targets(&self) -> impl Iterator<Item = (&Name, &Target)> {
        let named: BTreeSet<Name> = self.experiments.iter().flat_map(|loaded| runner::named(loaded)).collect();
        let all = self.experiments.is_empty();
        self.estate.targets.iter().filter(move |(name, _)| all || named.contains(*name))
    }

    /// The experiments' faults with the namespaces they act in, each pair once, with what the experiments need there for
    /// their ways of doing it.
    pub fn acts(&self) -> Vec<Act> {
        let mut acts: BTreeMap<(&'static str, String), Vec<Right>> = BTreeMap::new();
        for fault in self.experiments.iter().flat_map(|l| &l.experiment.method) {
            if fault.reach() != Reach::Cluster {
                continue;
            }
            let places = fault.targets().into_iter().filter_map(|name| self.namespace_of(name));
            let helpers = fault.helpers(&self.estate);
            for namespace in places {
                let meanwhile = helpers.iter().filter(|h| h.at == namespace).flat_map(|h| h.meanwhile);
                let wanted: Vec<Right> = fault.rights().iter().chain(meanwhile).copied().collect();
                let rights = acts.entry((fault.word(), namespace)).or_default();
                rights.extend(wanted.into_iter().filter(|r| !rights.contains(r)).collect::<Vec<_>>());
            }
        }
        acts.into_iter().map(|((word, namespace), rights)| Act { word, namespace, rights }).collect()
    }

    /// The helpers that the experiments' faults make in namespaces of their own, each once.
    pub fn helpers(&self) -> Vec<Helper> {
        let mut helpers: Vec<Helper> = Vec::new();
        for fault in self.experiments.iter().flat_map(|l| &l.experiment.method) {
            for helper in fault.helpers(&self.estate) {
                if !helpers.contains(&helper) {
                    helpers.push(helper);
                }
            }
        }
        helpers
    }

    /// The namespaces whose databases are reached by port-forward.
    pub fn forwarded(&self) -> Vec<String> {
        let forwarded = self.targets().filter_map(|(_, target)| match target {
            Target::Postgres(db) if db.reach == Way::PortForward => Some(db.namespace.to_string()),
            _ => None,
        });
        forwarded.collect::<BTreeSet<String>>().into_iter().collect()
    }

    fn namespace_of(&self, target: &Name) -> Option<String> {
        match self.estate.targets.get(target)? {
            Target::Postgres(p) => Some(p.namespace.to_string()),
            Target::Deployments(d) => Some(d.namespace.to_string()),
            Target::Backups(_) | Target::Staging(_) => None,
        }
    }

    /// Whether an experiment does this to a target.
    pub fn does(&self, word: &str, target: &Name) -> bool {
        let mut faults = self.experiments.iter().flat_map(|l| &l.experiment.method);
        faults.any(|fault| fault.word() == word && fault.targets().contains(&target))
    }

    /// Whether an experiment takes the primary of a target away, or who looks after it.
    pub fn loses_primary(&self, target: &Name) -> bool {
        ["kill-primary", "kill-manager"].iter().any(|word| self.does(word, target))
    }

    /// Whether a ledger is written to a target.
    pub fn ledgered(&self, target: &Name) -> bool {
        let probes = self.experiments.iter().flat_map(|l| l.experiment.probes.iter().map(|p| l.estate.probes.get(p)));
        probes.flatten().any(|probe| probe.word() == "ledger" && probe.target() == Some(target))
    }
}

/// The restores of an experiment.
pub(super) fn restores(loaded: &Loaded) -> impl Iterator<Item = &RestoreBackup> {
    loaded.experiment.method.iter().filter_map(|fault| match fault {
        FaultSpec::RestoreBackup(restore) => Some(restore),
        _ => None,
    })
}

/// The experiments of a report that are sound and fit the estate.
fn fitting(report: &CheckReport, estate: &Estate) -> Vec<PathBuf> {
    let fits = |f: &&crate::spec::check::FileReport| {
        f.kind == FileKind::Experiment
            && f.problems.0.is_empty()
            && f.fits.iter().any(|e| e == estate.environment.as_str())
    };
    report.files.iter().filter(fits).map(|f| PathBuf::from(&f.file)).collect()
}

/// The files to check, and the estate's.
fn find(named: Named<'_>) -> Result<(Vec<PathBuf>, PathBuf), Problems> {
    if let Some(first) = named.files.first() {
        let beside = if first.is_dir() { first.join("experiment.yaml") } else { first.clone() };
        return Ok((named.files.to_owned(), load::find_estate(&beside, named.estate)?));
    }
    let place = PLACES.iter().map(Path::new).find(|p| p.join("estates").is_dir());
    let beside = place.unwrap_or(Path::new(PLACES[1])).join("experiment.yaml");
    let estate = load::find_estate(&beside, named.estate)?;
    Ok((place.map(Path::to_owned).into_iter().collect(), estate))
}
