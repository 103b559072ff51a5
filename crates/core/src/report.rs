//! The report: one versioned document of plain data from which every face is drawn. JSON is the contract.
//!
//! It holds findings, not rules: whoever makes it has measured and judged already. What was not seen is
//! [`Known::Unknown`](crate::time::Known) with the reason, never a default. Points in time are [`Moment`]s,
//! nanoseconds since the drill was opened; [`Clock`] gives them a date.

pub mod check;
pub mod evidence;
pub mod exercised;
pub mod fact;
pub mod fault;
pub mod identity;
pub mod judgement;
pub mod loss;
pub mod moment;
pub mod recovery;
pub mod residue;
pub mod series;
pub mod stream;
pub mod timeline;

pub use check::{Check, CheckStatus};
pub use evidence::{Evidence, JournalSeal, SampleSeal};
pub use exercised::{Exercise, Exercised};
pub use fact::Fact;
pub use fault::{Fault, Member, ScaledWorkload, Topology, Wave, Work, WorkPhase};
pub use identity::{Estate, Experiment, History, Identity, Target, Tool, Trigger};
pub use judgement::{Abort, Attainment, Bearing, Deviation, Judgement, Objective, ObjectiveKind, Reason, Verdict};
pub use loss::{Backup, LOST_IDS_LISTED_MAX, Ledger, Loss, ReadBack};
pub use moment::{Bracket, Clock, ClockStep, Moment, Span, Zone};
pub use recovery::{ClockRule, DetectAndDecide, Disruption, Recovery};
pub use residue::{EffectLine, Residue, ResidueState, UndoOutcome};
pub use stream::{
    Counts, Latency, LatencyPoint, LatencyStory, Lateness, Outage, Segment, SegmentState, Series, StreamReport,
};
pub use timeline::{EventKind, EventLine, Phase, PhaseKind};

use crate::time::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the document. It grows when a reader of the last version could misread this one.
pub const SCHEMA_VERSION: u32 = 1;

/// The report of one drill, also of one that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// [`SCHEMA_VERSION`] when it was written.
    pub schema_version: u32,
    /// Which report of which drill.
    pub identity: Identity,
    /// The verdict, its cause, and what to do next.
    pub judgement: Judgement,
    /// The experiment.
    pub experiment: Experiment,
    /// Where it took place.
    pub estate: Estate,
    /// The clock of all points in here.
    pub clock: Clock,
    /// Every objective and what was measured against it.
    pub objectives: Vec<Objective>,
    /// Recovery times. Unknown when it was never measured, and why.
    pub recovery: Known<Recovery>,
    /// What was lost. Unknown when nothing read the ledger back, and why.
    pub loss: Known<Loss>,
    /// What was really exercised.
    pub exercised: Exercised,
    /// What is left.
    pub residue: Residue,
    /// Who stopped it, if somebody did.
    pub abort: Option<Abort>,
    /// What each probe saw.
    pub streams: Vec<StreamReport>,
    /// Checks before the injection.
    pub preflight: Vec<Check>,
    /// Checks after the recovery.
    pub verification: Vec<Check>,
    /// What happened, in order.
    pub events: Vec<EventLine>,
    /// The phases of the drill, in order, without overlap.
    pub phases: Vec<Phase>,
    /// What was done.
    pub faults: Vec<Fault>,
    /// Deployments that were scaled, in their waves.
    pub waves: Vec<Wave>,
    /// Long work, by phase.
    pub works: Vec<Work>,
    /// The backup, if one was restored.
    pub backup: Option<Backup>,
    /// Members before and after.
    pub topologies: Vec<Topology>,
    /// What did not go by the rules.
    pub deviations: Vec<Deviation>,
    /// Drills before and after this one.
    pub history: History,
    /// What measured, and where.
    pub tool: Tool,
    /// Where the proof lies.
    pub evidence: Evidence,
}

/// Why a document could not be read as a report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is of another version.
    #[error(
        "the report is of schema version {found}, this firedrill reads {SCHEMA_VERSION}: read it with the version that wrote it"
    )]
    Version {
        /// The version found.
        found: u64,
    },
    /// It is no report.
    #[error("not a firedrill report: {0}")]
    Shape(#[from] serde_json::Error),
}

impl Report {
    /// Reads a report from its JSON.
    ///
    /// # Errors
    /// When it is of another version (checked first, so that the message is about that), or no report at all.
    pub fn from_json(json: &str) -> Result<Self, ReadError> {
        #[derive(Deserialize)]
        struct Versioned {
            schema_version: u64,
        }
        let Versioned { schema_version: found } = serde_json::from_str(json)?;
        if found != u64::from(SCHEMA_VERSION) {
            return Err(ReadError::Version { found });
        }
        Ok(serde_json::from_str(json)?)
    }

    /// The objective of a kind, if the experiment has one.
    pub fn objective(&self, kind: &ObjectiveKind) -> Option<&Objective> {
        self.objectives.iter().find(|o| o.kind == *kind)
    }

    /// Where the drawing has its zero: the request of the injection, else the opening of the drill.
    pub fn origin(&self) -> Moment {
        match &self.recovery {
            Known::Known(Recovery { injection: Known::Known(at), .. }) => at.earliest_ns,
            _ => self.events.iter().find(|e| e.kind == EventKind::Injected).map_or(Moment(0), |e| e.at.earliest_ns),
        }
    }
}

/// The JSON Schema of [`Report`], as it is kept in `schema/report.schema.json`.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Report);
    schema.insert("title".into(), "firedrill report".into());
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_named_before_anything_else_is_complained_about() {
        let error = Report::from_json(r#"{"schema_version": 99, "future": true}"#).expect_err("version 99");
        assert!(matches!(error, ReadError::Version { found: 99 }), "{error}");
        assert!(matches!(Report::from_json("{}"), Err(ReadError::Shape(_))));
    }

    #[test]
    fn the_schema_requires_the_version_and_describes_what_it_names() {
        let schema = schema();
        let required = schema["required"].as_array().expect("a list of required keys");
        assert!(required.contains(&"schema_version".into()));
        assert!(required.contains(&"residue".into()));
        for (name, definition) in schema["$defs"].as_object().expect("definitions") {
            assert!(definition.get("description").is_some(), "{name} has no description");
        }
    }
}
