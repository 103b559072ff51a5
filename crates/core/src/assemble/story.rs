//! The story of a drill: its checks beforehand, what happened in order, its phases, and what did not go by the rules.

use super::case::Case;
use super::measured::Measured;
use crate::event::{self, Event, Record};
use crate::plan::{Heal, Stage};
use crate::recovery::Disruption;
use crate::report::{
    Abort, Bracket, Check, CheckStatus, Deviation, EventKind, EventLine, Moment, Phase, PhaseKind, Span,
};
use crate::time::{Known, Mono};

pub(super) fn abort(case: &Case<'_>) -> Option<Abort> {
    let (record, (by, why)) = case.find(|e| match e {
        Event::GuardTripped(why) => Some(("a guard of the experiment".to_owned(), why.clone())),
        Event::AbortAsked(by) => Some((by.clone(), "it was asked to stop".to_owned())),
        _ => None,
    })?;
    Some(Abort { at_ns: case.clock.moment_of(&record.at), by, why })
}

pub(super) fn preflight(case: &Case<'_>) -> Vec<Check> {
    let checks = case.find(|e| match e {
        Event::Checked(checks) => Some(checks.clone()),
        _ => None,
    });
    let remedy = case.drill.refused.as_ref().map(|r| r.help.clone());
    let of = |c: event::Check| {
        let status = match &c.ok {
            Known::Known(true) => CheckStatus::Ok,
            Known::Known(false) => CheckStatus::Failed,
            Known::Unknown(_) => CheckStatus::Unknown,
        };
        Check {
            name: c.name,
            expected: c.expected,
            found: Known::Known(c.found),
            status,
            source: "preflight".to_owned(),
            remedy: remedy.clone().filter(|_| status != CheckStatus::Ok),
        }
    };
    checks.into_iter().flat_map(|(_, checks)| checks).map(of).collect()
}

/// The events of the journal that a reader wants, and the ones that only measuring finds.
pub(super) fn events(case: &Case<'_>, measured: &Measured) -> Vec<EventLine> {
    let mut lines: Vec<EventLine> = case.records.iter().filter_map(|r| line(case, r)).collect();
    if let Some((from, to)) = case.injection() {
        let at = Bracket::new(case.clock.moment(from), case.clock.moment(to.max(from)));
        let what = case.plan().map(|p| {
            let all: Vec<String> = p.stage(Stage::Inject).map(|id| p.step(id).effect.describe()).collect();
            if all.len() > 3 { format!("{} and {} more", all[0], all.len() - 1) } else { all.join("; ") }
        });
        lines.push(EventLine {
            at,
            kind: EventKind::Injected,
            word: "injected".to_owned(),
            text: what.unwrap_or_default(),
            evidence: "between the request and its reply".to_owned(),
        });
    }
    lines.extend(promoted(case));
    if let Some(recovery) = &measured.recovery {
        if let Disruption::Seen(at) = recovery.disruption {
            let earliest = at.after_ns.map_or(Moment(0), |a| case.clock.moment(a));
            let latest = at.by_ns.map_or(case.clock.closed_ns, |b| case.clock.moment(b));
            lines.push(EventLine {
                at: Bracket::new(earliest.min(latest), latest),
                kind: EventKind::Disruption,
                word: "disruption".to_owned(),
                text: "the first failure a user could see".to_owned(),
                evidence: "between the last good request and the first failed outcome, over all counted probes"
                    .to_owned(),
            });
        }
        let back = recovery.views.iter().filter(|v| v.info.excluded.is_none());
        let back = back.filter_map(|v| v.reading.episodes.last()?.stable).max_by_key(|s| s.acknowledged_ns);
        if let Some(stable) = back {
            lines.push(EventLine {
                at: Bracket::exact(case.clock.moment(stable.acknowledged_ns)),
                kind: EventKind::FirstAck,
                word: "first ack".to_owned(),
                text: "the first good answer of the stable run, in the view that was last".to_owned(),
                evidence: format!("sample {}", stable.seq),
            });
        }
    }
    lines.sort_by_key(|l| (l.at.latest_ns, l.at.earliest_ns, l.kind));
    lines
}

