//! What the looks at a database cluster and the ledger's acknowledgements say about its primaries.

use super::case::Case;
use crate::effect::Effect;
use crate::evidence::{ack_runs, gather};
use crate::exercised::Evidence;
use crate::sample::Sample;
use crate::sight::Sight;
use crate::time::Known;

/// What is known of the primary that was killed and of its successors; `None` when the drill kills none.
pub(super) fn evidence(case: &Case<'_>) -> Option<Known<Evidence>> {
    let plan = case.plan()?;
    plan.steps.iter().find(|s| matches!(s.effect, Effect::Delete { .. }))?;
    let target = plan.watch.first()?;
    let (injected, _) = case.injection()?;
    let sights: Vec<Sight> = case.sights().cloned().collect();
    let lives = case.streams.iter().filter(|s| s.info.kind == "ledger").flat_map(|s| &s.lives);
    let streams: Vec<(&[Sample], &[String])> =
        lives.map(|life| (life.samples.as_slice(), life.nodes.as_slice())).collect();
    Some(gather(&sights, target, injected, ack_runs(&streams)))
}
