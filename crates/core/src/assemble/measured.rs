//! Everything measured of a drill, and the verdict over it.

use super::case::{Case, case_seq};
use super::witness;
use crate::baseline::{Baseline, PerMillion, baseline};
use crate::effect::{Reply, Undone};
use crate::event::Event;
use crate::exercised::{Exercise, Expected};
use crate::ledger::{Attempts, LedgerReading, Loss, SeqRange, Writes, account};
use crate::objective::{Held, Objective, ObjectiveKind};
use crate::plan::{Heal, Ledgered, Stage};
use crate::reason::{Against, Check, CheckOutcome, Landing, Refusal, StepTrouble, Stop};
use crate::recovery::{Disruption, Healer, Recovery, StreamRecord, measure};
use crate::restore::{self, RestoreRecord};
use crate::sample::{Outcome, Sample};
use crate::sight::TargetView;
use crate::time::{Interval, Known, Moment, Mono, Nanos};
use crate::verdict::{Judged, Residue, Verdict};
use crate::watch::{Injection, Watch, WatchEnd};

/// What was measured.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) recovery: Option<Recovery>,
    pub(super) loss: Option<Known<Loss>>,
    pub(super) readings: Vec<LedgerReading>,
    pub(super) exercise: Option<Known<Exercise>>,
    pub(super) redundancy: Known<Interval>,
    pub(super) objectives: Vec<Held>,
    pub(super) checks: Vec<Check>,
    pub(super) watch: Watch,
    pub(super) verdict: Verdict,
}

impl Measured {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let watch = watch(case);
        let recovery = recovery(case, &watch);
        let readings = readings(case);
        let loss = loss(case, recovery.as_ref(), &readings);
        let exercise = witness::evidence(case).map(|evidence| match evidence {
            Known::Known(evidence) => Known::Known(crate::exercised::name(&evidence)),
            Known::Unknown(why) => Known::Unknown(why),
        });
        let redundancy = redundancy(case, recovery.as_ref());
        let objectives = objectives(case, recovery.as_ref(), loss.as_ref(), &redundancy);
        let checks = checks(case);
        let judged = Judged {
            refusals: refusals(case),
            stop: stop(case),
            takeover: case.drill.took_over.is_some().then(|| taken_over(case)),
            baselines: baselines(case),
            landing: landing(case),
            recovery: recovery.clone(),
            exercise: expected(case, exercise.as_ref()),
            loss: loss.clone().filter(|_| case.injection().is_some()),
            objectives: objectives.clone(),
            checks: checks.clone(),
            troubles: troubles(case),
            residue: residue(case),
        };
        let verdict = Verdict::of(judged);
        Self { recovery, loss, readings, exercise, redundancy, objectives, checks, watch, verdict }
    }
}

fn watch(case: &Case<'_>) -> Watch {
    let drill = &case.drill;
    let ended = case.records.iter().rev().find(|r| matches!(r.event, Event::ProbingEnded(_))).map(|r| r.at.mono_ns);
    let last_sample = case.streams.iter().flat_map(|s| &s.samples).map(|s| s.done_ns).max();
    let last_record = case.records.last().map(|r| r.at.mono_ns).unwrap_or_default();
    let end = match (drill.stable, drill.deadline_passed) {
        (Some(_), _) => WatchEnd::Satisfied,
        (None, true) => WatchEnd::Deadline,
        (None, false) => WatchEnd::Cut,
    };
    let injection = case.injection().map(|(request_ns, reply_ns)| Injection { request_ns, reply_ns });
    Watch { injection, ended_ns: ended.or(last_sample).unwrap_or(last_record), end }
}

fn recovery(case: &Case<'_>, watch: &Watch) -> Option<Recovery> {
    watch.injection?;
    let records: Vec<StreamRecord<'_>> = case
        .streams
        .iter()
        .map(|s| StreamRecord { info: &s.info, samples: until_stable(&s.samples, case.drill.stable) })
        .collect();
    if records.is_empty() {
        return None;
    }
    let settings = &case.opening.settings;
    let healer = match &case.plan()?.heal {
        Heal::Itself | Heal::Promotion { .. } | Heal::Afterwards { .. } => Healer::Itself,
        Heal::Undo { .. } | Heal::Work => Healer::Firedrill {
            began_ns: case.heal_began().unwrap_or(watch.ended_ns),
            detect_and_decide_ns: case.opening.brief.objectives.detect_and_decide_ns,
        },
    };
    Some(measure(&records, settings.stable_ns, watch, healer))
}