/// The first look after the injection in which another member is the primary.
fn promoted(case: &Case<'_>) -> Option<EventLine> {
    let (injected, _) = case.injection()?;
    let before = case.postgres_sights().filter(|(s, _)| s.to_ns <= injected).last()?.1.primary()?.0.uid.clone();
    for (sight, view) in case.postgres_sights().filter(|(s, _)| s.from_ns >= injected) {
        if let Some((member, server)) = view.primaries().find(|(m, _)| m.uid != before) {
            return Some(EventLine {
                // Looks that saw nothing new were not recorded: this is when it was seen, not when it came true.
                at: Bracket::new(case.clock.moment(sight.from_ns), case.clock.moment(sight.to_ns)),
                kind: EventKind::Promoted,
                word: "promoted".to_owned(),
                text: format!("{} is seen to be the primary, timeline {}", member.pod, server.timeline),
                evidence: format!("it says so over SQL, at {}", server.position()),
            });
        }
    }
    None
}

fn line(case: &Case<'_>, record: &Record) -> Option<EventLine> {
    let at = Bracket::exact(case.clock.moment_of(&record.at));
    let make = |kind, word: &str, text: String, evidence: String| {
        Some(EventLine { at, kind, word: word.to_owned(), text, evidence })
    };
    let journal = format!("journal record {}", record.seq);
    match &record.event {
        Event::Opened(o) => make(EventKind::Preparation, "opened", format!("opened {}", o.trigger.words()), journal),
        Event::Refused(r) => make(EventKind::Stopped, "refused", r.why.clone(), journal),
        Event::BaselineHeld => make(EventKind::BaselineHeld, "baseline", "everything was healthy".to_owned(), journal),
        Event::Landed { at, evidence } => Some(EventLine {
            at: Bracket::exact(case.clock.moment(*at)),
            kind: EventKind::Landed,
            word: "landed".to_owned(),
            text: "the fault was seen at its target".to_owned(),
            evidence: evidence.clone(),
        }),
        Event::NotLanded(why) => make(EventKind::Stopped, "not landed", why.clone(), journal),
        Event::Unsustained { by } => make(EventKind::Stopped, "not sustained", format!("undone by {by}"), journal),
        Event::LossSeen => {
            make(EventKind::Note, "loss seen", "users lost the service".to_owned(), "the probes".to_owned())
        }
        Event::PromotionSeen { by } => make(
            EventKind::Step,
            "let go",
            format!("{by} took over: the old primary is no longer kept down"),
            "looks at the target".to_owned(),
        ),
        Event::HealBegan if matches!(case.plan().map(|p| &p.heal), Some(Heal::Afterwards { .. })) => {
            make(EventKind::Step, "let go", "its time is over: what was held is let go".to_owned(), journal)
        }
        Event::HealBegan => {
            make(EventKind::RecoveryBegan, "bringing back", "firedrill began to bring it back".to_owned(), journal)
        }
        Event::WaveReady(n) => make(EventKind::Step, &format!("wave {}", n + 1), "back and ready".to_owned(), journal),
        Event::WorkBegan(work) => make(EventKind::Note, "work", format!("{} began", work_words(*work)), journal),
        Event::WorkEnded(end) => make(EventKind::Verified, "work", format!("{} ended", work_words(end.work)), journal),
        Event::Stable => make(
            EventKind::Stable,
            "stable",
            "every counted view answered rightly for the stable time".to_owned(),
            journal,
        ),
        Event::Redundant => {
            make(EventKind::Redundant, "redundant", "all members are back".to_owned(), "looks at the target".to_owned())
        }
        Event::DeadlinePassed => {
            make(EventKind::DeadlinePassed, "deadline", "the time for recovery was over".to_owned(), journal)
        }
        Event::GuardTripped(why) => make(EventKind::Stopped, "guard", why.clone(), journal),
        Event::AbortAsked(by) => make(EventKind::Stopped, "stopped", format!("stopped by {by}"), journal),
        Event::TookOver(t) => make(EventKind::TookOver, "taken over", format!("by {}: {}", t.host, t.why), journal),
        Event::UndoBegan(why) => make(EventKind::Undo, "undo", format!("giving back what is owed: {why}"), journal),
        Event::UndoFailed { why, .. } => make(EventKind::Undo, "undo failed", why.clone(), journal),
        Event::Suspended { .. } => {
            make(EventKind::Stopped, "suspended", "this runner could not put everything back".to_owned(), journal)
        }
        Event::Closed => make(EventKind::Closed, "closed", "nothing is owed".to_owned(), journal),
        _ => None,
    }
}

