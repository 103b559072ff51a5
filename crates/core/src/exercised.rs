//! What a fault at a primary really exercised, named from evidence.
//!
//! A *failover*: the primary was lost, then another took over. A *hand-over*: it gave its role away while stopping,
//! and the harder path was never walked. A *restart in place*: the same member came back as primary; it may well have
//! begun a new timeline (crash recovery with a promotion by its own agent does), so that a new timeline alone proves
//! no failover. *Nothing*: the same server went on. What the evidence does not say stays unknown.

use crate::time::{Known, Moment, Mono};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happened, from the strongest to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exercised {
    /// Nothing changed: the same server process went on as primary.
    Nothing,
    /// The same member was restarted and is primary again.
    RestartInPlace,
    /// The primary gave its role away, and another took over.
    HandOver,
    /// The primary was lost, and another took over.
    Failover,
}

impl Exercised {
    /// The words in reports.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::RestartInPlace => "restart in place",
            Self::HandOver => "hand-over",
            Self::Failover => "failover",
        }
    }
}

/// What an experiment expects to be exercised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// A failover, nothing less.
    Failover,
    /// A failover or a hand-over.
    Promotion,
    /// At least a restart in place.
    Restart,
}

impl Expected {
    /// The word in experiments and reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Promotion => "promotion",
            Self::Restart => "restart",
        }
    }
}

/// A primary as it was seen: label, SQL and identity together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrimarySeen {
    /// When.
    pub at_ns: Mono,
    /// The member's lasting name (a pod's name in a stateful set), which outlives its process.
    pub member: String,
    /// The pod's UID, when it runs in one.
    pub pod_uid: Option<String>,
    /// The cluster's system identifier.
    pub system_identifier: String,
    /// The timeline it writes.
    pub timeline: u32,
    /// Its write position, as PostgreSQL prints it (`0/3000060`).
    pub lsn: String,
    /// When its server process began, as the server says; tells a restart of the process within a pod.
    pub started: Option<String>,
}

/// A run of acknowledged ledger writes by one server on one timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AckRun {
    /// The server that acknowledged, by its address.
    pub node: String,
    /// The timeline it wrote.
    pub timeline: u32,
    /// The first acknowledgement of the run.
    pub first_ns: Mono,
    /// The last.
    pub last_ns: Mono,
}

/// How the old primary left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Departure {
    /// When its process (its pod's UID) went: it was there still after the one bound, and gone by the other.
    pub gone: Moment,
    /// When it released the leader's lock by itself, or that it did not: the lock was in its name still when it was
    /// gone. Unknown where no lock can be watched, or a release may have been overlooked.
    pub released_ns: Known<Option<Mono>>,
}

/// How a primary parts with its role, known from what was done to it, with how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Parting {
    /// It was lost, with no chance to give its role away.
    Lost(String),
    /// It was asked to give its role away, and its failover manager says that it did.
    Asked(String),
}

/// What was seen of a primary and its successors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The primary before the injection.
    pub before: PrimarySeen,
    /// Every sight of a primary after the injection, in order.
    pub after: Vec<PrimarySeen>,
    /// How the old primary left, or why that is not known. Not leaving is known as an unchanged sight.
    pub departure: Known<Departure>,
    /// How the old primary parted with its role, when that is known from what was done to it.
    pub parting: Option<Parting>,
    /// The ledger's acknowledgements over the whole drill, in order; empty without a ledger that can tell servers.
    pub acknowledgements: Vec<AckRun>,
}

/// What happened, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exercise {
    /// Its name.
    pub what: Known<Exercised>,
    /// Whether another member took over (failover or hand-over), which may be known when its kind is not.
    pub promoted: Known<bool>,
    /// The timeline before and after, where both were seen.
    pub timelines: Option<(u32, u32)>,
    /// The evidence in sentences, for the report.
    pub because: Vec<String>,
}

/// Whether an expectation was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// At least what was expected happened.
    Met,
    /// Something weaker happened: not exercised.
    Weaker(String),
    /// The evidence does not tell.
    Unknown(String),
}

impl Exercise {
    /// Holds what happened against what was expected.
    pub fn meets(&self, expected: Expected) -> Expectation {
        let least = match expected {
            Expected::Failover => Exercised::Failover,
            Expected::Promotion => Exercised::HandOver,
            Expected::Restart => Exercised::RestartInPlace,
        };
        let weaker = |what: &str| Expectation::Weaker(format!("{} was expected, {what} happened", expected.word()));
        match (&self.what, &self.promoted) {
            (Known::Known(what), _) if *what >= least => Expectation::Met,
            (Known::Known(what), _) => weaker(what.words()),
            (Known::Unknown(_), Known::Known(true)) if least <= Exercised::HandOver => Expectation::Met,
            (Known::Unknown(_), Known::Known(false)) if least >= Exercised::HandOver => {
                weaker("no change of the primary")
            }
            (Known::Unknown(why), _) => Expectation::Unknown(why.clone()),
        }
    }
}

