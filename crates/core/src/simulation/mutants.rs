//! The rules that are broken on purpose, and where their breaking shows.

use super::{Found, Mutant, Scenario, Slip, Until, explore};
use crate::rule::Rule;

/// A broken rule, and the least that shows it.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// What is broken.
    pub mutant: Mutant,
    /// Where it shows.
    pub scenario: Scenario,
    /// With how many moves.
    pub budget: u8,
}

impl Hunt {
    /// Looks for the harm, until it is found.
    pub fn hunt(&self) -> Found {
        explore(&self.scenario, self.budget, Some(self.mutant), Until::Bad)
    }
}

/// Every rule, broken one at a time.
pub fn mutants() -> Vec<Hunt> {
    let (effects, held, killed) = (Scenario::effects, Scenario::held, Scenario::killed);
    let rule = |rule, scenario: Scenario, budget| Hunt { mutant: Mutant::Rule(rule), scenario, budget };
    let slip = |slip, budget| Hunt { mutant: Mutant::Slip(slip), scenario: effects(), budget };
    vec![
        rule(Rule::OweTheUnconfirmed, effects(), 1),
        rule(Rule::TakeOverOnlyUndoes, effects(), 1),
        rule(Rule::TakeOverFences, effects(), 2),
        rule(Rule::LostAnswersFence, effects(), 2),
        rule(Rule::AwaitInFlight, held(), 2),
        rule(Rule::LeaveOthersValues, effects(), 1),
        rule(Rule::LockGoesLast, effects(), 1),
        rule(Rule::ArmedAfterInjected, held(), 1),
        rule(Rule::WavesInOrder, held(), 0),
        rule(Rule::CloseOnlyClean, effects(), 0),
        rule(Rule::NoIntentWhileUndoing, effects(), 2),
        rule(Rule::BaselineFirst, held(), 0),
        rule(Rule::ReadAfterProbing, held(), 0),
        rule(Rule::HoldAtLeast, held(), 0),
        rule(Rule::KeepDownUntilPromoted, Scenario::kept_down(), 0),
        rule(Rule::BackOnlyAfterwards, Scenario::unmanaged(), 0),
        rule(Rule::FreshSights, held(), 1),
        rule(Rule::StableAtTheEnd, killed(), 0),
        rule(Rule::MeasureOnce, killed(), 1),
        rule(Rule::GiveUpHopeless, effects(), 1),
        rule(Rule::StoppedMeansStopped, held(), 1),
        rule(Rule::BootsDiffer, held(), 1),
        rule(Rule::RememberOurs, effects(), 1),
        slip(Slip::Touch, 2),
        slip(Slip::RecordedVersion, 2),
        slip(Slip::DeleteOnVersion, 2),
        slip(Slip::RecordFirst, 0),
        slip(Slip::LookAgain, 1),
        slip(Slip::UndoOnVersion, 1),
    ]
}