fn work_words(work: crate::plan::Work) -> String {
    match work {
        crate::plan::Work::Restore => "the restore".to_owned(),
        crate::plan::Work::ReadLedger { pass } => format!("reading {pass} of the ledger"),
    }
}

/// The phases a reader thinks in: baseline, disrupted (or held), recovering, settling, verifying.
pub(super) fn phases(case: &Case<'_>, measured: &Measured) -> Vec<Phase> {
    let Some((injected, _)) = case.injection() else { return Vec::new() };
    let began = case.stamp_of(|e| matches!(e, Event::ProbingBegan(_))).map_or(injected, |s| s.mono_ns);
    let recovery = measured.recovery.as_ref();
    let back = recovery.and_then(|r| {
        let ends = r.views.iter().filter(|v| v.info.excluded.is_none());
        ends.filter_map(|v| v.reading.episodes.last()?.stable).map(|s| s.acknowledged_ns).max()
    });
    let healing = match case.plan().map(|p| &p.heal) {
        Some(Heal::Undo { .. }) => case.heal_began(),
        _ => None,
    };
    let end = measured.watch.ended_ns;
    let mut cuts: Vec<(PhaseKind, &str, Mono)> = vec![(PhaseKind::Baseline, "baseline", began)];
    cuts.push((PhaseKind::Disrupted, if healing.is_some() { "held down" } else { "disrupted" }, injected));
    cuts.extend(healing.map(|at| (PhaseKind::Recovering, "recovering", at)));
    cuts.extend(back.map(|at| (PhaseKind::Settling, "settling", at)));
    cuts.extend(case.drill.stable.map(|at| (PhaseKind::Verifying, "verified", at)));
    cuts.retain(|(_, _, at)| *at <= end);
    // One that comes late pushes the ones that should have come before it out of the drawing.
    let mut phases = Vec::new();
    for (i, (kind, label, from)) in cuts.iter().enumerate() {
        let to = cuts[i + 1..].iter().map(|(_, _, at)| *at).min().unwrap_or(end);
        if to > *from {
            let span = Span::new(case.clock.moment(*from), case.clock.moment(to));
            phases.push(Phase { kind: *kind, label: (*label).to_owned(), span });
        }
    }
    phases
}

pub(super) fn deviations(case: &Case<'_>) -> Vec<Deviation> {
    let mut all = Vec::new();
    for record in case.records {
        let (text, meaning) = match &record.event {
            Event::TookOver(t) => (
                format!("the runner died; {} took the drill over ({})", t.host, t.why),
                "nobody watched in between: bounds that fall into that time are open".to_owned(),
            ),
            Event::ClockStepped { by_ns } => (
                format!("the wall clock stepped by {:.3} s", *by_ns as f64 / 1e9),
                "durations are monotonic and not affected; times of day before and after differ by it".to_owned(),
            ),
            Event::UndoFailed { why, .. } => {
                (format!("an undo failed and was tried again: {why}"), "see the residue".to_owned())
            }
            _ => continue,
        };
        all.push(Deviation { text, meaning });
    }
    all.extend(case.unreadable.iter().map(|what| Deviation {
        text: format!("samples could not be read: {what}"),
        meaning: "that time reads as time nobody watched".to_owned(),
    }));
    all.dedup();
    all
}
