//! A preflight, written down as it is made: every check with what was expected and what was found.

use firedrill_core::event::{Check, Refusal};
use firedrill_core::time::Known;

/// The checks of a preflight, and the first thing that forbids the drill.
#[derive(Debug, Default)]
pub struct Preflight {
    checks: Vec<Check>,
    refusal: Option<Refusal>,
}

impl Preflight {
    /// Writes down something that must hold. `help` says what to do when it does not.
    pub fn require(
        &mut self,
        name: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
        ok: Known<bool>,
        help: impl Into<String>,
    ) {
        let check = Check::new(name, expected, found, ok);
        let why = match &check.ok {
            Known::Known(true) => None,
            Known::Known(false) => Some(format!("{}: {} (expected {})", check.name, check.found, check.expected)),
            Known::Unknown(why) => Some(format!("{} could not be told: {why}", check.name)),
        };
        if let (Some(why), None) = (why, &self.refusal) {
            self.refusal = Some(Refusal::new(why, help));
        }
        self.checks.push(check);
    }

    /// Writes down something worth knowing that forbids nothing.
    pub fn note(&mut self, name: &str, expected: impl Into<String>, found: impl Into<String>) {
        self.checks.push(Check::new(name, expected, found, Known::Known(true)));
    }

    /// Forbids the drill for a reason that is no check.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    /// Whether something forbids the drill already.
    pub fn refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// What the preflight came to: the plan when nothing forbids it.
    pub fn end(self, plan: Option<firedrill_core::plan::Plan>) -> firedrill_core::drill::Surveyed {
        let missing = || Refusal::new("the preflight made no plan", "See its checks.");
        let plan = match (self.refusal, plan) {
            (Some(refusal), _) => Err(refusal),
            (None, plan) => plan.ok_or_else(missing),
        };
        firedrill_core::drill::Surveyed { checks: self.checks, plan }
    }
}
