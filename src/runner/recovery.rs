//! What a dead runner left: taken over, undone, closed and reported. Nothing is ever injected again.

use crate::runner::dispatcher::{Finish, replayed, run_drill};
use crate::runner::opening::{RunError, host, reopen};
use crate::runner::points;
use crate::runner::progress::Picture;
use crate::store::{DrillLock, Journal, UndoPermit};
use firedrill_core::drill::Drill;
use firedrill_core::effect::{Epoch, Holding, StepId};
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
    /// The hold on it, to be kept until it is reported.
    pub hold: DrillLock,
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
        if let Err(why) = release_late_locks(journal, &row.drill).await {
            // What is owed of the others is not kept waiting by an old drill whose estate may be long gone.
            tracing::warn!(drill = row.drill, %why, "could not be asked for a lock that landed late");
        }
    }
    for row in rows.into_iter().rev().filter(|row| !row.closed) {
        let Some(hold) = take(journal, &row.drill)? else { continue };
        let finish = take_over(journal, &row.drill, why, abort.clone(), pictures.clone()).await;
        recovered.push(Recovered { drill: row.drill, experiment: row.experiment, finish, hold });
    }
    Ok(recovered)
}

/// The drills that were closed, and whose runner died before it had reported them. Their holds are kept until somebody has.
///
/// # Errors
/// When the journal cannot be read.
pub async fn unreported(journal: &Journal) -> Result<Vec<(Drill, DrillLock)>, RunError> {
    let mut found = Vec::new();
    for row in journal.drills().await?.into_iter().rev().filter(|row| row.closed && row.verdict.is_none()) {
        if let Some(hold) = take(journal, &row.drill)? {
            let (records, _) = journal.records(&row.drill).await?;
            found.push((replayed(&records)?, hold));
        }
    }
    Ok(found)
}

fn take(journal: &Journal, drill: &str) -> Result<Option<DrillLock>, RunError> {
    DrillLock::take(journal.dir(), drill).map_err(|source| RunError::Lock { path: journal.dir().to_owned(), source })
}

/// A lock, or an agent, whose creation was on its way when its runner died, and that landed after the drill was closed, is put
/// away.
async fn release_late_locks(journal: &Journal, drill: &str) -> Result<(), RunError> {
    let (records, _) = journal.records(drill).await?;
    let state = replayed(&records)?;
    let Some(plan) = &state.plan else { return Ok(()) };
    let late = plan.ids().filter(|id| plan.step(*id).effect.may_land_late());
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
            tracing::warn!(object = effect.object(), why, "a lock or an agent that landed late could not be put away");
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
    points::reached("before take-over");
    journal.append(&mut state, &crate::clock::stamp(), vec![Event::TookOver(take_over)]).await?;
    points::reached("after take-over");
    run_drill(prepared, state, journal, abort, pictures).await
}
