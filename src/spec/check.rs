//! `check`: many files at once. Which is an estate and which an experiment is told by what they hold.

use crate::spec::estate::Estate;
use crate::spec::experiment::Experiment;
use crate::spec::load::{self, Located};
use crate::spec::nearest::{all_of, nearest};
use crate::spec::problem::{Code, Look, Problem, Problems};
use crate::spec::source::Source;
use crate::spec::tree::Node;
use crate::spec::{fit, sense, syntax};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The form of the report.
const FORMAT: &str = "firedrill.check/1";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// An estate.
    Estate,
    /// An experiment.
    Experiment,
    /// A Kubernetes manifest that lies in the same directory; it is passed over.
    Manifest,
    /// Nobody can say.
    Unknown,
}

/// What checking one file showed.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// The file, as it was named or found.
    pub file: String,
    /// What it is.
    pub kind: FileKind,
    /// What it calls itself.
    pub name: Option<String>,
    /// Of an experiment: the estates that it fits.
    pub fits: Vec<String>,
    /// All that is wrong with it.
    pub problems: Problems,
}

/// What checking all of them showed.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The form of this report, for programs.
    pub format: &'static str,
    /// Whether nothing is wrong with any.
    pub sound: bool,
    /// The files, in the order in which they were named and found.
    pub files: Vec<FileReport>,
}

/// Checks files, and the YAML files in directories and below. An experiment is held against `estate`; without it against
/// the estates among the files, or else those in `estates/` beside it, and must fit one of them.
pub fn check(paths: &[PathBuf], estate: Option<&Path>) -> CheckReport {
    let mut session = Session::default();
    let estate = match estate.map(|named| estate_file(paths, named)) {
        None => None,
        Some(Ok(path)) => Some(path),
        Some(Err(problems)) => return CheckReport::unfounded(estate.unwrap_or(Path::new("")), problems),
    };
    let estate = estate.as_deref();
    if let Some(path) = estate {
        session.file(path, Found::Named);
    }
    for path in paths {
        session.path(path);
    }
    session.same_names();
    session.fit(estate);
    let files: Vec<FileReport> = session.files.into_iter().map(|f| f.report).collect();
    CheckReport { format: FORMAT, sound: files.iter().all(|f| f.problems.0.is_empty()), files }
}

/// The file of an estate that is given by path, or by a name that stands for a file in `estates/` beside the files.
fn estate_file(paths: &[PathBuf], named: &Path) -> Result<PathBuf, Problems> {
    let name = named.to_str();
    if named.is_file() || name.is_none() {
        return Ok(named.to_owned());
    }
    let mut first = None;
    for path in paths {
        // Beside a file, and inside a directory.
        let beside = if path.is_dir() { path.join("experiment.yaml") } else { path.clone() };
        match load::find_estate(&beside, name) {
            Ok(found) => return Ok(found),
            Err(problems) => first = first.or(Some(problems)),
        }
    }
    first.map_or_else(|| Ok(named.to_owned()), Err)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Named,
    InDirectory,
}

#[derive(Default)]
struct Session {
    files: Vec<Checked>,
}

struct Checked {
    path: PathBuf,
    report: FileReport,
    content: Content,
}

enum Content {
    Estate(Box<Located<Estate>>),
    Experiment(Box<Located<Experiment>>),
    Nothing,
}

impl Session {
    fn path(&mut self, path: &Path) {
        if !path.is_dir() {
            return self.file(path, Found::Named);
        }
        let before = self.files.len();
        let mut found = Vec::new();
        if let Err(error) = yaml_below(path, &mut found) {
            return self.broken(
                path,
                Problem::whole(Code::Unreadable, "the directory cannot be read").found(error.to_string()),
            );
        }
        for file in &found {
            self.file(file, Found::InDirectory);
        }
        if found.is_empty() && self.files.len() == before {
            let problem = Problem::whole(Code::Empty, "there is no YAML file in the directory");
            self.broken(path, problem.found("none").expected("files that end in .yaml or .yml"));
        }
    }

    fn broken(&mut self, path: &Path, problem: Problem) {
        let file = path.display().to_string();
        let problems = problem.in_file(&file).into();
        let report = FileReport { file, kind: FileKind::Unknown, name: None, fits: Vec::new(), problems };
        self.files.push(Checked { path: path.to_owned(), report, content: Content::Nothing });
    }

