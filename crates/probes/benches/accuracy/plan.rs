//! What is done to the services: how often, and for how long. Always the same, so that runs can be compared.

use crate::truth::{Kind, Step};

/// Steps for the web service and for the database.
pub(crate) struct Plan {
    pub(crate) web: Vec<Step>,
    pub(crate) database: Vec<Step>,
}

/// A small generator (SplitMix64): nothing here needs to be unpredictable.
struct Dice(u64);

impl Dice {
    /// A number from 0 up to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Between two lengths, short ones as often as long ones by their ratio.
    fn length_ms(&mut self, from_ms: f64, to_ms: f64) -> u64 {
        let ms = from_ms * (to_ms / from_ms).powf(self.roll());
        ms as u64
    }
}

/// Every kind in turn; `share` of the whole plan (1 is all of it).
pub(crate) fn plan(share: f64) -> Plan {
    let mut dice = Dice(7);
    let count = |n: u32| (f64::from(n) * share).ceil() as usize;
    let mut web = Vec::new();
    for i in 0..count(36) {
        for kind in [Kind::BlackHole, Kind::WrongAnswer, Kind::Error] {
            if kind == Kind::Error && i % 2 == 1 {
                continue;
            }
            web.push(step(&mut dice, kind, i));
        }
        if i % 3 != 2 {
            for flap in 0..3 {
                let calm_ms = if flap == 0 { CALM_MS } else { dice.length_ms(60.0, 200.0) };
                web.push(Step { kind: Kind::Flapping, calm_ms, down_ms: dice.length_ms(50.0, 250.0) });
            }
        }
    }
    let mut database = Vec::new();
    // The kills come first: a stall leaves a probe with more sessions for some seconds, and as many processes to die.
    for kinds in [&[Kind::Killed][..], &[Kind::Stopped, Kind::ReadOnly]] {
        for i in 0..count(42) {
            for kind in kinds {
                if *kind != Kind::ReadOnly || i % 3 != 2 {
                    database.push(database_step(&mut dice, *kind, i));
                }
            }
        }
    }
    Plan { web, database }
}

/// The service is left alone for this long before an outage.
const CALM_MS: u64 = 400;

fn database_step(dice: &mut Dice, kind: Kind, turn: usize) -> Step {
    let mut step = step(dice, kind, turn);
    step.calm_ms += CALM_MORE_MS;
    if kind == Kind::Stopped {
        // Every sixth is shorter than the timeout, and no outage; none is so near to it that it may be either.
        step.down_ms = if turn % 6 == 5 { dice.length_ms(50.0, 80.0) } else { step.down_ms.max(130) };
    }
    step
}

/// A drill knows the pace of its service from a baseline; the database gets one behind each outage, since what had queued
/// up behind a stall is not its pace.
const CALM_MORE_MS: u64 = 800;

/// Most outages are short; every ninth is long.
fn step(dice: &mut Dice, kind: Kind, turn: usize) -> Step {
    let down_ms = if turn % 9 == 8 { dice.length_ms(2_000.0, 5_000.0) } else { dice.length_ms(50.0, 1_500.0) };
    // Sends must not fall into step with the plan.
    Step { kind, calm_ms: CALM_MS + dice.length_ms(1.0, 40.0), down_ms }
}
