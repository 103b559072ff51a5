//! Files → typed values that still know where everything in them stands.

use crate::spec::estate::Estate;
use crate::spec::experiment::Experiment;
use crate::spec::problem::{Code, Problem, Problems};
use crate::spec::schema::{estate_schema, experiment_schema};
use crate::spec::source::Source;
use crate::spec::tree::Node;
use crate::spec::{fit, sense, shape, syntax};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A value with the file it came from.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its file.
    pub source: Arc<Source>,
}

/// An experiment and the estate it is for, both sound and fitting each other.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The experiment.
    pub experiment: Experiment,
    /// The estate.
    pub estate: Estate,
    /// Where everything in the experiment stands.
    pub experiment_source: Arc<Source>,
    /// Where everything in the estate stands.
    pub estate_source: Arc<Source>,
}

/// Reads and checks an experiment by itself.
///
/// # Errors
/// All that is wrong with it.
pub fn load_experiment(path: &Path) -> Result<Located<Experiment>, Problems> {
    let bytes = read(path)?;
    let loaded = parse_experiment(&path.display().to_string(), &bytes)?;
    sense::runbook(&loaded, path.parent().unwrap_or(Path::new("."))).map_or(Ok(loaded), |problem| Err(problem.into()))
}

/// Reads and checks an estate by itself.
///
/// # Errors
/// All that is wrong with it.
pub fn load_estate(path: &Path) -> Result<Located<Estate>, Problems> {
    parse_estate(&path.display().to_string(), &read(path)?)
}

/// An experiment from the bytes of a file that `file` names. Other files that it names are not looked at.
///
/// # Errors
/// All that is wrong with it.
pub fn parse_experiment(file: &str, bytes: &[u8]) -> Result<Located<Experiment>, Problems> {
    let text = syntax::text_of(file, bytes)?;
    experiment_of(file, text, syntax::tree_of(file, text)?)
}

/// An estate from the bytes of a file that `file` names.
///
/// # Errors
/// All that is wrong with it.
pub fn parse_estate(file: &str, bytes: &[u8]) -> Result<Located<Estate>, Problems> {
    let text = syntax::text_of(file, bytes)?;
    estate_of(file, text, syntax::tree_of(file, text)?)
}

pub(crate) fn experiment_of(file: &str, text: &str, tree: Node) -> Result<Located<Experiment>, Problems> {
    let loaded = typed(file, text, tree, experiment_schema())?;
    let problems = sense::experiment(&loaded);
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

pub(crate) fn estate_of(file: &str, text: &str, tree: Node) -> Result<Located<Estate>, Problems> {
    let loaded = typed(file, text, tree, estate_schema())?;
    let problems = sense::estate(&loaded);
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

/// Reads both files and holds them against each other.
///
/// # Errors
/// All that is wrong with either, and only then what does not fit.
pub fn load(experiment: &Path, estate: &Path) -> Result<Loaded, Problems> {
    match (load_experiment(experiment), load_estate(estate)) {
        (Ok(experiment), Ok(estate)) => resolve(experiment, estate),
        (Err(mut a), Err(b)) => {
            a.0.extend(b.0);
            Err(a)
        }
        (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => Err(problems),
    }
}

/// Holds an experiment against an estate: names resolve, kinds are right, the fault is allowed, the probes are fine enough.
///
/// # Errors
/// All that does not fit.
pub fn resolve(experiment: Located<Experiment>, estate: Located<Estate>) -> Result<Loaded, Problems> {
    let problems = fit::problems(&experiment, &estate);
    if problems.is_empty() {
        Ok(Loaded {
            experiment: experiment.value,
            estate: estate.value,
            experiment_source: experiment.source,
            estate_source: estate.source,
        })
    } else {
        Err(Problems(problems))
    }
}

/// The file of the estate that an experiment is to run in. `named` is a path, or a name that stands for
/// `estates/NAME.yaml` beside the experiment; without it there must be exactly one estate there.
///
/// # Errors
/// Which estates there are, when none or several could be meant.
pub fn find_estate(experiment: &Path, named: Option<&str>) -> Result<PathBuf, Problems> {
    let directory = experiment.parent().unwrap_or(Path::new(".")).join("estates");
    let known = estates_in(&directory);
    let there: Vec<String> = known.iter().filter_map(|p| Some(p.file_stem()?.to_str()?.to_owned())).collect();
    let listed = if there.is_empty() {
        "none".to_owned()
    } else {
        crate::spec::nearest::one_of(there.iter().map(String::as_str))
    };
    let file = experiment.display().to_string();
    let Some(named) = named else {
        return match known.as_slice() {
            [only] => Ok(only.clone()),
            _ => Err(Problem::whole(Code::UnknownName, "it is not said in which estate to run")
                .found(format!("{} estates in {}", known.len(), directory.display()))
                .expected("one")
                .help(format!("add `--estate NAME` (there: {listed}) or `--estate FILE`"))
                .in_file(&file)
                .into()),
        };
    };
    let by_name = known.iter().find(|p| p.file_stem().is_some_and(|stem| stem == named));
    let path = Path::new(named);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    by_name.cloned().ok_or_else(|| {
        Problem::whole(Code::UnknownName, format!("there is no estate `{named}`"))
            .found(format!("neither a file `{named}` nor {}", directory.join(format!("{named}.yaml")).display()))
            .expected(format!("one of the estates there: {listed}"))
            .nearest(crate::spec::nearest::nearest(named, there.iter().map(String::as_str)))
            .in_file(&file)
            .into()
    })
}

fn estates_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| is_yaml(p)).collect();
    files.sort();
    files
}

/// Whether a file is YAML by its name.
pub(crate) fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

/// The bytes of a file, at most one more than is ever taken, so that a device that never ends is refused too.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Problems> {
    let file = path.display().to_string();
    let unreadable = |why: &std::io::Error| {
        let help = match why.kind() {
            std::io::ErrorKind::NotFound => "is the path right, seen from where firedrill runs?",
            std::io::ErrorKind::PermissionDenied => "give the user that runs firedrill the right to read it",
            _ => "name a file that can be read",
        };
        Problem::whole(Code::Unreadable, "the file cannot be read").found(why.to_string()).help(help).in_file(&file)
    };
    let meta = std::fs::metadata(path).map_err(|e| Problems::from(unreadable(&e)))?;
    if !meta.is_file() {
        return Err(Problem::whole(Code::Unreadable, "this is no file")
            .found(if meta.is_dir() { "a directory" } else { "a device, a pipe or a socket" })
            .expected("a YAML file")
            .in_file(&file)
            .into());
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(syntax::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|f| f.take(limit).read_to_end(&mut bytes)).map_err(|e| Problems::from(unreadable(&e)))?;
    Ok(bytes)
}

pub(crate) fn typed<T: DeserializeOwned>(
    file: &str,
    text: &str,
    tree: Node,
    schema: &Value,
) -> Result<Located<T>, Problems> {
    let shape = shape::check(&tree, schema);
    let source = Arc::new(Source::new(file, text, tree, &shape.secrets));
    if !shape.problems.is_empty() {
        return Err(Problems(shape.problems.into_iter().map(|p| p.in_source(&source)).collect()));
    }
    let value = serde_saphyr::from_str_with_options(text, syntax::options())
        .map_err(|error| Problems::from(syntax::translate(&error, text).in_source(&source)))?;
    Ok(Located { value, source })
}