    fn file(&mut self, path: &Path, found: Found) {
        if self.files.iter().any(|f| f.path == path) {
            return;
        }
        let file = path.display().to_string();
        let (kind, outcome) = one(path, &file, found);
        let (name, content, problems) = match outcome {
            Ok(Content::Estate(estate)) => {
                (Some(estate.value.environment.to_string()), Content::Estate(estate), Problems::default())
            }
            Ok(Content::Experiment(experiment)) => {
                (Some(experiment.value.experiment.to_string()), Content::Experiment(experiment), Problems::default())
            }
            Ok(Content::Nothing) => (None, Content::Nothing, Problems::default()),
            Err(problems) => (None, Content::Nothing, problems),
        };
        let report = FileReport { file, kind, name, fits: Vec::new(), problems };
        self.files.push(Checked { path: path.to_owned(), report, content });
    }

    /// History is kept by name, so a name belongs to one file.
    fn same_names(&mut self) {
        let mut first: BTreeMap<(&str, String), Arc<Source>> = BTreeMap::new();
        for checked in &mut self.files {
            let (key, name, source) = match &checked.content {
                Content::Estate(e) => ("environment", e.value.environment.to_string(), &e.source),
                Content::Experiment(e) => ("experiment", e.value.experiment.to_string(), &e.source),
                Content::Nothing => continue,
            };
            if let Some(earlier) = first.get(&(key, name.clone())) {
                checked.report.problems.0.push(
                    Problem::of(source, key, Code::Duplicate, format!("two files are called `{name}`"))
                        .found("a second one")
                        .help("history is kept by name: give each its own")
                        .see(earlier, key, "the first is here"),
                );
            } else {
                first.insert((key, name), Arc::clone(source));
            }
        }
    }

    fn fit(&mut self, estate: Option<&Path>) {
        let mut beside: BTreeMap<PathBuf, Vec<Located<Estate>>> = BTreeMap::new();
        let mut results = Vec::new();
        let given: Vec<&Located<Estate>> = self
            .files
            .iter()
            .filter(|f| estate.is_none_or(|path| f.path == path))
            .filter_map(|f| if let Content::Estate(e) = &f.content { Some(&**e) } else { None })
            .collect();
        for (nth, checked) in self.files.iter().enumerate() {
            let Content::Experiment(experiment) = &checked.content else { continue };
            let candidates: Vec<&Located<Estate>> = if given.is_empty() && estate.is_none() {
                let directory = checked.path.parent().unwrap_or(Path::new(".")).join("estates");
                beside.entry(directory.clone()).or_insert_with(|| sound_estates(&directory)).iter().collect()
            } else {
                given.clone()
            };
            results.push((nth, best_fit(experiment, &candidates)));
        }
        for (nth, (fits, problems)) in results {
            if let Some(checked) = self.files.get_mut(nth) {
                checked.report.fits = fits;
                checked.report.problems.0.extend(problems);
            }
        }
    }
}

/// The estates that an experiment fits; when it fits none, what keeps it from the one that comes nearest.
fn best_fit(experiment: &Located<Experiment>, estates: &[&Located<Estate>]) -> (Vec<String>, Vec<Problem>) {
    let mut fits = Vec::new();
    let mut least: Option<Vec<Problem>> = None;
    for estate in estates {
        let problems = fit::problems(experiment, estate);
        if problems.is_empty() {
            fits.push(estate.value.environment.to_string());
        } else if least.as_ref().is_none_or(|l| problems.len() < l.len()) {
            least = Some(problems);
        }
    }
    let problems = if fits.is_empty() { least.unwrap_or_default() } else { Vec::new() };
    (fits, problems)
}

fn sound_estates(directory: &Path) -> Vec<Located<Estate>> {
    let mut found = Vec::new();
    if directory.is_dir() && yaml_below(directory, &mut found).is_err() {
        return Vec::new();
    }
    found.iter().filter_map(|path| load::load_estate(path).ok()).collect()
}

