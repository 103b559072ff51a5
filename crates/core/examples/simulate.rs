//! The simulation of the drill against its adversary, with budgets of choice: `simulate --effects 4 --whole 2 [--mutants]`.
//!
//! Prints one line for each scenario, and the first schedule that went wrong; exits with 1 when there was one.

use firedrill_core::simulation::{Found, Scenario, Until, explore, mutants};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut budgets = (3, 2);
    let mut with_mutants = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse().ok());
        match arg.as_str() {
            "--effects" => budgets.0 = number().unwrap_or(budgets.0),
            "--whole" => budgets.1 = number().unwrap_or(budgets.1),
            "--mutants" => with_mutants = Some(()),
            other => {
                let _ = writeln!(std::io::stderr(), "{other} is not known; try --effects N --whole N --mutants");
                return ExitCode::from(2);
            }
        }
    }
    let mut out = std::io::stdout();
    let mut sound = true;
    let wholes = Scenario::wholes().map(|scenario| (scenario, budgets.1));
    for (scenario, budget) in [(Scenario::effects(), budgets.0)].into_iter().chain(wholes) {
        let found = explore(&scenario, budget, None, Until::Exhausted);
        sound &= found.bad == 0;
        line(&mut out, scenario.name, budget, &found);
    }
    if with_mutants.is_some() {
        for mutant in mutants() {
            let caught = mutant.hunt();
            sound &= caught.bad > 0;
            let name = format!("{:?}", mutant.mutant);
            line(&mut out, &name, mutant.budget, &caught);
        }
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(out: &mut impl Write, name: &str, budget: u8, found: &Found) {
    let _ = writeln!(
        out,
        "{name:28} {budget} moves {:>16.0} schedules {:>9} states {:>7} bad {:>8.1} s",
        found.schedules,
        found.states,
        found.bad,
        found.took.as_secs_f64()
    );
    if let Some((moves, why)) = &found.first {
        let _ = writeln!(out, "    {why}\n    after: {}", moves.join("; then "));
    }
}
