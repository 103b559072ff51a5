//! How a firing becomes a drill.

use crate::filers::directory::{Directory, Layout};
use crate::filers::{Filer, FilerSpec};
use crate::runner::{self, Order, RunError, reporting};
use crate::store::Journal;
use firedrill_core::drill::Drill;
use firedrill_core::event::{Settings, Source};
use firedrill_core::report::Trigger;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How much longer a drill may take than its baseline and its deadline, for looking around, holding and giving back. What is
/// not over then is stopped, so that the next firing finds nobody in its place.
const SPARE: Duration = Duration::from_hours(2);

/// A drill that is to begin.
#[derive(Clone, Debug)]
pub struct Begin {
    /// Its id.
    pub drill: String,
    /// The experiment and the estate, as they were read.
    pub sources: [Arc<Source>; 2],
    /// What began it.
    pub trigger: Trigger,
}

/// How a drill ended for its firing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was closed and reported, with this verdict.
    Closed(String),
    /// It was opened, and something is still owed.
    Owed,
    /// It could not be opened.
    Failed(String),
}

/// Who carries drills out.
pub trait Drills: Send + Sync + 'static {
    /// Carries a drill out, from its opening to its report.
    fn run(&self, begin: Begin, abort: CancellationToken) -> impl Future<Output = Ended> + Send;
}

/// The runner of this program.
#[derive(Debug)]
pub struct Runner {
    /// Where drills are written down.
    pub journal: Arc<Journal>,
    /// Where reports go, besides what the estates say.
    pub out: Option<PathBuf>,
}

impl Drills for Runner {
    async fn run(&self, begin: Begin, abort: CancellationToken) -> Ended {
        let drill = begin.drill.clone();
        let why = match self.carry_out(begin, abort).await {
            Ok(ended) => return ended,
            Err(why) => why,
        };
        if matches!(self.journal.drill(&drill).await, Ok(None)) {
            return Ended::Failed(why.to_string());
        }
        // It is in the journal: what is owed of it is dealt with as that of any dead runner.
        tracing::error!(drill, %why, "the drill was broken off");
        Ended::Owed
    }
}

impl Runner {
    async fn carry_out(&self, begin: Begin, abort: CancellationToken) -> Result<Ended, RunError> {
        let sources = begin.sources.iter().map(|source| Source::clone(source)).collect();
        let order = Order::of(sources)?;
        let prepared = runner::prepare(order, begin.drill.clone(), begin.trigger, self.journal.dir()).await?;
        let limit = limit(&prepared.opening.settings);
        let (drill, lock) = runner::open(&self.journal, &prepared).await?;
        let (pictures, _shown) = watch::channel(runner::progress::Picture::default());
        let wedged = abort.clone();
        let watchdog = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            wedged.cancel();
        });
        let finish = runner::run_drill(prepared, drill, &self.journal, abort, pictures).await;
        watchdog.abort();
        let finish = finish?;
        let reported = reporting::report(&self.journal, &begin.drill, &self.filers(&finish.drill)).await?;
        reported.unfiled.iter().for_each(|why| tracing::error!(drill = begin.drill, "{why}"));
        if !finish.drill.closed {
            return Ok(Ended::Owed);
        }
        lock.retire(self.journal.dir(), &begin.drill);
        Ok(Ended::Closed(reported.report.judgement.verdict.word().to_owned()))
    }

    /// Where the reports of a drill go.
    pub fn filers(&self, drill: &Drill) -> Vec<Box<dyn Filer>> {
        let besides = self.out.as_ref().map(|dir| Box::new(Directory::new(dir, Layout::ByDrill)) as Box<dyn Filer>);
        besides.into_iter().chain(reporting::estate_filers(drill).iter().map(FilerSpec::build)).collect()
    }
}

/// How long a drill may take before it is stopped.
fn limit(settings: &Settings) -> Duration {
    Duration::from(settings.baseline_ns) * 2 + Duration::from(settings.deadline_ns) + SPARE
}