/// The samples up to when the drill was seen stable and its probes began to stop. What came after counts only when there is
/// a failure in it: a request that was not asked any more says nothing.
fn until_stable(samples: &[Sample], stable: Option<Mono>) -> &[Sample] {
    let Some(stable) = stable else { return samples };
    let cut = samples.iter().rposition(|s| s.due_ns <= stable).map_or(0, |last| last + 1);
    let relapsed = samples[cut..].iter().any(|s| matches!(s.outcome, Outcome::Failed(_)));
    if relapsed { samples } else { &samples[..cut] }
}

/// The readings in the measuring's own words: rows by stream, with the numbers of the case.
fn readings(case: &Case<'_>) -> Vec<LedgerReading> {
    let (readings, _) = case.readings();
    let of = |(record, reading): (&crate::event::Record, &crate::event::LedgerReading)| {
        let mut found: Vec<Writes> = Vec::new();
        for (number, ranges) in &reading.rows {
            let (epoch, position) = (u64::from(number / 1000), number % 1000);
            let stream = case
                .streams
                .iter()
                .find(|s| s.lives.iter().any(|l| l.epoch == epoch && u32::from(l.position) == position));
            let Some(stream) = stream else { continue };
            let of_case =
                |(first, last): &(u64, u64)| SeqRange { first: case_seq(epoch, *first), last: case_seq(epoch, *last) };
            let ranges = ranges.iter().map(of_case);
            match found.iter_mut().find(|w| w.stream == stream.info.stream) {
                Some(writes) => writes.ranges.extend(ranges),
                None => found.push(Writes { stream: stream.info.stream.clone(), ranges: ranges.collect() }),
            }
        }
        for writes in &mut found {
            writes.ranges.sort_by_key(|r| r.first);
        }
        LedgerReading { at_ns: record.at.mono_ns, node: reading.node.clone(), writable: Known::Known(()), found }
    };
    readings.into_iter().map(of).collect()
}

fn loss(case: &Case<'_>, recovery: Option<&Recovery>, readings: &[LedgerReading]) -> Option<Known<Loss>> {
    let plan = case.plan()?;
    if plan.ledger == Ledgered::No {
        return None;
    }
    let Some((from, to)) = case.injection() else {
        return Some(Known::Unknown("nothing was injected".to_owned()));
    };
    if let (_, Some(why)) = case.readings() {
        return Some(Known::Unknown(why));
    }
    let attempts: Vec<Attempts<'_>> = case
        .streams
        .iter()
        .filter(|s| s.info.kind == "ledger")
        .map(|s| Attempts { stream: &s.info.stream, samples: &s.samples })
        .collect();
    let disruption = match recovery.map(|r| &r.disruption) {
        Some(Disruption::Seen(at)) => *at,
        _ => Moment::between(from, to.max(from)),
    };
    let landed = case.drill.landed.map(|at| Moment::between(from.min(at), at));
    Some(account(&attempts, readings, disruption, landed))
}

/// From the disruption until all members were back.
fn redundancy(case: &Case<'_>, recovery: Option<&Recovery>) -> Known<Interval> {
    let Some((injected, _)) = case.injection() else {
        return Known::Unknown("nothing was injected".to_owned());
    };
    let from = match recovery.map(|r| &r.disruption) {
        Some(Disruption::Seen(at)) => *at,
        _ => Moment::exactly(injected),
    };
    if let Some(at) = case.drill.redundant {
        return Known::Known(Moment::between(look_before(case, at, injected), at).since(from));
    }
    let last = case.sights().map(|s| s.to_ns).max().unwrap_or(injected).max(injected);
    Known::Known(Interval::new(from.by_ns.map_or(Nanos::ZERO, |by| last.since(by)), None))
}

/// The look before the one by which something was seen: it had not come true by then.
fn look_before(case: &Case<'_>, at: Mono, floor: Mono) -> Mono {
    let mut looks: Vec<Mono> = case.sights().map(|s| s.from_ns).filter(|from| *from <= at).collect();
    looks.sort_unstable();
    looks.into_iter().rev().nth(1).unwrap_or(floor).max(floor.min(at))
}

