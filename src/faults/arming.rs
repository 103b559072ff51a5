//! The steps that come before any fault: the lock at the target, the ledger's table.

use crate::targets::scene::Scene;
use firedrill_core::effect::{Effect, ObjectRef};
use firedrill_core::plan::{Ledgered, Stage, Step};

/// The lock is undone last of all.
pub(crate) const RANK_LOCK: u16 = 0;
/// The ledger's rows go before the lock.
pub(crate) const RANK_LEDGER: u16 = 10;
/// Staging goes before the ledger and the lock.
pub(crate) const RANK_STAGING: u16 = 20;
/// A fault is undone first.
pub(crate) const RANK_FAULT: u16 = 100;

/// The arming steps of a drill: the lock `(its Lease, its key)` and one ledger per target that a ledger probe writes to.
pub(crate) fn steps(scene: &Scene, lock: Option<(ObjectRef, String)>) -> Vec<Step> {
    let lock = lock.map(|(lease, key)| Effect::Lock { lease, key });
    let lock = lock.map(|effect| Step { stage: Stage::Arm, rank: RANK_LOCK, effect });
    let ledgers = scene.ledger_targets().into_iter().map(|target| Step {
        stage: Stage::Arm,
        rank: RANK_LEDGER,
        effect: Effect::Ledger { target: target.to_string() },
    });
    lock.into_iter().chain(ledgers).collect()
}

/// Whether the experiment counts acknowledged writes.
pub(crate) fn ledgered(scene: &Scene) -> Ledgered {
    if scene.ledger_targets().is_empty() { Ledgered::No } else { Ledgered::Yes }
}
