//! The simulation as a test: small budgets every time, and every mutant caught. `examples/simulate` goes further.

use super::{Found, Scenario, Until, explore, mutants};

fn sound(scenario: &Scenario, budget: u8) -> Found {
    let found = explore(scenario, budget, None, Until::Exhausted);
    let Found { states, bad, first, .. } = &found;
    assert!(first.is_none(), "{}: {bad} schedules went wrong in {states} states; the first: {first:#?}", scenario.name);
    found
}

#[test]
fn nothing_goes_wrong_undisturbed() {
    for scenario in Scenario::wholes().iter().chain([&Scenario::effects()]) {
        let found = sound(scenario, 0);
        assert!(found.states > 20, "{} is too short to be a drill: {} states", scenario.name, found.states);
    }
}

#[test]
fn effects_survive_every_schedule() {
    let found = sound(&Scenario::effects(), 2);
    assert!(found.schedules > 10_000.0, "the adversary did too little: {} schedules", found.schedules);
}

#[test]
fn whole_drills_survive_every_schedule() {
    for scenario in Scenario::wholes() {
        let found = sound(&scenario, 2);
        assert!(found.schedules > 80.0, "the adversary did too little: {} schedules", found.schedules);
    }
}

#[test]
fn every_broken_rule_is_noticed() {
    let unnoticed: Vec<_> = mutants().into_iter().filter(|hunt| hunt.hunt().bad == 0).map(|hunt| hunt.mutant).collect();
    assert!(unnoticed.is_empty(), "nobody noticed the loss of {unnoticed:?}");
}
