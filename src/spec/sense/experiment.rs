//! Whether an experiment makes sense by itself.

use super::{BLINK, DAY, Finder, HOUR, sum};
use crate::faults::FaultSpec;
use crate::spec::calendar::{self, Unreadable};
use crate::spec::experiment::{Experiment, Missed};
use crate::spec::load::Located;
use crate::spec::nearest::{nearest, one_of};
use crate::spec::path::NodePath;
use crate::spec::problem::{Code, Problem};
use crate::spec::scalar::{Name, Span};
use std::path::Path;

/// All that makes no sense in an experiment.
pub(crate) fn experiment(loaded: &Located<Experiment>) -> Vec<Problem> {
    let mut finder = Finder::new(&loaded.source);
    let it = &loaded.value;
    finder.text("title", &it.title);
    finder.text("owner", &it.owner);
    if let Some(text) = &it.description {
        finder.text("description", text);
    }
    objectives(&mut finder, it);
    method(&mut finder, it);
    probes(&mut finder, it);
    recover(&mut finder, it);
    abort(&mut finder, it);
    schedule(&mut finder, it);
    finder.done()
}

/// The runbook must be there: it is needed on the worst day.
pub(crate) fn runbook(loaded: &Located<Experiment>, directory: &Path) -> Option<Problem> {
    let page = loaded.value.runbook.as_deref()?;
    if page.starts_with("https://") || page.starts_with("http://") || directory.join(page).is_file() {
        return None;
    }
    Some(
        Problem::of(&loaded.source, "runbook", Code::UnknownName, "the runbook is not there")
            .found(format!("no file {}", directory.join(page).display()))
            .expected("the path of a page, relative to this file, or an https address")
            .help("write the page, or correct the path"),
    )
}

fn objectives(finder: &mut Finder<'_>, it: &Experiment) {
    let o = &it.objectives;
    finder.within("objectives.rto", o.rto, BLINK, Span::secs(30 * 86_400));
    finder.within("objectives.restore", o.restore, Span::secs(1), Span::secs(30 * 86_400));
    finder.within("objectives.redundancy", o.redundancy, BLINK, Span::secs(30 * 86_400));
    if let (Some(detect), Some(rto)) = (o.detect_and_decide, o.rto)
        && detect >= rto
    {
        let source = finder.source();
        finder.tell(
            "objectives.detect-and-decide",
            Code::Contradiction,
            "noticing and deciding alone takes up the RTO",
            |p| {
                p.found(detect.to_string())
                    .expected(format!("less than the RTO, {rto}"))
                    .help("the drill could never pass: correct one of the two")
                    .see(source, "objectives.rto", "the RTO")
            },
        );
    }
    if let Some(source) = &o.source {
        finder.text("objectives.source", source);
    }
}

fn method(finder: &mut Finder<'_>, it: &Experiment) {
    match it.method.as_slice() {
        [] => finder.tell("method", Code::EmptyValue, "`method` is empty", |p| {
            p.found("nothing to do")
                .expected(format!("one of {}", words()))
                .help("without a fault there is nothing to prove")
        }),
        [one] => super::method::operation(finder, it, one),
        [_, ..] => finder.tell(
            "method[1]",
            Code::NotBuilt,
            "several operations in one experiment are not supported yet",
            |p| {
                p.found(format!("{} operations", it.method.len()))
                    .expected("one")
                    .help("write an experiment for each; they can be scheduled one after the other")
            },
        ),
    }
}

fn words() -> String {
    one_of(crate::faults::FAULTS.iter().map(|(word, _)| *word))
}

fn probes(finder: &mut Finder<'_>, it: &Experiment) {
    finder.once("probes", it.probes.iter().map(Name::as_str));
    for (name, reason) in &it.exclude {
        let path = format!("exclude.{name}");
        finder.text(&path, reason);
        if !it.probes.contains(name) {
            let problem = Problem::of_key(finder.source(), &NodePath::parse(&path), Code::UnknownName, unwatched(name));
            finder.push(not_watching(it, name, problem));
        }
    }
    if !it.probes.is_empty() && it.probes.iter().all(|p| it.exclude.contains_key(p)) {
        finder.tell("exclude", Code::Contradiction, "every probe is excluded", |p| {
            p.found("no probe that counts")
                .expected("at least one")
                .help("the recovery time is the worst over the probes that count")
        });
    }
    let restores = matches!(it.method.as_slice(), [FaultSpec::RestoreBackup(_)]);
    if it.probes.is_empty() && !restores && !it.method.is_empty() {
        finder.tell("method", Code::MissingKey, "no probe watches", |p| {
            p.found("none")
                .expected("at least one probe of the estate, as `probes: [name]`")
                .help("recovery is measured from what users see, by probes")
        });
    }
}

