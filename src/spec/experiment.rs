//! The experiment: what is done, what is expected, and what would be good enough.

use crate::faults::FaultSpec;
use crate::spec::one_or_many::OneOrMany;
use crate::spec::scalar::{Name, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One experiment. A drill is one execution of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Experiment {
    /// Its name.
    pub experiment: Name,
    /// One sentence that says what should hold: the hypothesis.
    pub title: String,
    /// Who answers for it.
    pub owner: String,
    /// More, for readers of the report.
    pub description: Option<String>,
    /// The page to follow when it goes wrong, relative to this file.
    pub runbook: Option<String>,
    /// What is good enough.
    pub objectives: Objectives,
    /// The probes of the estate that watch.
    #[serde(default)]
    pub probes: Vec<Name>,
    /// Probes that watch and do not count towards the recovery time, each with the reason.
    #[serde(default)]
    pub exclude: BTreeMap<Name, String>,
    /// What is done, in order.
    pub method: Vec<FaultSpec>,
    /// How long everything must be healthy first.
    #[serde(default)]
    pub baseline: Baseline,
    /// What recovery is, and how long it may take.
    #[serde(default)]
    pub recover: Recover,
    /// When to stop and undo.
    #[serde(default)]
    pub abort_when: Vec<AbortRule>,
    /// When the daemon runs it: a schedule, or a list of them.
    pub schedule: Option<OneOrMany<Schedule>>,
    /// How long it may go without a pass before the daemon says so.
    pub pass_every: Option<Span>,
}

impl Experiment {
    /// What its schedules say, for people.
    pub fn schedule_words(&self) -> String {
        let all: Vec<String> = self.schedule.iter().flatten().map(Schedule::words).collect();
        all.join(", ")
    }
}

/// What is good enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Objectives {
    /// Recovery time objective: how long users may be without the service.
    pub rto: Option<Span>,
    /// Recovery point objective: how much acknowledged data may be lost, as time. For a backup: its worst-case age.
    pub rpo: Option<Span>,
    /// How long a restore may take, from finding the backup to its last check.
    pub restore: Option<Span>,
    /// How long until all members are back and streaming, all replicas ready.
    pub redundancy: Option<Span>,
    /// Added to a recovery that firedrill begins itself, since nobody had to notice and decide.
    pub detect_and_decide: Option<Span>,
    /// Where these come from, for example `BIA-2026-04`.
    pub source: Option<String>,
}

/// How long everything must be healthy first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Baseline {
    /// The time.
    pub r#for: Span,
    /// How many failed samples each stream may have in it.
    pub tolerate: u32,
}

impl Default for Baseline {
    fn default() -> Self {
        Self { r#for: Span::secs(10), tolerate: 0 }
    }
}

/// What recovery is, and how long it may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Recover {
    /// What must have happened for the drill to prove anything.
    pub expect: Option<Expect>,
    /// K: how long every answer must be right before the service counts as recovered.
    pub stable_for: Span,
    /// When to stop waiting, counted from the injection.
    pub deadline: Span,
}

impl Default for Recover {
    fn default() -> Self {
        Self { expect: None, stable_for: Span::secs(5), deadline: Span::secs(300) }
    }
}

/// What must have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// The primary was lost and another took over.
    Failover,
    /// The primary gave its role away while stopping.
    HandOver,
    /// Either of the two.
    Promotion,
    /// The same member came back as primary.
    Restart,
}

/// When to stop and undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AbortRule {
    /// This probe has been down …
    pub down: Name,
    /// … for this long without a break.
    pub r#for: Span,
}

/// When the daemon runs it: again and again by `cron`, or once, `at` a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schedule {
    /// Five fields (minute hour day month weekday), or `@weekly` and the like. 0 and 7 are Sunday.
    pub cron: Option<String>,
    /// One date and time, for example `2026-12-05 10:00`.
    pub at: Option<String>,
    /// The time zone both are read in, for example `Asia/Tashkent`.
    pub timezone: String,
    /// What becomes of a firing that was missed.
    #[serde(default)]
    pub missed: Missed,
    /// By how much at most each firing is put off, always by the same: so that many do not begin in one second.
    pub jitter: Option<Span>,
}

impl Schedule {
    /// What it says, for people: `0 10 * * Tue Asia/Tashkent`.
    pub fn words(&self) -> String {
        format!("{} {}", self.cron.as_ref().or(self.at.as_ref()).map_or("", String::as_str), self.timezone)
    }
}

/// What becomes of a firing that was missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// It is recorded as missed.
    #[default]
    Skip,
    /// It is run once, at most this long after its time.
    RunOnceWithin(Span),
}
