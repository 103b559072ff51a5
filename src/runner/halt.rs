//! Whether a runner is halted, as it is asked again and again: by the file beside its journal, and by an annotation of the
//! namespaces in which it acts.

use crate::halt::Halt;
use crate::spec::estate::Target;
use crate::targets::cluster::{HALT_ANNOTATION, Reader};
use crate::targets::scene::Scene;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// From one question to the next: with the answer it is heard within a second.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// How long an answer may be missing before nothing is injected any more.
pub(super) const BLIND_MAX: Duration = Duration::from_secs(5);

/// What is known of it.
#[derive(Clone, Debug)]
struct Known {
    /// Why it is halted.
    halted: Option<String>,
    /// When it was known last that nothing halts.
    clear_at: Instant,
    /// What kept the newest question from an answer.
    blind: Option<String>,
}

/// What the runner is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// It may go on.
    GoOn,
    /// It stops, for this reason.
    Stop(String),
    /// Nobody has been able to say for too long: it injects nothing.
    InjectNothing(String),
}

/// A watch of the halt, as long as it is kept.
#[derive(Debug)]
pub(super) struct HaltWatch {
    known: watch::Receiver<Known>,
    _asking: JoinSet<()>,
}

impl HaltWatch {
    /// Begins to ask.
    pub(super) fn begin(scene: &Scene) -> Self {
        let (tell, known) = watch::channel(Known { halted: None, clear_at: Instant::now(), blind: None });
        let (dir, reader, namespaces) = (scene.state_dir.clone(), scene.reader.clone(), namespaces(scene));
        let mut asking = JoinSet::new();
        asking.spawn(async move {
            loop {
                let asked = Instant::now();
                let answer = ask(&dir, reader.as_ref(), &namespaces).await;
                tell.send_modify(|known| match answer {
                    Ok(None) => *known = Known { halted: None, clear_at: asked, blind: None },
                    Ok(Some(why)) => known.halted = Some(why),
                    Err(why) => known.blind = Some(why),
                });
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        Self { known, _asking: asking }
    }

    /// What the runner is to do now.
    pub(super) fn order(&self) -> Order {
        let known = self.known.borrow();
        let blind = || known.blind.clone().unwrap_or_else(|| "no answer yet".to_owned());
        match &known.halted {
            Some(why) => Order::Stop(why.clone()),
            None if known.clear_at.elapsed() > BLIND_MAX => {
                let why = format!("whether it is halted could not be told for {} s: {}", BLIND_MAX.as_secs(), blind());
                Order::InjectNothing(why)
            }
            None => Order::GoOn,
        }
    }
}

/// The namespaces in which the drill acts.
fn namespaces(scene: &Scene) -> BTreeSet<String> {
    let estate = &scene.loaded.estate;
    let targets = scene.loaded.experiment.method.iter().flat_map(crate::faults::FaultSpec::targets);
    let namespace = |target: &Target| match target {
        Target::Postgres(db) => Some(db.namespace.to_string()),
        Target::Deployments(deployments) => Some(deployments.namespace.to_string()),
        Target::Backups(_) | Target::Staging(_) => None,
    };
    targets.filter_map(|name| estate.targets.get(name)).filter_map(namespace).collect()
}

/// Why it is halted, if it is.
async fn ask(dir: &Path, reader: Option<&Reader>, namespaces: &BTreeSet<String>) -> Result<Option<String>, String> {
    let file = Halt::read(dir).map_err(|e| format!("{}: {e}", Halt::file(dir).display()))?;
    if let Some(halt) = file {
        return Ok(Some(halt.words()));
    }
    let Some(reader) = reader else { return Ok(None) };
    for name in namespaces {
        let found = reader.namespace(name).await.map_err(|e| e.to_string())?;
        let annotations = found.and_then(|n| n.metadata.annotations).unwrap_or_default();
        if let Some(why) = annotations.get(HALT_ANNOTATION) {
            return Ok(Some(format!("halted by the annotation {HALT_ANNOTATION} of namespace {name}: {why}")));
        }
    }
    Ok(None)
}
