//! What dead runners left behind: put back, closed, reported.

use crate::filers::Filer;
use crate::runner::progress::Picture;
use crate::runner::reporting::{self, Reported};
use crate::runner::{RunError, recover, unreported};
use crate::store::Journal;
use firedrill_core::drill::Drill;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// One drill of a runner that died.
#[derive(Debug)]
pub struct Dealt {
    /// Its id.
    pub drill: String,
    /// Its experiment.
    pub experiment: String,
    /// What was left of it.
    pub left: Left,
    /// Its report; or why it could not be dealt with.
    pub reported: Result<Reported, RunError>,
    /// Whether nothing of it is owed any more.
    pub closed: bool,
}

/// What a dead runner left of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// All of it: the drill was open, and was taken over.
    Open,
    /// Only the report was missing.
    Unreported,
}

/// Takes over every drill that a dead runner left open, and reports it and those that were only not reported yet. `filers`
/// names where reports of a drill go.
///
/// # Errors
/// When the journal cannot be read. What goes wrong with one drill does not keep the others from being dealt with.
pub async fn deal_with_the_dead(
    journal: &Journal,
    why: &str,
    abort: &CancellationToken,
    pictures: &watch::Sender<Picture>,
    filers: impl Fn(&Drill) -> Vec<Box<dyn Filer>>,
) -> Result<Vec<Dealt>, RunError> {
    let mut dealt = Vec::new();
    for recovered in recover(journal, why, abort, pictures).await? {
        let (drill, experiment) = (recovered.drill, recovered.experiment);
        let (reported, closed) = match recovered.finish {
            Ok(finish) => {
                let reported = reporting::report(journal, &drill, &filers(&finish.drill)).await?;
                if finish.drill.closed {
                    recovered.hold.retire(journal.dir(), &drill);
                }
                (Ok(reported), finish.drill.closed)
            }
            Err(e) => (Err(e), false),
        };
        dealt.push(Dealt { drill, experiment, left: Left::Open, reported, closed });
    }
    for (state, hold) in unreported(journal).await? {
        let Some(opening) = &state.opening else { continue };
        let reported = reporting::report(journal, &opening.drill, &filers(&state)).await?;
        hold.retire(journal.dir(), &opening.drill);
        let (drill, experiment) = (opening.drill.clone(), opening.experiment.clone());
        dealt.push(Dealt { drill, experiment, left: Left::Unreported, reported: Ok(reported), closed: true });
    }
    Ok(dealt)
}
