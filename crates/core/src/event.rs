//! The journal's words: everything that happened to a drill, in one order. State and report are made of these alone.

use crate::change::Change;
use crate::effect::{Epoch, Holding, Reply, StepId, Undone, Version};
use crate::exercised::Expected;
use crate::plan::{Plan, Work};
use crate::report::Trigger;
use crate::restore::RestoreRecord;
use crate::sample::StreamInfo;
use crate::sight::Sight;
use crate::time::{Known, Mono, Nanos, Stamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Its number, from 0, without gaps.
    pub seq: u64,
    /// The term of the runner that wrote it.
    pub epoch: Epoch,
    /// When it was written.
    pub at: Stamp,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The drill exists. Everything it was asked to be is in here, so that nothing else is needed to close it.
    Opened(Box<Opening>),
    /// The preflight was made.
    Checked(Vec<Check>),
    /// The drill will not be done.
    Refused(Refusal),
    /// What will be done is decided.
    Planned(Box<Plan>),
    /// The probes were started.
    ProbingBegan(Vec<StreamInfo>),
    /// The probes were stopped and their last answers awaited. By stream, the addresses of the servers that answered;
    /// a sample's `node` is an index into it.
    ProbingEnded(Vec<Vec<String>>),
    /// Everything was healthy for the declared time.
    BaselineHeld,
    /// Another runner, or the same after a crash, took the drill over. From here on it only undoes.
    TookOver(TakeOver),
    /// What the old runner may still have under way can no longer land.
    Fenced,
    /// These effects are about to be performed.
    Intended(Vec<Intent>),
    /// What came back.
    Replied(Answered),
    /// A target looks different from before.
    Sighted(Sight),
    /// A target that was sighted before looks different in this: what was not told again is as it was.
    Changed(Change),
    /// The fault was seen at its target.
    Landed {
        /// When it was seen.
        at: Mono,
        /// By what it was seen.
        evidence: String,
    },
    /// The fault was never seen at its target.
    NotLanded(String),
    /// Somebody undid the fault before it had lasted as declared.
    Unsustained {
        /// Who or what, as far as it is known.
        by: String,
    },
    /// Users lost the service, as the fault meant: no ready endpoint, and the probes that watch it are down.
    LossSeen,
    /// Another member was seen to have taken over from the one that is kept down: it may be let go.
    PromotionSeen {
        /// Its pod.
        by: String,
    },
    /// firedrill begins to bring the service back.
    HealBegan,
    /// A wave was put back and is ready.
    WaveReady(u16),
    /// Long work began.
    WorkBegan(Work),
    /// Long work ended.
    WorkEnded(WorkEnd),
    /// Every counted view answered rightly for the whole stable time.
    Stable,
    /// Redundancy is back.
    Redundant,
    /// The time for recovery is over.
    DeadlinePassed,
    /// A guard stopped the drill.
    GuardTripped(String),
    /// A person, or the system on their behalf, stopped the drill.
    AbortAsked(String),
    /// From here on nothing is injected, and what is owed is put back.
    UndoBegan(String),
    /// A look at what a step changed, made before it is put back.
    Looked {
        /// The step.
        step: StepId,
        /// What was seen.
        holding: Holding,
    },
    /// A step is settled.
    Undone {
        /// The step.
        step: StepId,
        /// How.
        outcome: Undone,
    },
    /// An attempt to settle a step failed; others go on, and it is tried again.
    UndoFailed {
        /// The step.
        step: StepId,
        /// What went wrong.
        why: String,
    },
    /// Chunks of samples are stored.
    SamplesSealed(Vec<ChunkSeal>),
    /// The wall clock stepped by this much.
    ClockStepped {
        /// Nanoseconds, positive when it was set forward.
        by_ns: i64,
    },
    /// This runner can do no more for now, and something is still owed.
    Suspended {
        /// The steps that are owed.
        owed: Vec<StepId>,
    },
    /// Nothing is owed, and the drill is over.
    Closed,
}

/// What a drill was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opening {
    /// The drill's id: a time-ordered UUID.
    pub drill: String,
    /// The experiment's name.
    pub experiment: String,
    /// The word of its fault or operation.
    pub fault: String,
    /// The environment.
    pub environment: String,
    /// Who or what began it: a person's command, a schedule.
    pub trigger: Trigger,
    /// The version of firedrill.
    pub version: String,
    /// The host of the runner.
    pub host: String,
    /// The files it was made of, as text, so that a later runner needs nothing else.
    pub sources: Vec<Source>,
    /// What the pure core needs of them to go on.
    pub settings: Settings,
    /// What it needs of them to report.
    pub brief: Brief,
}