/// Names what happened.
pub fn name(evidence: &Evidence) -> Exercise {
    let before = &evidence.before;
    if let Some(stranger) = evidence.after.iter().find(|p| p.system_identifier != before.system_identifier) {
        let why = format!(
            "{} answers with system identifier {}, the primary before had {}: another cluster",
            stranger.member, stranger.system_identifier, before.system_identifier
        );
        return unknown(why);
    }
    if let Some(successor) = evidence.after.iter().find(|p| p.member != before.member) {
        return promotion_seen(evidence, successor);
    }
    if let Some((old, new)) = acknowledged_elsewhere(evidence) {
        return promotion_acknowledged(evidence, old, new);
    }
    let Some(last) = evidence.after.last() else {
        return unknown("no primary was seen after the injection".to_owned());
    };
    same_member(before, last)
}

fn unknown(why: String) -> Exercise {
    Exercise {
        what: Known::Unknown(why.clone()),
        promoted: Known::Unknown(why.clone()),
        timelines: None,
        because: vec![why],
    }
}

fn promotion_seen(evidence: &Evidence, successor: &PrimarySeen) -> Exercise {
    let before = &evidence.before;
    let timelines = Some((before.timeline, successor.timeline));
    if successor.timeline <= before.timeline {
        let why = format!(
            "{} calls itself primary on timeline {}, not above the {} of {}: not a promotion that can be trusted",
            successor.member, successor.timeline, before.timeline, before.member
        );
        return Exercise { timelines, ..unknown(why) };
    }
    let took_over = format!(
        "{} was primary on timeline {}, then {} on timeline {}",
        before.member, before.timeline, successor.member, successor.timeline
    );
    promotion(evidence, successor.at_ns, timelines, took_over)
}

/// The kind of a promotion, by how the old primary left.
fn promotion(evidence: &Evidence, new_by_ns: Mono, timelines: Option<(u32, u32)>, took_over: String) -> Exercise {
    let old = &evidence.before.member;
    let (what, how) = match &evidence.parting {
        Some(Parting::Lost(how)) => (Known::Known(Exercised::Failover), how.clone()),
        Some(Parting::Asked(how)) => (Known::Known(Exercised::HandOver), how.clone()),
        None => by_departure(old, &evidence.departure, new_by_ns),
    };
    Exercise { what, promoted: Known::Known(true), timelines, because: vec![took_over, how] }
}

fn by_departure(old: &str, departure: &Known<Departure>, new_by_ns: Mono) -> (Known<Exercised>, String) {
    match departure {
        Known::Unknown(why) => {
            let why = format!("how {old} left is not known: {why}");
            (Known::Unknown(why.clone()), why)
        }
        Known::Known(Departure { released_ns: Known::Known(Some(_)), .. }) => {
            (Known::Known(Exercised::HandOver), format!("{old} released the leader's lock itself"))
        }
        Known::Known(Departure { released_ns: Known::Known(None), .. }) => {
            (Known::Known(Exercised::Failover), format!("{old} never released the leader's lock: it was lost"))
        }
        Known::Known(Departure { gone, released_ns: Known::Unknown(why) }) => by_order(old, *gone, new_by_ns, why),
    }
}

/// Without a lock to watch, the order tells: who wrote beside the old primary was given the role.
fn by_order(old: &str, gone: Moment, new_by_ns: Mono, why: &str) -> (Known<Exercised>, String) {
    if gone.after_ns.is_some_and(|there| new_by_ns < there) {
        return (Known::Known(Exercised::HandOver), format!("the successor wrote while {old} was still there"));
    }
    // That it was gone first proves nothing: it may have given its role away in its last moment.
    let why = format!("whether {old} gave its role away before it was gone is not known ({why})");
    (Known::Unknown(why.clone()), why)
}

/// The newest acknowledgements come from another server on a higher timeline than those before.
fn acknowledged_elsewhere(evidence: &Evidence) -> Option<(&AckRun, &AckRun)> {
    let old = evidence.acknowledgements.iter().find(|run| run.timeline == evidence.before.timeline)?;
    let new = evidence.acknowledgements.iter().find(|run| run.node != old.node && run.timeline > old.timeline)?;
    (new.first_ns > old.first_ns).then_some((old, new))
}

