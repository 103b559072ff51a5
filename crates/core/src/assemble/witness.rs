//! What the looks at a database cluster and the ledger's acknowledgements say about its primaries.

use super::case::Case;
use crate::effect::{Effect, Part, Reply, StepId};
use crate::event::Event;
use crate::evidence::{ack_runs, gather};
use crate::exercised::{Evidence, Parting};
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
        Known::Known(evidence) => Known::Known(Evidence { parting: parting(case, step), ..evidence }),
        unknown @ Known::Unknown(_) => unknown,
    })
}

/// How the primary parted with its role, when what was done to it was confirmed: by an agent on its node, or by its failover
/// manager.
fn parting(case: &Case<'_>, step: StepId) -> Option<Parting> {
    let answered = case.records.iter().any(|r| match &r.event {
        Event::Replied(a) => a.step == step && a.reply == Reply::Applied,
        _ => false,
    });
    let confirmed = answered || case.drill.steps[usize::from(step.0)].seen_ours;
    match &case.plan()?.step(step).effect {
        Effect::Strike { victim, .. } => confirmed.then(|| {
            let name = &victim.pod.name;
            Parting::Lost(match victim.part {
                Part::All => format!(
                    "all processes of {name} were killed or stopped from its node: it could not give its role away"
                ),
                Part::Manager { .. } => format!(
                    "the failover manager of {name} was killed or stopped from its node: nobody there could give its role away"
                ),
            })
        }),
        Effect::Switchover { member, .. } => confirmed.then(|| {
            Parting::Asked(format!(
                "{member} was asked to hand its role over, and its failover manager says that it did"
            ))
        }),
        _ => None,
    }
}
