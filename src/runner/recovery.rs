//! What a dead runner left: taken over, undone, closed and reported. Nothing is ever injected again.

use crate::runner::dispatcher::{Finish, replayed, run_drill};
use crate::runner::opening::{RunError, host, reopen};
use crate::runner::progress::Picture;
use crate::store::{DrillLock, Journal, UndoPermit};
use firedrill_core::effect::{Effect, Epoch, Holding, StepId};
use firedrill_core::event::{Event, TakeOver};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How many of the newest closed drills are looked at for locks that landed late.
const LATE_DRILLS: usize = 20;

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
    let rows = journal.drills().await?;
    for row in rows.iter().filter(|row| row.closed).take(LATE_DRILLS) {
        release_late_locks(journal, &row.drill).await?;
    }
    for row in rows.into_iter().rev().filter(|row| !row.closed) {
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

/// A lock whose creation was on its way when its runner died, and that landed after the drill was closed, is released.
async fn release_late_locks(journal: &Journal, drill: &str) -> Result<(), RunError> {
    let (records, _) = journal.records(drill).await?;
    let state = replayed(&records)?;
    let Some(plan) = &state.plan else { return Ok(()) };
    let late = plan.ids().filter(|id| matches!(plan.step(*id).effect, Effect::Lock { .. }));
    let late: Vec<(StepId, UndoPermit)> =
        late.filter_map(|id| UndoPermit::of_late_arrival(&state, id).map(|permit| (id, permit))).collect();
    if late.is_empty() {
        return Ok(());
    }
    let opening = state.opening.as_ref().expect("a stored drill has its opening");
    let prepared = reopen(opening, journal).await?;
    for (id, permit) in late {
        let effect = &plan.step(id).effect;
        if let Ok((Holding::Ours, version)) = prepared.hands.look(effect).await
            && let Err(why) = prepared.hands.undo(effect, &version, permit).await
        {
            tracing::warn!(object = effect.object(), why, "a lock that landed late could not be released");
        }
    }
    Ok(())
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
