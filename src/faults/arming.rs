//! The steps that come before any fault: the lock at the target, the ledger's table.

use crate::spec::scalar::Span;
use crate::targets::scene::Scene;
use firedrill_core::effect::{Effect, Kind, ObjectRef, Post};
use firedrill_core::plan::{Ledgered, Stage, Step};

/// The lock is undone last of all.
pub(crate) const RANK_LOCK: u16 = 0;
/// The dead man stands until nothing else is left but the lock that it watches.
pub(crate) const RANK_DEAD_MAN: u16 = 5;
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

/// The dead man of a drill that scales, where the estate has one: it watches the lock.
pub(crate) fn dead_man(scene: &Scene, lease: &ObjectRef) -> Option<Step> {
    let estate = scene.loaded.estate.dead_man.as_ref()?;
    let job = ObjectRef {
        kind: Kind::Job,
        namespace: estate.namespace.to_string(),
        name: format!("firedrill-dead-man-{}", scene.drill),
        uid: None,
    };
    let post = Post {
        namespace: lease.namespace.clone(),
        lease: lease.name.clone(),
        after_s: seconds(estate.after),
        image: estate.image.clone(),
        service_account: estate.service_account.to_string(),
    };
    Some(Step { stage: Stage::Arm, rank: RANK_DEAD_MAN, effect: Effect::DeadMan { job, post } })
}

/// Whole seconds, at least one.
fn seconds(span: Span) -> u32 {
    u32::try_from(span.0.0.div_ceil(1_000_000_000)).unwrap_or(u32::MAX).max(1)
}

/// Whether the experiment counts acknowledged writes.
pub(crate) fn ledgered(scene: &Scene) -> Ledgered {
    if scene.ledger_targets().is_empty() { Ledgered::No } else { Ledgered::Yes }
}