fn objectives(
    case: &Case<'_>,
    recovery: Option<&Recovery>,
    loss: Option<&Known<Loss>>,
    redundancy: &Known<Interval>,
) -> Vec<Held> {
    let declared = &case.opening.brief.objectives;
    let restores = case.plan().map_or_else(|| case.opening.fault == "restore-backup", |p| p.heal == Heal::Work);
    let record = case.restore().and_then(Result::ok);
    let missing = |what: &str| Known::Unknown(what.to_owned());
    let mut all = Vec::new();
    let mut hold = |kind, limit: Option<Nanos>, measured: Known<Interval>| {
        if let Some(limit_ns) = limit {
            all.push(Objective { kind, limit_ns, source: declared.source.clone() }.hold(measured));
        }
    };
    if restores {
        let duration = record.and_then(RestoreRecord::duration).map(|d| Interval::new(d, Some(d)));
        let duration = duration.map_or_else(|| missing("the restore was not whole"), Known::Known);
        hold(ObjectiveKind::RestoreDuration, declared.restore_ns.or(declared.rto_ns), duration);
        hold(ObjectiveKind::BackupRecoveryPoint, declared.rpo_ns, super::restore::recovery_point(case));
    } else {
        let rto = recovery.map_or_else(
            || missing(if case.injection().is_none() { "nothing was injected" } else { "no probe watched" }),
            |r| r.recovery_time.clone(),
        );
        hold(ObjectiveKind::RecoveryTime, declared.rto_ns, rto);
        let rpo = loss.map_or_else(|| missing("no ledger counted the writes"), Loss::measured);
        hold(ObjectiveKind::RecoveryPoint, declared.rpo_ns, rpo);
        hold(ObjectiveKind::RedundancyWithin, declared.redundancy_ns, redundancy.clone());
    }
    all
}

/// What was checked after the recovery.
fn checks(case: &Case<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let Some(plan) = case.plan() else { return checks };
    if let Some(Ok(record)) = case.restore() {
        let of = |c: &restore::Check| Check {
            name: c.name.clone(),
            expected: c.expected.clone(),
            outcome: match (&c.ok, &c.found) {
                (Known::Known(true), found) => CheckOutcome::Held(found.known().cloned().unwrap_or_default()),
                (Known::Known(false), found) => CheckOutcome::Broken(found.known().cloned().unwrap_or_default()),
                (Known::Unknown(why), _) => CheckOutcome::Unknown(why.clone()),
            },
        };
        checks.extend(record.verified.iter().flat_map(|v| &v.checks).map(of));
    }
    if case.injection().is_none() {
        return checks;
    }
    checks.extend(plan.watch.iter().map(|target| members_back(case, target, usize::from(plan.members))));
    checks
}

/// One primary and all members streaming; or all deployments ready at their captured counts.
fn members_back(case: &Case<'_>, target: &str, members: usize) -> Check {
    let last = case.sights().filter(|s| s.target == target).last();
    let name = match last.map(|s| &s.view) {
        Some(TargetView::Deployments(_)) => "all deployments ready at their captured counts",
        _ => "one primary, all members streaming",
    };
    let expected = match last.map(|s| &s.view) {
        Some(TargetView::Deployments(_)) => "all".to_owned(),
        _ => format!("{members} of {members}"),
    };
    let outcome = match (case.drill.redundant, last) {
        (Some(_), _) => CheckOutcome::Held(expected.clone()),
        (None, None) => CheckOutcome::Unknown("the target was not seen".to_owned()),
        (None, Some(_)) if case.drill.abort.is_some() => {
            CheckOutcome::Unknown("the drill was stopped before they could be back".to_owned())
        }
        (None, Some(sight)) => match &sight.view {
            TargetView::Postgres(view) => {
                let streaming =
                    view.primary().map_or(0, |(_, s)| s.standbys.iter().filter(|s| s.state == "streaming").count());
                let found =
                    format!("{} of {members} members streaming by the deadline", streaming + view.primaries().count());
                CheckOutcome::Broken(found)
            }
            TargetView::Deployments(view) => {
                let down: Vec<&str> = view.deployments.iter().filter(|d| !d.up()).map(|d| d.name.as_str()).collect();
                CheckOutcome::Broken(if down.is_empty() {
                    "it was not seen by the deadline that their counts were put back".to_owned()
                } else {
                    format!("not ready by the deadline: {}", down.join(", "))
                })
            }
        },
    };
    Check { name: format!("{target}: {name}"), expected, outcome }
}

