//! Objectives and whether a measured interval meets them: within for certain, missed for certain, or neither.

use crate::time::{Interval, Known, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an objective limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectiveKind {
    /// Recovery time (RTO).
    RecoveryTime,
    /// Loss of acknowledged writes, as time (RPO). A limit of zero means that no write may be lost.
    RecoveryPoint,
    /// How long a restore takes from the decision to verified data.
    RestoreDuration,
    /// How old the newest usable backup is.
    BackupAge,
    /// The worst-case loss by backups: from the start of one to the completion of the next.
    BackupRecoveryPoint,
    /// Until an alert fires.
    AlertWithin,
    /// Until redundancy is back.
    RedundancyWithin,
}

impl ObjectiveKind {
    /// The words of a sentence about it.
    pub fn words(self) -> &'static str {
        match self {
            Self::RecoveryTime => "recovery time (RTO)",
            Self::RecoveryPoint => "data loss (RPO)",
            Self::RestoreDuration => "restore duration",
            Self::BackupAge => "age of the backup",
            Self::BackupRecoveryPoint => "worst-case loss by backups (RPO)",
            Self::AlertWithin => "time until an alert fired",
            Self::RedundancyWithin => "time until redundancy was back",
        }
    }
}

/// An objective and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Objective {
    /// What it limits.
    pub kind: ObjectiveKind,
    /// The limit; exactly this long still meets it.
    pub limit_ns: Nanos,
    /// Where it comes from (a business impact analysis), as the experiment says.
    pub source: Option<String>,
}

/// How a measurement stands against its objective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Even the upper bound is within the limit.
    Met,
    /// Even the lower bound is beyond the limit.
    Missed,
    /// The limit lies between the bounds, or the upper bound is open.
    Straddles,
    /// There is no measurement, and why.
    Unmeasured(String),
}

/// An objective with its measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// The objective.
    pub objective: Objective,
    /// What was measured.
    pub measured: Known<Interval>,
    /// How it stands.
    pub standing: Standing,
}

impl Objective {
    /// Holds a measurement against this objective.
    pub fn hold(self, measured: Known<Interval>) -> Held {
        let standing = match &measured {
            Known::Unknown(why) => Standing::Unmeasured(why.clone()),
            Known::Known(interval) if interval.lower_ns > self.limit_ns => Standing::Missed,
            Known::Known(interval) if interval.upper_ns.is_some_and(|upper| upper <= self.limit_ns) => Standing::Met,
            Known::Known(_) => Standing::Straddles,
        };
        Held { objective: self, measured, standing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(limit: u64, lower: u64, upper: Option<u64>) -> Standing {
        let objective = Objective { kind: ObjectiveKind::RecoveryTime, limit_ns: Nanos(limit), source: None };
        objective.hold(Known::Known(Interval::new(Nanos(lower), upper.map(Nanos)))).standing
    }

    #[test]
    fn the_limit_itself_is_met_and_one_beyond_is_not() {
        assert_eq!(hold(30, 10, Some(30)), Standing::Met);
        assert_eq!(hold(30, 10, Some(31)), Standing::Straddles);
        assert_eq!(hold(30, 30, Some(40)), Standing::Straddles);
        assert_eq!(hold(30, 31, Some(40)), Standing::Missed);
        assert_eq!(hold(30, 31, None), Standing::Missed);
        assert_eq!(hold(30, 0, None), Standing::Straddles);
        assert_eq!(hold(0, 0, Some(0)), Standing::Met);
        assert_eq!(hold(0, 1, Some(1)), Standing::Missed);
    }
}
