//! Restoring the chosen backup into staging, as work of a drill: what the effects have made ready, and nothing else, is used.

use crate::effects::Hands;
use crate::faults::restore_backup::RestoreBackup;
use crate::works::restore::phase::Progress;
use crate::works::restore::run::restore;
use firedrill_core::event::WorkResult;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Restores, and asks the questions. Cancelling ends it soon, with what it has seen so far.
pub async fn run(spec: &RestoreBackup, hands: &Hands, cancel: &CancellationToken) -> WorkResult {
    let target = spec.into.as_str();
    let Some(mut scratch) = hands.take_scratch(target).await else {
        return WorkResult::Failed("the scratch that it works in is not there".to_owned());
    };
    let job = match spec.job(&hands.scene).await {
        Ok(job) => job,
        Err(refusal) => {
            hands.return_scratch(target, scratch).await;
            return WorkResult::Failed(refusal.why);
        }
    };
    // A thread of its own: what it does by blocking delays nobody, and its borrowed phases stay on one thread.
    let (runtime, cancel) = (Handle::current(), cancel.clone());
    let worked = tokio::task::spawn_blocking(move || {
        let record = runtime.block_on(restore(&job, &mut scratch, &Progress::unwatched(), &cancel));
        (record, scratch)
    });
    match worked.await {
        Ok((record, scratch)) => {
            hands.return_scratch(target, scratch).await;
            WorkResult::Restore(Box::new(record))
        }
        // The handle went with the panic, and with it the keeper's pipe: the scratch ends by itself.
        Err(panic) => WorkResult::Failed(format!("bug: the restore did not end properly: {panic}")),
    }
}