/// The YAML files in a directory and below, in the order of their names. Hidden ones are passed over, and links to
/// directories are not followed, so that a circle of links ends.
fn yaml_below(directory: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            yaml_below(&path, found)?;
        } else if load::is_yaml(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn one(path: &Path, file: &str, found: Found) -> (FileKind, Result<Content, Problems>) {
    let unknown = |problems| (FileKind::Unknown, Err(problems));
    let bytes = match load::read(path) {
        Ok(bytes) => bytes,
        Err(problems) => return unknown(problems),
    };
    let text = match syntax::text_of(file, &bytes) {
        Ok(text) => text,
        Err(problems) => return unknown(problems),
    };
    let tree = match syntax::tree_of(file, text) {
        Ok(tree) => tree,
        Err(problems) => return unknown(problems),
    };
    if tree.get("experiment").is_some() {
        let directory = path.parent().unwrap_or(Path::new("."));
        let experiment = load::experiment_of(file, text, tree).and_then(|e| match sense::runbook(&e, directory) {
            Some(problem) => Err(problem.into()),
            None => Ok(e),
        });
        return (FileKind::Experiment, experiment.map(|e| Content::Experiment(Box::new(e))));
    }
    if tree.get("environment").is_some() {
        return (FileKind::Estate, load::estate_of(file, text, tree).map(|e| Content::Estate(Box::new(e))));
    }
    if found == Found::InDirectory && tree.get("apiVersion").is_some() && tree.get("kind").is_some() {
        return (FileKind::Manifest, Ok(Content::Nothing));
    }
    unknown(unrecognised(file, text, tree).into())
}

/// A file that is neither. A slip in the first key is the likeliest cause.
fn unrecognised(file: &str, text: &str, tree: Node) -> Problem {
    let keys = tree.keys();
    let near = keys.iter().find_map(|key| nearest(key, ["experiment", "environment"]));
    let found = if keys.is_empty() { crate::spec::shape::describe(&tree) } else { all_of(keys.iter().copied()) };
    let problem = Problem::at(
        Code::Unrecognised,
        &tree.first(),
        &crate::spec::path::NodePath::default(),
        "this is neither an estate nor an experiment",
    )
    .found(found)
    .expected("`environment: NAME` (an estate) or `experiment: NAME` (an experiment)")
    .nearest(near);
    problem.in_source(&Arc::new(Source::new(file, text, tree, &[])))
}

impl CheckReport {
    /// Of an estate that is not there: nothing else was looked at.
    fn unfounded(estate: &Path, problems: Problems) -> Self {
        let file = estate.display().to_string();
        let report = FileReport { file, kind: FileKind::Unknown, name: None, fits: Vec::new(), problems };
        Self { format: FORMAT, sound: false, files: vec![report] }
    }

    /// As text for people: what is wrong, then a line per sound file, then the sum.
    pub fn render(&self, look: Look) -> String {
        let mut text = String::new();
        for problem in self.files.iter().flat_map(|f| &f.problems.0) {
            text.push_str(&problem.render(look));
            text.push('\n');
        }
        let width = self.files.iter().map(|f| f.file.chars().count()).max().unwrap_or(0).min(60);
        for file in self.files.iter().filter(|f| f.problems.0.is_empty()) {
            let _ = writeln!(text, " {} {:width$}  {}", mark(look, true), file.file, file.summary());
        }
        let broken = self.files.iter().filter(|f| !f.problems.0.is_empty()).count();
        let problems: usize = self.files.iter().map(|f| f.problems.0.len()).sum();
        let files = plural(self.files.len(), "file");
        if broken == 0 {
            let _ = writeln!(text, " {} {files}, nothing wrong", mark(look, true));
        } else {
            let _ = writeln!(text, " {} {} in {broken} of {files}", mark(look, false), plural(problems, "problem"));
        }
        text
    }
}

impl FileReport {
    fn summary(&self) -> String {
        match self.kind {
            FileKind::Estate => "estate".to_owned(),
            FileKind::Experiment if self.fits.is_empty() => "experiment, held against no estate".to_owned(),
            FileKind::Experiment => format!("experiment, fits {}", self.fits.join(" and ")),
            FileKind::Manifest => "passed over: a Kubernetes manifest".to_owned(),
            FileKind::Unknown => "not known".to_owned(),
        }
    }
}

fn mark(look: Look, sound: bool) -> &'static str {
    match (look, sound) {
        (Look::Plain, true) => "✓",
        (Look::Plain, false) => "✗",
        (Look::Colour, true) => "\u{1b}[32m✓\u{1b}[0m",
        (Look::Colour, false) => "\u{1b}[31m✗\u{1b}[0m",
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
