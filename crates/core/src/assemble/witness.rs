//! What the looks at a database cluster and the ledger's acknowledgements say about its primaries.

use super::case::Case;
use crate::effect::{Effect, Reply, StepId};
use crate::event::Event;
use crate::evidence::{ack_runs, gather};
use crate::exercised::Evidence;
use crate::sample::Sample;
use crate::sight::Sight;
use crate::time::Known;

/// What is known of the primary that was killed and of its successors; `None` when the drill kills none.
pub(super) fn evidence(case: &Case<'_>) -> Option<Known<Evidence>> {
    let plan = case.plan()?;
    let step = plan.ids().find(|id| plan.step(*id).effect.takes().is_some())?;
    let target = plan.watch.first()?;
    let (injected, _) = case.injection()?;
    let sights: Vec<Sight> = case.sights().cloned().collect();
    let lives = case.streams.iter().filter(|s| s.info.kind == "ledger").flat_map(|s| &s.lives);
    let streams: Vec<(&[Sample], &[String])> =
        lives.map(|life| (life.samples.as_slice(), life.nodes.as_slice())).collect();
    let gathered = gather(&sights, target, injected, ack_runs(&streams));
    Some(match gathered {
        Known::Known(evidence) => Known::Known(Evidence { lost: struck(case, step), ..evidence }),
        unknown @ Known::Unknown(_) => unknown,
    })
}

/// How it is known that the primary had no chance to give its role away: an agent on its node confirmed that all of its
/// processes were killed or stopped.
fn struck(case: &Case<'_>, step: StepId) -> Option<String> {
    let Effect::Strike { victim, .. } = &case.plan()?.step(step).effect else { return None };
    let state = &case.drill.steps[usize::from(step.0)];
    let confirmed = state.seen_ours
        || case.records.iter().any(|r| match &r.event {
            Event::Replied(a) => a.step == step && a.reply == Reply::Applied,
            _ => false,
        });
    let how = format!(
        "all processes of {} were killed or stopped from its node: it could not give its role away",
        victim.pod.name
    );
    confirmed.then_some(how)
}