fn baselines(case: &Case<'_>) -> Vec<Baseline> {
    let Some((injected, _)) = case.injection() else { return Vec::new() };
    let of = |s: &super::case::CaseStream| {
        let from = s.samples.first().map_or(injected, |f| f.due_ns);
        let count = s.samples.iter().filter(|x| x.due_ns < injected).count().max(1) as u64;
        let tolerated = u64::from(case.opening.settings.tolerate) * 1_000_000 / count;
        let tolerated = PerMillion(u32::try_from(tolerated.min(1_000_000)).unwrap_or(1_000_000));
        // What was on its way when the fault came is not part of the start.
        let until = injected.minus(s.info.timeout_ns);
        baseline(&s.info, &s.samples, from, until.max(from), tolerated)
    };
    case.streams.iter().filter(|s| s.info.excluded.is_none()).map(of).collect()
}

fn refusals(case: &Case<'_>) -> Vec<Refusal> {
    let refused = case.drill.refused.iter().map(|r| Refusal { sentence: r.why.clone(), next_action: r.help.clone() });
    let by_restore = case.restore().and_then(Result::ok).map(restore::judge).map(|j| j.refusals).unwrap_or_default();
    let help = "Correct the staging target, and start again. Nothing was written.".to_owned();
    let by_restore = by_restore.into_iter().map(|sentence| Refusal { sentence, next_action: help.clone() });
    refused.chain(by_restore).collect()
}

fn stop(case: &Case<'_>) -> Option<Stop> {
    match (&case.drill.guard, &case.drill.abort) {
        (Some(guard), _) => Some(Stop::Guard(guard.clone())),
        (None, Some(by)) => Some(Stop::Person(by.clone())),
        (None, None) => None,
    }
}

fn taken_over(case: &Case<'_>) -> String {
    let at = case.records.iter().position(|r| matches!(r.event, Event::TookOver(_))).unwrap_or(0);
    let last = case.records[..at].last().map(|r| &r.at);
    let gap = last.and_then(|last| case.records[at].at.since(last));
    let gap = gap.map_or_else(|| "over a reboot".to_owned(), |g| format!("after {:.1} s", g.as_secs_f64()));
    format!("the runner died and another took the drill over {gap}")
}

/// Whether the fault took hold, and for how long.
pub(super) fn landing(case: &Case<'_>) -> Landing {
    let drill = &case.drill;
    if case.plan().is_none_or(|p| p.heal == Heal::Work) {
        return Landing::NoFault;
    }
    match (&drill.unsustained, &drill.not_landed, drill.landed) {
        (Some(by), _, _) => Landing::NotSustained(format!("it was undone by {by}")),
        (None, Some(why), _) => Landing::NotLanded(why.clone()),
        (None, None, Some(_)) => not_held_long_enough(case).map_or(Landing::Landed, Landing::NotSustained),
        (None, None, None) => Landing::NotLanded("it was not seen at its target before the drill ended".to_owned()),
    }
}

/// A fault that is to be held, and was let go early because the runner died or was stopped.
fn not_held_long_enough(case: &Case<'_>) -> Option<String> {
    let (hold_ns, from) = match case.plan()?.heal {
        Heal::Undo { hold_ns, .. } => (hold_ns, case.drill.loss_seen),
        Heal::Afterwards { hold_ns, .. } => (hold_ns, case.drill.held_since()),
        Heal::Itself | Heal::Promotion { .. } | Heal::Work => return None,
    };
    let held = from.zip(case.drill.heal_began).map(|(from, healed)| healed.since(from));
    match held {
        Some(held) if held >= hold_ns => None,
        _ => {
            let who = if case.drill.took_over.is_some() {
                "its runner died, and the next one let it go"
            } else {
                "it was let go"
            };
            Some(format!("{who} before it had been held for {:.0} s", hold_ns.as_secs_f64()))
        }
    }
}

/// What the experiment expects to be exercised; nothing when it expects nothing, or kills nothing.
fn expected(case: &Case<'_>, exercise: Option<&Known<Exercise>>) -> Option<(Expected, Exercise)> {
    let expected = case.opening.brief.expect?;
    case.injection()?;
    let exercise = match exercise? {
        Known::Known(exercise) => exercise.clone(),
        Known::Unknown(why) => Exercise {
            what: Known::Unknown(why.clone()),
            promoted: Known::Unknown(why.clone()),
            timelines: None,
            because: Vec::new(),
        },
    };
    Some((expected, exercise))
}

