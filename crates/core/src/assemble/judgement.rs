//! Verdict, objectives, loss, what was exercised, checks: from the measuring's words to the report's.

use super::case::{Case, own_seq};
use super::measured::{Measured, landing};
use crate::exercised::Expectation;
use crate::ledger::Writes;
use crate::objective::{ObjectiveKind as Kind, Standing};
use crate::plan::Heal;
use crate::reason::{CheckOutcome, Landing, Severity};
use crate::report::{
    Attainment, Bearing, Check, CheckStatus, Exercise, Exercised, Fact, Judgement, LOST_IDS_LISTED_MAX, Ledger, Loss,
    Objective, ObjectiveKind, ReadBack, Reason, Verdict,
};
use crate::sample::Outcome;
use crate::time::Known;
use crate::verdict::Word;

fn verdict(word: Word) -> Verdict {
    match word {
        Word::Pass => Verdict::Pass,
        Word::Fail => Verdict::Fail,
        Word::Inconclusive => Verdict::Inconclusive,
        Word::Aborted => Verdict::Aborted,
        Word::Refused => Verdict::Refused,
    }
}

pub(super) fn judgement(case: &Case<'_>, measured: &Measured) -> Judgement {
    let judged = &measured.verdict;
    let bearing = |s: Severity| match s {
        Severity::Bad => Some(Bearing::Fails),
        Severity::Stopped => Some(Bearing::Aborts),
        Severity::Unknown => Some(Bearing::LeavesOpen),
        Severity::Refused => Some(Bearing::Refuses),
        Severity::Good | Severity::Note => None,
    };
    let of = |r: &crate::reason::Reason| {
        let remedy = (!r.next_action.is_empty()).then(|| r.next_action.clone());
        bearing(r.severity).map(|bearing| Reason { bearing, text: sentence(&r.sentence), remedy, source: None })
    };
    let next = match (judged.next_action(), &case.opening.brief.runbook) {
        ("", _) => "Nothing is owed.".to_owned(),
        (next, Some(runbook)) if judged.word == Word::Fail => format!("{next} The page to follow is {runbook}."),
        (next, _) => next.to_owned(),
    };
    Judgement {
        verdict: verdict(judged.word),
        cause: if judged.word == Word::Pass { story_of_a_pass(case, measured) } else { sentence(judged.cause()) },
        next_action: next,
        reasons: judged.reasons.iter().filter_map(of).collect(),
        exit_code: judged.exit_code().code(),
    }
}

/// A sentence begins with a capital and ends with a stop.
fn sentence(text: &str) -> String {
    let mut chars = text.trim().chars();
    let begun: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect();
    if begun.ends_with(['.', '!', '?']) || begun.is_empty() { begun } else { format!("{begun}.") }
}

/// What a pass showed, in the words of somebody who was not there.
fn story_of_a_pass(case: &Case<'_>, measured: &Measured) -> String {
    let words = crate::figure::interval;
    let mut parts = Vec::new();
    if let Some(Ok(record)) = case.restore() {
        let took = record.duration().map_or(String::new(), |d| format!(" in {}", crate::figure::duration(d)));
        let checks = record.verified.as_ref().map_or(0, |v| v.checks.len());
        return format!("The backup was restored{took} and answered all {checks} questions rightly.");
    }
    if let Some(recovery) = &measured.recovery {
        let outage = recovery.visible_outage;
        parts.push(if outage == crate::time::Interval::ZERO {
            "No user saw a failure.".to_owned()
        } else {
            format!("Users were without the service for {}, and it stayed up afterwards.", words(outage))
        });
    }
    if let Some(Known::Known(exercise)) = &measured.exercise
        && let Known::Known(what) = &exercise.what
    {
        parts.insert(0, sentence(&format!("what happened was a {}", what.words())));
    }
    if let Some(Known::Known(loss)) = &measured.loss {
        parts.push(format!("{} of {} acknowledged writes were lost.", loss.lost_count(), loss.acknowledged));
    }
    if parts.is_empty() { "Everything that was asked is proven good.".to_owned() } else { parts.join(" ") }
}