fn unwatched(name: &Name) -> String {
    format!("the probe `{name}` does not watch this experiment")
}

fn not_watching(it: &Experiment, name: &Name, problem: Problem) -> Problem {
    problem
        .found(format!("`{name}`"))
        .expected(format!("one of `probes`: {}", one_of(it.probes.iter().map(Name::as_str))))
        .nearest(nearest(name.as_str(), it.probes.iter().map(Name::as_str)))
        .help(format!("correct the name, or add `{name}` to `probes`"))
}

fn recover(finder: &mut Finder<'_>, it: &Experiment) {
    finder.within("baseline.for", Some(it.baseline.r#for), BLINK, HOUR);
    finder.within("recover.stable-for", Some(it.recover.stable_for), BLINK, HOUR);
    finder.within("recover.deadline", Some(it.recover.deadline), BLINK, DAY);
    let source = finder.source();
    let (stable, deadline) = (it.recover.stable_for, it.recover.deadline);
    if stable >= deadline {
        return finder.tell(
            "recover.stable-for",
            Code::Contradiction,
            "the deadline comes before the service could count as stable",
            |p| {
                p.found(stable.to_string()).expected(format!("less than the deadline, {deadline}")).see(
                    source,
                    "recover.deadline",
                    "the deadline",
                )
            },
        );
    }
    let Some((objective, needed)) = longest(it) else { return };
    if deadline < needed {
        let set = source.locate("recover.deadline").is_some();
        let path = if set { "recover.deadline" } else { "objectives" };
        finder.tell(path, Code::Contradiction, "the deadline comes before the objective could be missed", |p| {
            p.found(if set { deadline.to_string() } else { format!("the default deadline, {deadline}") })
                .expected(format!("at least {needed}: {objective}"))
                .help(format!("write `recover: {{ deadline: {needed} }}` or more"))
        });
    }
}

/// The time after the injection at which the last objective could still be met, and how it comes about.
fn longest(it: &Experiment) -> Option<(&'static str, Span)> {
    let stable = it.recover.stable_for;
    match it.method.as_slice() {
        [FaultSpec::RestoreBackup(_)] => Some(("the objective for the restore", it.objectives.restore?)),
        [FaultSpec::ScaleToZero(fault)] => {
            Some(("the hold, the RTO and `stable-for` together", sum([fault.hold, it.objectives.rto?, stable])))
        }
        _ => Some(("the RTO and `stable-for` together", sum([it.objectives.rto?, stable]))),
    }
}

fn abort(finder: &mut Finder<'_>, it: &Experiment) {
    let source = finder.source();
    for (nth, rule) in it.abort_when.iter().enumerate() {
        let path = format!("abort-when[{nth}]");
        if !it.probes.contains(&rule.down) {
            let problem = Problem::of(source, &format!("{path}.down"), Code::UnknownName, unwatched(&rule.down));
            finder.push(not_watching(it, &rule.down, problem));
        }
        finder.within(&format!("{path}.for"), Some(rule.r#for), BLINK, DAY);
        if rule.r#for >= it.recover.deadline {
            finder.tell(
                &format!("{path}.for"),
                Code::Contradiction,
                "the deadline comes first, so this rule never holds",
                |p| {
                    p.found(rule.r#for.to_string())
                        .expected(format!("less than the deadline, {}", it.recover.deadline))
                        .see(source, "recover.deadline", "the deadline")
                },
            );
        }
    }
}

fn schedule(finder: &mut Finder<'_>, it: &Experiment) {
    for (place, schedule) in it.schedule.iter().flat_map(|all| all.placed("schedule")) {
        if let Some(Unreadable { key, found, why, nearest }) = calendar::unreadable(schedule) {
            let path = key.map_or(place.clone(), |key| format!("{place}.{key}"));
            finder.tell(&path, Code::Schedule, format!("`{path}` cannot be used"), |p| {
                p.found(found).nearest(nearest).help(why)
            });
        }
        if let Missed::RunOnceWithin(span) = schedule.missed {
            let path = format!("{place}.missed.run-once-within");
            finder.within(&path, Some(span), Span::secs(1), Span::secs(7 * 86_400));
        }
        finder.within(&format!("{place}.jitter"), schedule.jitter, Span::secs(1), DAY);
    }
    finder.within("pass-every", it.pass_every, HOUR, Span::secs(400 * 86_400));
}
