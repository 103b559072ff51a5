//! `undo`: what dead runners left is put back, and reported.

use crate::cli::exit::Exit;
use crate::cli::run::failed;
use crate::cli::{Form, Setting, file, out, signals};
use crate::filers::FilerSpec;
use crate::runner::progress::Picture;
use crate::runner::{self, RunError};
use crate::spec::load;
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
    for recovered in runner::recover(journal, why, abort, pictures).await? {
        let intro = format!("drill {} ({}) was left open by a runner that died", recovered.drill, recovered.experiment);
        out::aside(&format!("{intro}: taken over\n"));
        match recovered.finish {
            Ok(finish) => {
                let to = estate_filers(&finish.drill);
                let (report, filed) = file::report(journal, &recovered.drill, &to, out_dir).await?;
                file::tell(&report, &filed, setting);
                if finish.drill.closed {
                    recovered.hold.retire(journal.dir(), &recovered.drill);
                } else {
                    worst = worst.worst(Exit::Residue);
                }
            }
            Err(e) => {
                out::error(&format!("{intro}, and could not be dealt with: {e}"));
                worst = worst.worst(Exit::Residue);
            }
        }
    }
    for (drill, hold) in runner::unreported(journal).await? {
        let Some(opening) = &drill.opening else { continue };
        out::aside(&format!(
            "drill {} ({}) was not reported by its runner: it is now\n",
            opening.drill, opening.experiment
        ));
        let (report, filed) = file::report(journal, &opening.drill, &estate_filers(&drill), out_dir).await?;
        file::tell(&report, &filed, setting);
        hold.retire(journal.dir(), &opening.drill);
    }
    Ok(worst)
}

/// Where the estate of a drill wants reports, from the journal's own copy of it.
fn estate_filers(drill: &Drill) -> Vec<FilerSpec> {
    let source = drill.opening.as_ref().and_then(|o| o.sources.iter().find(|s| s.role == "estate"));
    let parsed = source.and_then(|s| load::parse_estate(&s.path, s.text.as_bytes()).ok());
    parsed.map(|e| e.value.file).unwrap_or_default()
}
