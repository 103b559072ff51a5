//! `run`: one drill, from its file to its report.

use crate::cli::exit::Exit;
use crate::cli::{Setting, file, live, out, signals, undo};
use crate::runner::{self, Order, RunError};
use crate::spec::load;
use crate::store::Journal;
use clap::Args;
use firedrill_core::report::Trigger;
use std::path::PathBuf;
use tokio::sync::watch;

/// Run the drill of an experiment.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The experiment
    #[arg(value_name = "FILE")]
    experiment: PathBuf,
    /// The estate: a name that stands for `estates/NAME.yaml` beside the experiment, or a file
    #[arg(long, value_name = "NAME")]
    estate: Option<String>,
    /// File the report into DIR/EXPERIMENT, besides what the estate says
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Run {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        match Box::pin(self.run(setting)).await {
            Ok(exit) => exit,
            Err(e) => failed(&e),
        }
    }

    async fn run(&self, setting: &Setting) -> Result<Exit, RunError> {
        let estate = load::find_estate(&self.experiment, self.estate.as_deref())?;
        // The files are read before the journal is opened: a typo needs no state directory.
        let order = Order::read(&self.experiment, &estate)?;
        let journal = Journal::open(&setting.state_dir()).await?;
        let (pictures, shown) = watch::channel(runner::progress::Picture::default());
        let abort = signals::abort_token(shown.clone(), setting.state_dir());
        let left = undo::deal_with_the_dead(
            &journal,
            "a start after a crash",
            &abort,
            &pictures,
            setting,
            self.out.as_deref(),
        )
        .await?;
        if left == Exit::Residue {
            return Ok(left);
        }
        let prepared = runner::prepare(order, runner::new_drill(), trigger(), journal.dir()).await?;
        let id = prepared.opening.drill.clone();
        let to = prepared.scene.loaded.estate.file.clone();
        let (drill, lock) = runner::open(&journal, &prepared).await?;
        let screen = live::begin(shown, &prepared, setting.form);
        let finish = runner::run_drill(prepared, drill, &journal, abort, pictures).await;
        screen.end().await;
        let finish = finish?;
        let (report, filed) = file::report(&journal, &id, &to, self.out.as_deref()).await?;
        if finish.drill.closed {
            lock.retire(journal.dir(), &id);
        }
        Ok(file::tell(&report, &filed, setting).worst(left))
    }
}

/// Who ran it, as far as the machine knows.
fn trigger() -> Trigger {
    Trigger::Hand(format!("{}, by hand", person()))
}

/// The name of whoever types, as far as the machine knows it.
pub(crate) fn person() -> String {
    std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "somebody".to_owned())
}

/// Says why a drill could not be run, and gives the exit code.
pub(crate) fn failed(error: &RunError) -> Exit {
    match error {
        RunError::Spec(problems) => {
            out::aside(&problems.render(out::look()));
            Exit::Usage
        }
        RunError::File { .. } => {
            out::error(&error.to_string());
            Exit::Usage
        }
        RunError::Append(crate::store::AppendError::Illegal(_)) => {
            out::error(&format!("{error}. This is a bug of firedrill; what was done has been put back."));
            Exit::Bug
        }
        _ => {
            out::error(&error.to_string());
            Exit::Refused
        }
    }
}
