//! Recovery times as they were measured, with the rule that started and stopped the clock.

use super::moment::Bracket;
use crate::sample::Stream;
use crate::time::{Interval, Known, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which clock the measured recovery time went by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClockRule {
    /// The system healed itself: from the disruption.
    SelfHeal,
    /// firedrill healed: from the beginning of the recovery, plus what is declared for detecting and deciding.
    Firedrill,
    /// People healed: from the disruption, the clock running while they worked.
    People,
    /// A restore that nobody waited for: there is no recovery time, only the duration of the restore.
    RestoreOnly,
}

impl ClockRule {
    /// The rule in words, as the report prints it.
    pub fn words(self) -> &'static str {
        match self {
            Self::SelfHeal => {
                "from the disruption (the first failure a user could see) to the first good answer of the stable run"
            }
            Self::Firedrill => {
                "from the beginning of the recovery by firedrill to the first good answer of the stable run"
            }
            Self::People => "from the disruption to the first good answer of the stable run, while people worked",
            Self::RestoreOnly => "from the first byte asked for to the last verification; there was no disruption",
        }
    }
}

/// The first failure that a user could see after the injection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Disruption {
    /// It happened within these bounds.
    Seen(Bracket),
    /// Every probe was answered all the while: no disruption, no outage, recovery time 0.
    None,
}

/// How detecting the failure and deciding to act enter the recovery time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DetectAndDecide {
    /// They happened for real, within the measured time.
    Exercised,
    /// They were not exercised; this much is declared for them and was added.
    Declared(Nanos),
    /// They were not exercised, nothing is declared, nothing was added.
    NotExercised,
}

/// Everything measured of the recovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// Which clock it went by.
    pub rule: ClockRule,
    /// The recovery time: the worst over all probes that count, both views.
    pub rto: Known<Interval>,
    /// The stream that was worst.
    pub worst_stream: Option<Stream>,
    /// The injection: between its request and its reply.
    pub injection: Known<Bracket>,
    /// The first failure a user could see.
    pub disruption: Known<Disruption>,
    /// The recovery time counted from the injection instead.
    pub since_injection: Known<Interval>,
    /// How long users were without service, whoever healed it, the worst stream.
    pub user_outage: Known<Interval>,
    /// All downtime of the worst stream added up, short outages before the stable run included.
    pub total_downtime: Known<Interval>,
    /// The longest time without any good answer.
    pub longest_gap: Known<Nanos>,
    /// How detecting and deciding enter.
    pub detect_and_decide: DetectAndDecide,
    /// The duration of the restore, if one took place.
    pub restore_duration: Option<Known<Interval>>,
    /// From the disruption until all members were back and streaming, all replicas ready.
    pub redundancy: Known<Interval>,
    /// From the disruption until an alert fired.
    pub alert: Known<Interval>,
    /// K: how long the service had to answer without a failure to count as stable.
    pub stable_for_ns: Nanos,
    /// When measuring would have ended without a recovery, counted from the injection.
    pub deadline_ns: Nanos,
}