fn promotion_acknowledged(evidence: &Evidence, old: &AckRun, new: &AckRun) -> Exercise {
    let took_over = format!(
        "the ledger was acknowledged by {} on timeline {}, then by {} on timeline {}",
        old.node, old.timeline, new.node, new.timeline
    );
    promotion(evidence, new.first_ns, Some((old.timeline, new.timeline)), took_over)
}

/// Only the old member was ever seen as primary.
fn same_member(before: &PrimarySeen, last: &PrimarySeen) -> Exercise {
    let timelines = Some((before.timeline, last.timeline));
    let replaced = matches!((&before.pod_uid, &last.pod_uid), (Some(old), Some(new)) if old != new);
    let restarted = matches!((&before.started, &last.started), (Some(old), Some(new)) if old != new);
    let told = |field: fn(&PrimarySeen) -> bool| field(before) && field(last);
    let named = |what, sentence: String| Exercise {
        what: Known::Known(what),
        promoted: Known::Known(false),
        timelines,
        because: vec![sentence],
    };
    if replaced || restarted {
        let how = if replaced { "in a new pod" } else { "as a new process" };
        return named(
            Exercised::RestartInPlace,
            format!("{} came back {how} and is primary again, on timeline {}", last.member, last.timeline),
        );
    }
    if last.timeline != before.timeline {
        let why = format!(
            "{} is primary before and after, on timeline {} and then {}: who wrote in between was not seen",
            last.member, before.timeline, last.timeline
        );
        return Exercise { timelines, ..unknown(why) };
    }
    if told(|p| p.started.is_some()) {
        return named(Exercised::Nothing, format!("{} went on as primary, the same server process", last.member));
    }
    let why = format!("{} is primary before and after; whether its process is the same was not seen", last.member);
    Exercise { timelines, ..unknown(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: u64, member: &str, timeline: u32) -> PrimarySeen {
        PrimarySeen {
            at_ns: Mono(at),
            member: member.into(),
            pod_uid: Some(format!("uid-{member}")),
            system_identifier: "7300".into(),
            timeline,
            lsn: "0/3000060".into(),
            started: Some(format!("start-{member}")),
        }
    }

    fn acks(node: &str, timeline: u32, first: u64, last: u64) -> AckRun {
        AckRun { node: node.into(), timeline, first_ns: Mono(first), last_ns: Mono(last) }
    }

    /// `db-0` on timeline 1 was killed at 100, seen gone between 100 and 190.
    fn evidence(after: Vec<PrimarySeen>, released: Known<Option<Mono>>) -> Evidence {
        let gone = Moment::between(Mono(100), Mono(190));
        Evidence {
            before: seen(50, "db-0", 1),
            after,
            departure: Known::Known(Departure { gone, released_ns: released }),
            parting: None,
            acknowledgements: Vec::new(),
        }
    }

    fn no_lock() -> Known<Option<Mono>> {
        Known::Unknown("no lock".into())
    }

    #[test]
    fn a_primary_that_was_lost_and_replaced_is_a_failover() {
        let exercise = name(&evidence(vec![seen(150, "db-1", 2)], Known::Known(None)));
        assert_eq!(exercise.what, Known::Known(Exercised::Failover));
        assert_eq!(exercise.timelines, Some((1, 2)));
        assert_eq!(exercise.meets(Expected::Failover), Expectation::Met);
    }

    #[test]
    fn a_primary_that_gave_its_role_away_is_a_hand_over() {
        let exercise = name(&evidence(vec![seen(191, "db-1", 2)], Known::Known(Some(Mono(110)))));
        assert_eq!(exercise.what, Known::Known(Exercised::HandOver));
        assert!(matches!(exercise.meets(Expected::Failover), Expectation::Weaker(_)));
        assert_eq!(exercise.meets(Expected::Promotion), Expectation::Met);
        assert_eq!(name(&evidence(vec![seen(90, "db-1", 2)], no_lock())).what, Known::Known(Exercised::HandOver));
    }

    #[test]
    fn a_primary_that_was_stopped_from_outside_gave_nothing_away() {
        let mut struck = evidence(vec![seen(150, "db-1", 2), seen(160, "db-0", 1)], no_lock());
        struck.parting = Some(Parting::Lost("all its processes were stopped".into()));
        assert_eq!(name(&struck).what, Known::Known(Exercised::Failover));
        // Nobody took over: what was done to it is not what was exercised.
        let restarted = PrimarySeen { started: Some("later".into()), ..seen(200, "db-0", 1) };
        struck.after = vec![restarted];
        assert_eq!(name(&struck).what, Known::Known(Exercised::RestartInPlace));
        struck.after = vec![seen(200, "db-0", 1)];
        assert_eq!(name(&struck).what, Known::Known(Exercised::Nothing));
    }

    #[test]
    fn a_primary_that_was_asked_gave_its_role_away() {
        let mut asked = evidence(vec![seen(191, "db-1", 2)], no_lock());
        asked.parting = Some(Parting::Asked("Patroni said so".into()));
        assert_eq!(name(&asked).what, Known::Known(Exercised::HandOver));
        asked.after = vec![seen(200, "db-0", 1)];
        assert_eq!(name(&asked).what, Known::Known(Exercised::Nothing), "it was asked, and nobody took over");
    }

    #[test]
    fn a_promotion_of_unknown_kind_is_still_a_promotion() {
        // Seen before it is known that the old one was gone, or after: it may have been given the role.
        for at in [150, 191] {
            let exercise = name(&evidence(vec![seen(at, "db-1", 2)], no_lock()));
            assert!(matches!(exercise.what, Known::Unknown(_)));
            assert_eq!(exercise.meets(Expected::Promotion), Expectation::Met);
            assert!(matches!(exercise.meets(Expected::Failover), Expectation::Unknown(_)));
        }
    }

    #[test]
    fn a_new_timeline_alone_proves_no_failover() {
        let restarted = PrimarySeen { started: Some("later".into()), ..seen(200, "db-0", 2) };
        let exercise = name(&evidence(vec![restarted], Known::Known(None)));
        assert_eq!(exercise.what, Known::Known(Exercised::RestartInPlace));
        assert_eq!(
            exercise.meets(Expected::Promotion),
            Expectation::Weaker("promotion was expected, restart in place happened".into())
        );
        assert_eq!(exercise.meets(Expected::Restart), Expectation::Met);
        // A new pod of the same member is the same member.
        let replaced = PrimarySeen { pod_uid: Some("uid-new".into()), ..seen(200, "db-0", 1) };
        assert_eq!(name(&evidence(vec![replaced], Known::Known(None))).what, Known::Known(Exercised::RestartInPlace));
    }

    #[test]
    fn a_fail_back_does_not_hide_the_failover() {
        let exercise = name(&evidence(vec![seen(195, "db-1", 2), seen(400, "db-0", 3)], Known::Known(None)));
        assert_eq!(exercise.what, Known::Known(Exercised::Failover));
    }

    #[test]
    fn the_same_process_is_nothing() {
        let exercise = name(&evidence(vec![seen(200, "db-0", 1)], Known::Known(None)));
        assert_eq!(exercise.what, Known::Known(Exercised::Nothing));
        assert!(matches!(exercise.meets(Expected::Restart), Expectation::Weaker(_)));
    }

    #[test]
    fn acknowledgements_prove_a_promotion_that_nobody_saw() {
        let mut blind = evidence(vec![], Known::Known(None));
        blind.acknowledgements = vec![acks("10.0.0.1", 1, 10, 99), acks("10.0.0.2", 2, 150, 900)];
        let exercise = name(&blind);
        assert_eq!(exercise.what, Known::Known(Exercised::Failover));
        assert_eq!(exercise.timelines, Some((1, 2)));
        // Another address on the same timeline (a proxy), or another timeline at the same address, prove nothing.
        for run in [acks("10.0.0.2", 1, 150, 900), acks("10.0.0.1", 2, 150, 900)] {
            blind.acknowledgements[1] = run;
            assert!(matches!(name(&blind).promoted, Known::Unknown(_)));
        }
    }

    #[test]
    fn contradictions_and_strangers_are_unknown() {
        let stranger = PrimarySeen { system_identifier: "9900".into(), ..seen(200, "db-1", 2) };
        assert!(matches!(name(&evidence(vec![stranger], Known::Known(None))).what, Known::Unknown(_)));
        let usurper = seen(200, "db-1", 1); // a second primary on the old timeline
        assert!(matches!(name(&evidence(vec![usurper], Known::Known(None))).promoted, Known::Unknown(_)));
        assert!(matches!(name(&evidence(vec![], Known::Known(None))).what, Known::Unknown(_)));
        let silent = PrimarySeen { started: None, pod_uid: None, ..seen(200, "db-0", 1) };
        assert!(matches!(name(&evidence(vec![silent], Known::Known(None))).what, Known::Unknown(_)));
    }
}
