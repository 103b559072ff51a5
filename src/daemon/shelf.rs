//! The experiments that a daemon runs, as their files are now: read again when they change. Of a file that became bad the
//! last good version stays.

use crate::runner::source;
use crate::spec::calendar;
use crate::spec::load::{self, is_yaml};
use firedrill_core::event::Source;
use firedrill_core::time::Nanos;
use firedrill_core::timetable::Timetable;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An experiment in its estate, read and found good.
#[derive(Clone, Debug)]
pub struct Duty {
    /// The experiment's name.
    pub experiment: String,
    /// The environment in which it runs.
    pub environment: String,
    /// The file of the experiment.
    pub file: PathBuf,
    /// When it is due.
    pub timetable: Arc<Timetable>,
    /// What its schedules say, for people.
    pub schedule: String,
    /// How long it may go without a pass.
    pub pass_every: Option<Nanos>,
    /// The files as they were read: a drill is made of these.
    pub sources: [Arc<Source>; 2],
}

/// What a look at the files showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An experiment is run from now on, or in a new version.
    Loaded {
        /// Whose it is.
        key: String,
        /// When it is due.
        schedule: String,
        /// When it was due until now, if it was there.
        before: Option<Arc<Timetable>>,
    },
    /// It is not run any more: its file is gone, or has no schedule.
    Gone(String),
    /// A file is bad; what was good of it before stays.
    Bad {
        /// The file.
        file: PathBuf,
        /// All that is wrong with it.
        why: String,
    },
}

/// What tells a file from an earlier one of its name, without reading it.
type Mark = (u64, u64, i64, i64);

fn mark(meta: &Metadata) -> Mark {
    (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// One experiment's file in one estate.
#[derive(Debug)]
struct Place {
    marks: [Option<Mark>; 2],
    /// Its key on the shelf, when it is there.
    key: Option<String>,
}

/// All of them.
#[derive(Debug)]
pub struct Shelf {
    duties: Vec<(PathBuf, PathBuf)>,
    places: BTreeMap<(PathBuf, PathBuf), Place>,
    known: BTreeMap<String, Duty>,
    bad: BTreeMap<PathBuf, String>,
}

impl Shelf {
    /// An empty shelf for experiments (files or directories) and the estates they run in.
    pub fn new(duties: Vec<(PathBuf, PathBuf)>) -> Self {
        Self { duties, places: BTreeMap::new(), known: BTreeMap::new(), bad: BTreeMap::new() }
    }

    /// The experiments that are run, by key: the experiment and the environment.
    pub fn duties(&self) -> &BTreeMap<String, Duty> {
        &self.known
    }

    /// The files that are bad as they are now, with all that is wrong with them.
    pub fn bad(&self) -> &BTreeMap<PathBuf, String> {
        &self.bad
    }

    /// Looks at the files, and reads those that changed.
    pub fn refresh(&mut self) -> Vec<Change> {
        let changes = self.look_at_all();
        for change in &changes {
            if let Change::Bad { file, why } = change {
                self.bad.insert(file.clone(), why.clone());
            }
        }
        changes
    }

    fn look_at_all(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut there = Vec::new();
        for (experiments, estate) in &self.duties {
            match files(experiments) {
                Ok(files) => there.extend(files.into_iter().map(|file| (file, estate.clone()))),
                Err(why) => {
                    changes.push(Change::Bad { file: experiments.clone(), why: why.to_string() });
                    // What cannot be listed now is not gone.
                    there.extend(self.places.keys().filter(|(file, _)| file.starts_with(experiments)).cloned());
                }
            }
        }
        there.sort();
        there.dedup();
        let gone: Vec<_> = self.places.keys().filter(|place| there.binary_search(place).is_err()).cloned().collect();
        for place in gone {
            self.bad.remove(&place.0);
            let key = self.places.remove(&place).and_then(|p| p.key);
            changes.extend(key.filter(|key| self.known.remove(key).is_some()).map(Change::Gone));
        }
        for place in there {
            self.look(place, &mut changes);
        }
        changes
    }

    fn look(&mut self, place: (PathBuf, PathBuf), changes: &mut Vec<Change>) {
        let marks = [&place.0, &place.1].map(|path| std::fs::metadata(path).ok().as_ref().map(mark));
        let before = self.places.get(&place);
        if before.is_some_and(|before| before.marks == marks) {
            return;
        }
        let key_before = before.and_then(|before| before.key.clone());
        self.bad.remove(&place.0);
        let key = match read(&place.0, &place.1) {
            Ok(duty) => self.put(key_before, duty, changes),
            Err((file, why)) => {
                changes.push(Change::Bad { file, why });
                key_before
            }
        };
        self.places.insert(place, Place { marks, key });
    }

    /// Puts what was read in its place; `None` where nothing is to be run. The key under which it stands.
    fn put(&mut self, key_before: Option<String>, duty: Option<Duty>, changes: &mut Vec<Change>) -> Option<String> {
        let key = duty.as_ref().map(|duty| duty.timetable.key.clone());
        if key_before != key
            && let Some(gone) = key_before.filter(|key| self.known.remove(key).is_some())
        {
            changes.push(Change::Gone(gone));
        }
        let (duty, key) = (duty?, key?);
        let other = self.known.get(&key).filter(|other| other.file != duty.file);
        if let Some(other) = other {
            let why = format!("{key} is there already, by {}; give one of them another name", other.file.display());
            changes.push(Change::Bad { file: duty.file, why });
            return None;
        }
        let same = self
            .known
            .get(&key)
            .is_some_and(|known| known.sources.iter().zip(&duty.sources).all(|(one, two)| one.sha256 == two.sha256));
        if !same {
            let before = self.known.get(&key).map(|known| Arc::clone(&known.timetable));
            changes.push(Change::Loaded { key: key.clone(), schedule: duty.schedule.clone(), before });
        }
        self.known.insert(key.clone(), duty);
        Some(key)
    }
}

/// The experiments of a directory, or the one that is named. Estates lie in directories of their own.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return std::fs::metadata(path).map(|_| vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if is_yaml(&path) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads an experiment in its estate; `None` when it has no schedule. On an error, the file that is bad and why.
fn read(experiment: &Path, estate: &Path) -> Result<Option<Duty>, (PathBuf, String)> {
    let bad = |why: String| (experiment.to_owned(), why);
    let loaded = load::load(experiment, estate).map_err(|problems| bad(problems.to_string()))?;
    let timetable = calendar::timetable(&loaded.experiment, &loaded.estate).map_err(bad)?;
    let Some(timetable) = timetable else { return Ok(None) };
    let source = |role, path: &Path| source(role, path).map(Arc::new).map_err(|e| (path.to_owned(), e.to_string()));
    Ok(Some(Duty {
        experiment: loaded.experiment.experiment.to_string(),
        environment: loaded.estate.environment.to_string(),
        file: experiment.to_owned(),
        timetable: Arc::new(timetable),
        schedule: loaded.experiment.schedule_words(),
        pass_every: loaded.experiment.pass_every.map(|span| span.0),
        sources: [source("experiment", experiment)?, source("estate", estate)?],
    }))
}