pub(super) fn objectives(measured: &Measured) -> Vec<Objective> {
    let kind = |k: Kind| match k {
        Kind::RecoveryTime => ObjectiveKind::Rto,
        Kind::RecoveryPoint | Kind::BackupRecoveryPoint => ObjectiveKind::Rpo,
        Kind::RestoreDuration => ObjectiveKind::RestoreDuration,
        Kind::BackupAge => ObjectiveKind::BackupAge,
        Kind::AlertWithin => ObjectiveKind::Alert,
        Kind::RedundancyWithin => ObjectiveKind::Redundancy,
    };
    let reached = measured.watch.injection.is_some();
    let of = |held: &crate::objective::Held| Objective {
        kind: kind(held.objective.kind),
        limit_ns: held.objective.limit_ns,
        source: held.objective.source.clone(),
        measured: held.measured.clone(),
        attainment: match &held.standing {
            Standing::Met => Attainment::Met,
            Standing::Missed => Attainment::Missed,
            Standing::Unmeasured(_) if !reached => Attainment::NotReached,
            Standing::Straddles | Standing::Unmeasured(_) => Attainment::Undecided,
        },
    };
    measured.objectives.iter().map(of).collect()
}

pub(super) fn loss(case: &Case<'_>, measured: &Measured) -> Known<Loss> {
    match &measured.loss {
        None => Known::Unknown("no ledger counted the writes".to_owned()),
        Some(Known::Unknown(why)) => Known::Unknown(why.clone()),
        Some(Known::Known(loss)) => {
            let of = |writes: &Writes| -> Vec<String> {
                let name = format!("{}/{}", writes.stream.probe, writes.stream.view.word());
                let seqs = writes.ranges.iter().flat_map(|r| r.first..=r.last).map(own_seq);
                seqs.take(LOST_IDS_LISTED_MAX).map(|(epoch, seq)| format!("{name}/{epoch}/{seq:06}")).collect()
            };
            let probes: Vec<&str> =
                case.streams.iter().filter(|s| s.info.kind == "ledger").map(|s| s.info.stream.probe.as_str()).collect();
            let reads = measured.readings.iter().map(|r| ReadBack {
                at_ns: case.clock.moment(r.at_ns),
                node: r.node.clone(),
                found: found(case, r),
            });
            let mut lost_ids: Vec<String> = loss.lost.iter().flat_map(of).collect();
            lost_ids.truncate(LOST_IDS_LISTED_MAX);
            Known::Known(Loss {
                time: Known::Known(loss.span),
                ledgers: vec![Ledger {
                    probe: probes.first().map(|p| (*p).to_owned()).unwrap_or_default(),
                    table: "firedrill.ledger".to_owned(),
                    writes_as: "the role of the target's URL, with its own synchronous_commit".to_owned(),
                    attempted: loss.attempted,
                    acknowledged: loss.acknowledged,
                    failed: loss.failed,
                    unknown: loss.unknown,
                    unknown_found: loss.recovered,
                    lost: loss.lost_count(),
                    lost_ids,
                    lost_after_landing: loss.split_brain_count(),
                    unexpected: loss.unexpected,
                    reads: reads.collect(),
                    purged: purged(case),
                }],
            })
        }
    }
}

/// How many of the acknowledged writes a reading holds.
fn found(case: &Case<'_>, reading: &crate::ledger::LedgerReading) -> u64 {
    let of = |s: &super::case::CaseStream| {
        let writes = reading.found.iter().find(|w| w.stream == s.info.stream);
        let acked = s.samples.iter().filter(|x| matches!(x.outcome, Outcome::Ok { .. }));
        acked.filter(|x| writes.is_some_and(|w| w.contains(x.seq))).count() as u64
    };
    case.streams.iter().filter(|s| s.info.kind == "ledger").map(of).sum()
}

fn purged(case: &Case<'_>) -> Known<String> {
    let plan = case.plan();
    let step = plan.and_then(|p| p.ids().find(|id| matches!(p.step(*id).effect, crate::effect::Effect::Ledger { .. })));
    match step.and_then(|id| case.drill.outcome(id)) {
        Some(_) => Known::Known("this drill's rows are gone, and were looked for".to_owned()),
        None => Known::Unknown("not yet".to_owned()),
    }
}