/// What the experiment says about itself, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Brief {
    /// One sentence: what should hold.
    pub title: String,
    /// Who answers for it.
    pub owner: String,
    /// More, for readers.
    pub description: Option<String>,
    /// The page to follow when it goes wrong.
    pub runbook: Option<String>,
    /// What is good enough.
    pub objectives: Objectives,
    /// What must have happened for the drill to prove anything.
    pub expect: Option<Expected>,
    /// Its schedule, for people: `0 10 * * Tue Asia/Tashkent`.
    pub schedule: Option<String>,
}

/// What is good enough. None that is not declared is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Objectives {
    /// Recovery time.
    pub rto_ns: Option<Nanos>,
    /// Loss of acknowledged data, as time; of a backup its worst-case age.
    pub rpo_ns: Option<Nanos>,
    /// The duration of a restore.
    pub restore_ns: Option<Nanos>,
    /// Until all members are back.
    pub redundancy_ns: Option<Nanos>,
    /// Declared for noticing and deciding, and added when firedrill heals.
    pub detect_and_decide_ns: Option<Nanos>,
    /// Where they come from.
    pub source: Option<String>,
}

/// A file that the drill was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// `experiment` or `estate`.
    pub role: String,
    /// Its path, as it was given.
    pub path: String,
    /// SHA-256 of the text, hexadecimal.
    pub sha256: String,
    /// The text. Secrets are only referred to in it.
    pub text: String,
}

/// The rules of this drill that decide what is done when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How long everything must be healthy first.
    pub baseline_ns: Nanos,
    /// How many failed samples a stream may have in that time.
    pub tolerate: u32,
    /// K.
    pub stable_ns: Nanos,
    /// How long recovery may take, from the injection.
    pub deadline_ns: Nanos,
    /// How long the fault may take to be seen at its target.
    pub landing_ns: Nanos,
    /// When to stop.
    pub abort_when: Vec<AbortRule>,
    /// Probes that do not count, with the reason.
    pub excluded: Vec<(String, String)>,
}

/// When to stop and undo: a probe has been down for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AbortRule {
    /// The probe.
    pub probe: String,
    /// How long.
    pub down_ns: Nanos,
}

/// One thing that was looked at before, or after: what was expected, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// What would be good.
    pub expected: String,
    /// What was seen.
    pub found: String,
    /// Whether it is good; unknown when it could not be seen.
    pub ok: Known<bool>,
}

impl Check {
    /// A check that was made.
    pub fn new(
        name: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        ok: Known<bool>,
    ) -> Self {
        Self { name: name.into(), expected: expected.into(), found: found.into(), ok }
    }
}

/// Why a drill will not be done, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// What was found.
    pub why: String,
    /// What to do next.
    pub help: String,
}

impl Refusal {
    /// A refusal from its two sentences.
    pub fn new(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { why: why.into(), help: help.into() }
    }
}

/// Another runner's beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TakeOver {
    /// The new term.
    pub epoch: Epoch,
    /// Its host.
    pub host: String,
    /// Why: a start after a crash, a person's `undo`.
    pub why: String,
}

/// An effect that is about to be performed, and the version it will be conditional on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// The step.
    pub step: StepId,
    /// The version its object had.
    pub version: Version,
}

/// What came back from an effect, bracketed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    /// The step.
    pub step: StepId,
    /// When the request was written.
    pub sent_ns: Mono,
    /// When the reply was there.
    pub done_ns: Mono,
    /// What it said.
    pub reply: Reply,
    /// What was learned on the way: a directory, a port.
    pub facts: Vec<crate::plan::Fact>,
}

/// The end of long work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkEnd {
    /// Which.
    pub work: Work,
    /// What came of it.
    pub result: WorkResult,
}

/// What came of long work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkResult {
    /// The ledger was read, one reading a target.
    Ledger(Vec<LedgerReading>),
    /// A backup was restored, or was found not to be fit for it.
    Restore(Box<RestoreRecord>),
    /// The work could not be done, so what it would have shown is unknown.
    Failed(String),
}

/// The ledger's rows, as a node proven writable has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerReading {
    /// The target.
    pub target: String,
    /// Which server.
    pub node: String,
    /// Its timeline.
    pub timeline: u32,
    /// The rows: by the stream's number in the table (1000 times the epoch, plus its position in that epoch's
    /// `ProbingBegan`), ranges of sequence numbers, both ends included, ascending.
    pub rows: Vec<(u32, Vec<(u64, u64)>)>,
}

/// Chunks of one second that were stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkSeal {
    /// The stream, by its position in `ProbingBegan`.
    pub stream: u16,
    /// The chunk's number within the stream and epoch.
    pub chunk: u32,
    /// How many samples it holds.
    pub samples: u32,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}
