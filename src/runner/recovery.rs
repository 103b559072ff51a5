//! What a dead runner left: taken over, undone, closed and reported. Nothing is ever injected again.

use crate::runner::dispatcher::{Finish, replayed, run_drill};
use crate::runner::opening::{RunError, host, reopen};
use crate::runner::progress::Picture;
use crate::store::{DrillLock, Journal};
use firedrill_core::effect::Epoch;
use firedrill_core::event::{Event, TakeOver};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A drill that was found open and is dealt with.
#[derive(Debug)]
pub struct Recovered {
    /// Its id.
    pub drill: String,
    /// Its experiment.
    pub experiment: String,
    /// How it ended; or why it could not be dealt with.
    pub finish: Result<Finish, RunError>,
}

/// Takes over every open drill of this journal whose runner is dead. Drills of living runners are left alone.
///
/// # Errors
/// When the journal cannot be read. What goes wrong with one drill does not keep the others from being dealt with.
pub async fn recover(
    journal: &Journal,
    why: &str,
    abort: &CancellationToken,
    pictures: &watch::Sender<Picture>,
) -> Result<Vec<Recovered>, RunError> {
    let mut recovered = Vec::new();
    for row in journal.drills().await?.into_iter().rev().filter(|row| !row.closed) {
        let lock = DrillLock::take(journal.dir(), &row.drill)
            .map_err(|source| RunError::Lock { path: journal.dir().to_owned(), source })?;
        let Some(lock) = lock else { continue };
        let finish = take_over(journal, &row.drill, why, abort.clone(), pictures.clone()).await;
        if matches!(&finish, Ok(f) if f.drill.closed) {
            lock.retire(journal.dir(), &row.drill);
        }
        recovered.push(Recovered { drill: row.drill, experiment: row.experiment, finish });
    }
    Ok(recovered)
}

async fn take_over(
    journal: &Journal,
    drill: &str,
    why: &str,
    abort: CancellationToken,
    pictures: watch::Sender<Picture>,
) -> Result<Finish, RunError> {
    let (records, _) = journal.records(drill).await?;
    let mut state = replayed(&records)?;
    let opening = state.opening.clone().expect("a stored drill has its opening");
    let prepared = reopen(&opening, journal).await?;
    let take_over = TakeOver { epoch: Epoch(state.epoch + 1), host: host(), why: why.to_owned() };
    journal.append(&mut state, &crate::clock::stamp(), vec![Event::TookOver(take_over)]).await?;
    run_drill(prepared, state, journal, abort, pictures).await
}
