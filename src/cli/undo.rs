//! `undo`: what dead runners left is put back, and reported.

use crate::cli::exit::Exit;
use crate::cli::run::failed;
use crate::cli::{Form, Setting, file, out, signals};
use crate::runner::progress::Picture;
use crate::runner::{self, Dealt, Left, RunError, reporting};
use crate::store::Journal;
use clap::Args;
use firedrill_core::drill::Drill;
use std::path::{Path, PathBuf};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Put back what is still owed of drills whose runner died, and report them.
#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// File the reports into DIR/EXPERIMENT, besides what their estates say
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Undo {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        match self.undo(setting).await {
            Ok(exit) => exit,
            Err(e) => failed(&e),
        }
    }

    async fn undo(&self, setting: &Setting) -> Result<Exit, RunError> {
        let journal = Journal::open(&setting.state_dir()).await?;
        let (pictures, shown) = watch::channel(Picture::default());
        let abort = signals::abort_token(shown, setting.state_dir());
        let owed = journal.drills().await?.iter().any(|d| !d.closed || d.verdict.is_none());
        if !owed && setting.form == Form::Text {
            out::line("nothing is owed: every drill of this journal is closed");
        }
        // Also when nothing is owed: a lock may have landed late.
        deal_with_the_dead(&journal, "a person's `undo`", &abort, &pictures, setting, self.out.as_deref()).await
    }
}

/// Takes over what dead runners left, and files its reports. [`Exit::Residue`] when something is still owed.
///
/// # Errors
/// When the journal cannot be read.
pub(crate) async fn deal_with_the_dead(
    journal: &Journal,
    why: &str,
    abort: &CancellationToken,
    pictures: &watch::Sender<Picture>,
    setting: &Setting,
    out_dir: Option<&Path>,
) -> Result<Exit, RunError> {
    let mut worst = Exit::Pass;
    let filers = |drill: &Drill| file::filers(&reporting::estate_filers(drill), out_dir);
    for Dealt { drill, experiment, left, reported, closed } in
        runner::deal_with_the_dead(journal, why, abort, pictures, filers).await?
    {
        let intro = match left {
            Left::Open => format!("drill {drill} ({experiment}) was left open by a runner that died"),
            Left::Unreported => format!("drill {drill} ({experiment}) was not reported by its runner: it is now"),
        };
        match reported {
            Ok(reported) => {
                let taken_over = if left == Left::Open { ": taken over" } else { "" };
                out::aside(&format!("{intro}{taken_over}\n"));
                reported.unfiled.iter().for_each(|why| out::error(why));
                file::tell(&reported.report, &reported.filed, setting);
            }
            Err(e) => out::error(&format!("{intro}, and could not be dealt with: {e}")),
        }
        if !closed {
            worst = worst.worst(Exit::Residue);
        }
    }
    Ok(worst)
}