pub(super) fn exercised(case: &Case<'_>, measured: &Measured) -> Exercised {
    let expected = case.opening.brief.expect;
    let not_reached = case.injection().is_none();
    if case.plan().is_some_and(|p| p.heal == Heal::Work) || case.opening.fault == "restore-backup" {
        return restored(case);
    }
    let unsustained = match landing(case) {
        Landing::NotSustained(why) => Some(why),
        Landing::Landed | Landing::NotLanded(_) | Landing::NoFault => None,
    };
    if let Some(exercise) = &measured.exercise {
        return of_primary(case, expected, exercise, unsustained);
    }
    let held = case.drill.loss_seen.is_some();
    Exercised {
        expected: "all of them without a pod, and users seeing it".to_owned(),
        found: if not_reached {
            Known::Unknown("nothing was injected".to_owned())
        } else if held {
            Known::Known("scale to zero".to_owned())
        } else {
            Known::Known("nothing that users saw".to_owned())
        },
        status: match (not_reached, &unsustained, held) {
            (true, _, _) => Exercise::NotReached,
            (_, Some(_), _) => Exercise::NotSustained,
            (_, None, true) => Exercise::AsExpected,
            (_, None, false) => Exercise::NotExercised,
        },
        detail: unsustained.unwrap_or_default(),
        evidence: Vec::new(),
    }
}

fn restored(case: &Case<'_>) -> Exercised {
    let record = case.restore().and_then(Result::ok);
    let loaded = record.is_some_and(|r| r.loaded.is_some());
    Exercised {
        expected: "restore".to_owned(),
        found: match record {
            None => Known::Unknown("no restore was begun".to_owned()),
            Some(_) if loaded => Known::Known("restore".to_owned()),
            Some(_) => Known::Known("no restore: the backup was not fit for it".to_owned()),
        },
        status: match (record, loaded) {
            (None, _) => Exercise::NotReached,
            (Some(_), true) => Exercise::AsExpected,
            (Some(_), false) => Exercise::NotExercised,
        },
        detail: record.and_then(|r| r.staged.as_ref()).map(|s| s.what.clone()).unwrap_or_default(),
        evidence: Vec::new(),
    }
}

fn of_primary(
    case: &Case<'_>,
    expected: Option<crate::exercised::Expected>,
    exercise: &Known<crate::exercised::Exercise>,
    unsustained: Option<String>,
) -> Exercised {
    let word = expected.map_or("anything", crate::exercised::Expected::word).to_owned();
    let exercise = match exercise {
        Known::Known(exercise) => exercise,
        Known::Unknown(why) => {
            return Exercised {
                expected: word,
                found: Known::Unknown(why.clone()),
                status: Exercise::Undecided,
                detail: why.clone(),
                evidence: Vec::new(),
            };
        }
    };
    let status = match (unsustained, expected.map(|e| exercise.meets(e))) {
        (Some(_), _) => Exercise::NotSustained,
        (None, None | Some(Expectation::Met)) => Exercise::AsExpected,
        (None, Some(Expectation::Weaker(_))) => Exercise::NotExercised,
        (None, Some(Expectation::Unknown(_))) => Exercise::Undecided,
    };
    let timelines = exercise.timelines.map(|(a, b)| format!("timeline {a} → {b}"));
    Exercised {
        expected: word,
        found: match &exercise.what {
            Known::Known(what) => Known::Known(what.words().to_owned()),
            Known::Unknown(why) => Known::Unknown(why.clone()),
        },
        status,
        detail: [members(case), timelines].into_iter().flatten().collect::<Vec<_>>().join(", "),
        evidence: exercise
            .because
            .iter()
            .map(|b| Fact::new("evidence", b, "looks at the target, and the ledger"))
            .collect(),
    }
}

/// `postgresql-0 → postgresql-1`.
fn members(case: &Case<'_>) -> Option<String> {
    let primaries: Vec<&str> =
        case.postgres_sights().filter_map(|(_, view)| view.primary().map(|(m, _)| m.pod.as_str())).collect();
    match (primaries.first(), primaries.last()) {
        (Some(a), Some(b)) if a != b => Some(format!("{a} → {b}")),
        (Some(a), Some(_)) => Some((*a).to_owned()),
        _ => None,
    }
}

pub(super) fn verification(_case: &Case<'_>, measured: &Measured) -> Vec<Check> {
    let of = |check: &crate::reason::Check| {
        let (found, status) = match &check.outcome {
            CheckOutcome::Held(found) => (Known::Known(found.clone()), CheckStatus::Ok),
            CheckOutcome::Broken(found) => (Known::Known(found.clone()), CheckStatus::Failed),
            CheckOutcome::Unknown(why) => (Known::Unknown(why.clone()), CheckStatus::Unknown),
        };
        Check {
            name: check.name.clone(),
            expected: check.expected.clone(),
            found,
            status,
            source: "after the recovery".to_owned(),
            remedy: None,
        }
    };
    measured.checks.iter().map(of).collect()
}