fn troubles(case: &Case<'_>) -> Vec<StepTrouble> {
    let Some(plan) = case.plan() else { return Vec::new() };
    let mut troubles = Vec::new();
    if let Some(restored) = case.restore() {
        let step = "restore of the backup".to_owned();
        match restored {
            Err(why) => troubles.push(StepTrouble { step, what: why.to_owned(), against: Against::Drill }),
            Ok(record) => {
                let judged = restore::judge(record);
                let known: Vec<String> =
                    record.verified.iter().flat_map(|v| &v.checks).map(|c| format!("{}:", c.name)).collect();
                let new = |s: &&String| !known.iter().any(|k| s.starts_with(k.as_str()));
                let of = |what: &String, against| StepTrouble { step: step.clone(), what: what.clone(), against };
                troubles.extend(judged.defects.iter().filter(new).map(|d| of(d, Against::Service)));
                troubles.extend(judged.unknowns.iter().filter(new).map(|u| of(u, Against::Drill)));
            }
        }
    } else if plan.heal == Heal::Work && case.drill.refused.is_none() && case.drill.abort.is_none() {
        let what = if case.drill.deadline_passed { "was not over by its deadline" } else { "was not done" };
        let against = if case.drill.deadline_passed { Against::Service } else { Against::Drill };
        troubles.push(StepTrouble { step: "restore of the backup".to_owned(), what: what.to_owned(), against });
    }
    for record in case.records {
        if let Event::Replied(answered) = &record.event
            && plan.step(answered.step).stage == Stage::Inject
            && let Reply::Rejected(why) = &answered.reply
        {
            let step = plan.step(answered.step).effect.describe();
            troubles.push(StepTrouble { step, what: why.clone(), against: Against::Drill });
        }
    }
    troubles.extend(missing_pods(case));
    troubles
}

/// How many deployments that did not come back are named one by one.
const NAMED_MAX: usize = 5;

/// The deployments whose count was put back and whose pods were not there when the time for recovery was over, with what
/// the cluster says of it.
fn missing_pods(case: &Case<'_>) -> Vec<StepTrouble> {
    if !case.drill.deadline_passed {
        return Vec::new();
    }
    let short = case.scaled().filter_map(|(object, was)| {
        let seen = case.last_seen(&object.name)?;
        (seen.replicas > 0 && !seen.up()).then(|| {
            let because = seen.trouble.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            let what = format!("{} of {was} pods were ready when the time for recovery was over{because}", seen.ready);
            StepTrouble { step: object.to_string(), what, against: Against::Service }
        })
    });
    let mut short: Vec<StepTrouble> = short.collect();
    if short.len() > NAMED_MAX {
        let what = format!("{} more were not ready either", short.len() - NAMED_MAX);
        short.truncate(NAMED_MAX);
        short.push(StepTrouble { step: "deployments".to_owned(), what, against: Against::Service });
    }
    short
}

/// What is left, and the sentence about it.
fn residue(case: &Case<'_>) -> (Residue, String) {
    let Some(plan) = case.plan() else { return (Residue::Clean, String::new()) };
    let owed: Vec<String> = case.drill.outstanding().map(|id| plan.step(id).effect.object()).collect();
    if !owed.is_empty() {
        return (Residue::Outstanding, format!("still there: {}", owed.join(", ")));
    }
    let superseded: Vec<String> = plan
        .ids()
        .filter_map(|id| match case.drill.outcome(id) {
            Some(Undone::Superseded(what)) => Some(format!("{} ({what})", plan.step(id).effect.object())),
            _ => None,
        })
        .collect();
    if superseded.is_empty() {
        (Residue::Clean, String::new())
    } else {
        (Residue::Superseded, format!("changed by somebody else meanwhile, and left: {}", superseded.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Failure;

    fn sample(seq: u64, outcome: Outcome) -> Sample {
        let at = Mono(seq * 10);
        Sample { seq, due_ns: at, sent_ns: at, done_ns: at, outcome }
    }

    #[test]
    fn what_was_not_asked_after_stability_is_left_out_and_a_relapse_is_not() {
        let ok = Outcome::Ok { node: 0, timeline: 0 };
        let quiet = [sample(0, ok), sample(1, ok), sample(2, Outcome::Unknown), sample(3, ok)];
        assert_eq!(until_stable(&quiet, Some(Mono(15))).len(), 2);
        assert_eq!(until_stable(&quiet, None).len(), 4);
        let relapse = [sample(0, ok), sample(1, ok), sample(2, Outcome::Failed(Failure::Refused))];
        assert_eq!(until_stable(&relapse, Some(Mono(15))).len(), 3);
    }
}
