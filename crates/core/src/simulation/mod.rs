//! The real [`Drill`](crate::drill::Drill) against an adversary: every schedule of crashes, lost, late and refused requests,
//! stalls, hand edits, moved versions, dead men, outages of the API, reboots and aborts, up to a budget of moves.
//!
//! The search goes depth first over states, and each state is explored once for each budget that is left, so that the
//! number of schedules covered is far above the number of states looked at. It assumes what the real effects keep to:
//! writes to objects are conditional on versions and UIDs; what is local dies with its process; the session of a database
//! is ended by the fence; a lock that is made late is let go by whoever finds it beside the closed drill's journal.

mod adversary;
mod fingerprint;
mod mutants;
mod runner;
mod scenario;
mod witness;
mod world;

#[cfg(test)]
mod tests;

pub use adversary::Slip;
pub use mutants::{Hunt, mutants};
pub use scenario::Scenario;

use crate::rule::{Rule, weaken};
use runner::State;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// One rule that is broken to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A rule of the drill.
    Rule(Rule),
    /// A rule of the runner.
    Slip(Slip),
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Found {
    /// How many different states were met.
    pub states: usize,
    /// How many schedules they stand for.
    pub schedules: f64,
    /// How many of the states were wrong.
    pub bad: usize,
    /// The first wrong one: the moves that led there, and what was wrong.
    pub first: Option<(Vec<String>, String)>,
    /// How long it took.
    pub took: Duration,
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Everything was explored.
    Exhausted,
    /// Something wrong was found.
    Bad,
}

/// Explores every schedule of a scenario with at most `budget` moves of the adversary.
///
/// # Panics
/// When the thread of the search cannot be started.
pub fn explore(scenario: &Scenario, budget: u8, mutant: Option<Mutant>, until: Until) -> Found {
    let scenario = scenario.clone();
    let search = move || {
        weaken(if let Some(Mutant::Rule(rule)) = mutant { Some(rule) } else { None });
        Slip::make(if let Some(Mutant::Slip(slip)) = mutant { Some(slip) } else { None });
        let began = Instant::now();
        let mut search = Search { scenario: &scenario, known: HashMap::new(), bad: 0, first: None, until };
        let schedules = search.visit(State::new(&scenario, budget));
        Found { states: search.known.len(), schedules, bad: search.bad, first: search.first, took: began.elapsed() }
    };
    // The search is as deep as the longest schedule.
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(search);
    thread.expect("a thread for the search").join().expect("the search itself does not fail")
}

struct Search<'a> {
    scenario: &'a Scenario,
    known: HashMap<u128, f64>,
    bad: usize,
    first: Option<(Vec<String>, String)>,
    until: Until,
}

impl Search<'_> {
    /// How many schedules go on from a state.
    fn visit(&mut self, mut state: State) -> f64 {
        if self.until == Until::Bad && self.bad > 0 {
            return 0.0;
        }
        let Some(op) = state.settle(self.scenario) else {
            self.finish(state);
            return 1.0;
        };
        let key = fingerprint::of(&state, &op);
        if let Some(schedules) = self.known.get(&key) {
            return *schedules;
        }
        let mut schedules = 0.0;
        for next in adversary::moves(&state, &op, self.scenario) {
            schedules += self.visit(next);
        }
        state.perform(self.scenario, op);
        schedules += self.visit(state);
        self.known.insert(key, schedules);
        schedules
    }

    /// Judges the end of a schedule, after everything that was late has arrived.
    fn finish(&mut self, mut state: State) {
        while !state.world.parked.is_empty() {
            state.deliver(self.scenario, 0);
        }
        if state.trouble.is_none() {
            if state.log.is_some() && !state.witness.closed {
                state.fail("it ended and is not closed");
            }
            if let Err(why) = state.witness.clean(self.scenario, &state.world) {
                state.fail(why);
            }
        }
        let Some(why) = state.trouble else { return };
        self.bad += 1;
        if self.first.is_none() {
            let mut moves = Vec::new();
            let mut at = &state.trace;
            while let Some(trace) = at {
                moves.push(trace.what.clone());
                at = &trace.before;
            }
            moves.reverse();
            self.first = Some((moves, why));
        }
    }
}
