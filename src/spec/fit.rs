//! Whether an experiment fits an estate: names resolve to things of the right kind, the fault is allowed, and the probes
//! are fine enough for the objective.

use crate::faults::FaultSpec;
use crate::faults::kill_primary::KillBy;
use crate::probes::ProbeSpec;
use crate::probes::ledger::{At, Ledger};
use crate::spec::calendar;
use crate::spec::estate::{Estate, Selection, Target};
use crate::spec::experiment::Experiment;
use crate::spec::load::Located;
use crate::spec::nearest::{nearest, one_of};
use crate::spec::problem::{Code, Problem};
use crate::spec::scalar::{Name, Span};
use crate::spec::sense::Finder;

/// An objective is measured to within a few probe periods and one timeout; each may be at most this part of it.
const FINENESS: u64 = 20;

/// All that does not fit. Problems stand where the experiment says it, and name the line of the estate.
pub(crate) fn problems(experiment: &Located<Experiment>, estate: &Located<Estate>) -> Vec<Problem> {
    let mut fit = Fit { finder: Finder::new(&experiment.source), experiment: &experiment.value, estate };
    for (nth, fault) in experiment.value.method.iter().enumerate() {
        fit.fault(&format!("method[{nth}].{}", fault.word()), fault);
    }
    fit.probes();
    fit.schedule();
    fit.finder.done()
}

struct Fit<'a> {
    finder: Finder<'a>,
    experiment: &'a Experiment,
    estate: &'a Located<Estate>,
}

impl Fit<'_> {
    fn fault(&mut self, path: &str, fault: &FaultSpec) {
        let allow = &self.estate.value.allow;
        let word = fault.word();
        if !allow.iter().any(|w| w.as_str() == word) {
            let estate = self.estate;
            self.finder.tell(
                path,
                Code::NotAllowed,
                format!("`{word}` is not allowed in {}", estate.value.environment),
                |p| {
                    p.found(format!("`{word}`"))
                        .expected(format!("what the estate allows: {}", one_of(allow.iter().map(Name::as_str))))
                        .help("choose another estate; or, if its owners agree, add it to `allow`")
                        .see(&estate.source, "allow", "what is allowed")
                },
            );
        }
        match fault {
            FaultSpec::KillPrimary(kill) => {
                self.target(&format!("{path}.target"), &kill.target, "postgres", word);
                self.loss_is_measured(&kill.target);
                if matches!(kill.by, KillBy::Crash | KillBy::Freeze) {
                    self.agent_is_there((path, "by"), &kill.target, word);
                }
            }
            FaultSpec::KillManager(kill) => {
                self.target(&format!("{path}.target"), &kill.target, "postgres", word);
                self.loss_is_measured(&kill.target);
                self.agent_is_there((path, "target"), &kill.target, word);
            }
            FaultSpec::ScaleToZero(scale) => {
                self.target(&format!("{path}.target"), &scale.target, "deployments", word);
                self.waves(path, &scale.target, &scale.waves);
                self.some_ledger();
            }
            FaultSpec::RestoreBackup(restore) => {
                self.target(&format!("{path}.from"), &restore.from, "backups", word);
                self.target(&format!("{path}.into"), &restore.into, "staging", word);
            }
        }
    }

    /// Requires that a name is that of a target of a kind.
    fn target(&mut self, path: &str, name: &Name, kind: &str, word: &str) {
        let estate = self.estate;
        let targets = &estate.value.targets;
        let fitting = || targets.iter().filter(|(_, t)| t.word() == kind).map(|(n, _)| n.as_str());
        match targets.get(name) {
            Some(target) if target.word() == kind => {}
            Some(other) => self.finder.tell(path, Code::WrongKind, format!("`{name}` is not a `{kind}` target"), |p| {
                p.found(format!("a `{}` target", other.word()))
                    .expected(format!("a `{kind}` target for `{word}`: {}", one_of(fitting())))
                    .see(&estate.source, &format!("targets.{name}"), format!("`{name}` is described here"))
            }),
            None => self.finder.tell(path, Code::UnknownName, format!("the estate has no target `{name}`"), |p| {
                p.found(format!("`{name}`"))
                    .expected(format!("a `{kind}` target of {}: {}", estate.source.file(), one_of(fitting())))
                    .nearest(nearest(name.as_str(), fitting()))
                    .see(&estate.source, "targets", "the targets")
            }),
        }
    }

    /// Processes on a node are only reached by an agent there.
    fn agent_is_there(&mut self, (path, key): (&str, &str), name: &Name, word: &str) {
        let estate = self.estate;
        let Some(Target::Postgres(target)) = estate.value.targets.get(name) else { return };
        if target.agent.is_some() {
            return;
        }
        self.finder.tell(
            &format!("{path}.{key}"),
            Code::MissingKey,
            format!("`{name}` has no agent that could do this from its node"),
            |p| {
                p.found("a `postgres` target without `agent`")
                    .expected("`agent: { image, namespace, service-account }` at the target")
                    .help(format!("see docs/faults/{word}.md for what it is, and whether you want it"))
                    .see(&estate.source, &format!("targets.{name}.postgres"), format!("`{name}` is described here"))
            },
        );
    }

    /// A loss can only be told by a ledger in the very database that is hit.
    fn loss_is_measured(&mut self, target: &Name) {
        let estate = &self.estate.value;
        let writes = |name: &Name| {
            let through_the_service = |l: &Ledger| l.target == *target && l.at == At::Service;
            matches!(estate.probes.get(name), Some(ProbeSpec::Ledger(l)) if through_the_service(l))
        };
        if !matches!(estate.targets.get(target), Some(Target::Postgres(_))) {
            return;
        }
        if self.experiment.objectives.rpo.is_none() || self.experiment.probes.iter().any(writes) {
            return;
        }
        let there: Vec<&str> = estate.probes.keys().filter(|n| writes(n)).map(Name::as_str).collect();
        self.finder.tell(
            "objectives.rpo",
            Code::Contradiction,
            format!("nothing measures what `{target}` loses"),
            |p| {
                let p = p.found("an RPO").expected(format!("a `ledger` probe of `{target}` among `probes`"));
                if there.is_empty() {
                    p.help(format!(
                        "describe one in the estate: `{target}-writes: {{ ledger: {{ target: {target} }} }}`"
                    ))
                } else {
                    p.help(format!("add {}", one_of(there)))
                }
            },
        );
    }

    /// Where no database is hit itself, any ledger among the probes tells what was lost.
    fn some_ledger(&mut self) {
        let probes = &self.estate.value.probes;
        let ledger = |name: &Name| matches!(probes.get(name), Some(ProbeSpec::Ledger(_)));
        if self.experiment.objectives.rpo.is_none() || self.experiment.probes.iter().any(ledger) {
            return;
        }
        self.finder.tell("objectives.rpo", Code::Contradiction, "nothing measures what is lost", |p| {
            p.found("an RPO")
                .expected("a `ledger` probe among `probes`")
                .help("add one, or remove the RPO: it would never be judged")
        });
    }

    fn waves(&mut self, path: &str, target: &Name, waves: &[Vec<Name>]) {
        let Some(Target::Deployments(deployments)) = self.estate.value.targets.get(target) else { return };
        // What a selector or `all` selects, only the cluster knows; preflight asks it.
        let Selection::Names(names) = &deployments.select else { return };
        for (nth, wave) in waves.iter().enumerate() {
            for (at, name) in wave.iter().enumerate().filter(|(_, n)| !names.contains(n)) {
                let estate = self.estate;
                self.finder.tell(
                    &format!("{path}.waves[{nth}][{at}]"),
                    Code::UnknownName,
                    format!("`{name}` is not scaled, so it cannot return"),
                    |p| {
                        p.found(format!("`{name}`"))
                            .expected(format!(
                                "one of the deployments of `{target}`: {}",
                                one_of(names.iter().map(Name::as_str))
                            ))
                            .nearest(nearest(name.as_str(), names.iter().map(Name::as_str)))
                            .see(&estate.source, &format!("targets.{target}.deployments.select"), "what is selected")
                    },
                );
            }
        }
    }

    fn probes(&mut self) {
        for (nth, name) in self.experiment.probes.iter().enumerate() {
            let path = format!("probes[{nth}]");
            let probe = self.estate.value.probes.get(name);
            match probe {
                Some(ProbeSpec::Ledger(Ledger { target, at: At::Member, .. })) => self.holds_on(&path, name, target),
                Some(probe) if !self.experiment.exclude.contains_key(name) => self.fine_enough(&path, name, probe),
                Some(_) => {}
                None => self.unknown_probe(&path, name),
            }
        }
    }

    /// A probe that holds on to the member that is lost tells what is lost there, and nothing of the recovery.
    fn holds_on(&mut self, path: &str, name: &Name, target: &Name) {
        let estate = self.estate;
        let there = format!("probes.{name}.ledger.at");
        let lost = |f: &FaultSpec| match f {
            FaultSpec::KillPrimary(kill) => kill.target == *target,
            FaultSpec::KillManager(kill) => kill.target == *target,
            FaultSpec::ScaleToZero(_) | FaultSpec::RestoreBackup(_) => false,
        };
        if !self.experiment.method.iter().any(lost) {
            self.finder.tell(path, Code::Contradiction, format!("no member of `{target}` is lost here"), |p| {
                p.found(format!("`{name}`, a probe with `at: member`"))
                    .expected(format!("a probe without it, or `kill-primary: {{ target: {target} }}`"))
                    .help("it writes to the member that the drill takes, and has none to write to")
                    .see(&estate.source, &there, format!("`at` of `{name}`"))
            });
        } else if !self.experiment.exclude.contains_key(name) {
            let what = format!("`{name}` holds on to the member that is lost, so it never sees the service recover");
            self.finder.tell(path, Code::Contradiction, what, |p| {
                p.found("`at: member`, and no `exclude`")
                    .expected(format!("`exclude: {{ {name}: the reason }}`"))
                    .help("what it writes counts as loss all the same; a probe through the service tells the recovery")
                    .see(&estate.source, &there, format!("`at` of `{name}`"))
            });
        }
    }

    fn unknown_probe(&mut self, path: &str, name: &Name) {
        let estate = self.estate;
        let known = || estate.value.probes.keys().map(Name::as_str);
        self.finder.tell(path, Code::UnknownName, format!("the estate has no probe `{name}`"), |p| {
            p.found(format!("`{name}`"))
                .expected(format!("a probe of {}: {}", estate.source.file(), one_of(known())))
                .nearest(nearest(name.as_str(), known()))
                .see(&estate.source, "probes", "the probes")
        });
    }

    fn fine_enough(&mut self, path: &str, name: &Name, probe: &ProbeSpec) {
        let Some(rto) = self.experiment.objectives.rto else { return };
        let most = Span(firedrill_core::time::Nanos(rto.0.0 / FINENESS));
        let pace = probe.pace();
        let slow = [
            ("timeout", "waits too long", Some(pace.timeout)),
            ("every", "asks too seldom", Some(pace.every)),
            ("fresh-every", "opens connections too seldom", pace.fresh_every),
        ];
        for (key, what, value) in slow {
            let Some(value) = value.filter(|v| *v > most) else { continue };
            let estate = self.estate;
            let there = format!("probes.{name}.{}.{key}", probe.word());
            let default = if estate.source.locate(&there).is_some() { "" } else { ", the default" };
            self.finder.tell(
                path,
                Code::Contradiction,
                format!("the probe `{name}` {what} to measure an RTO of {rto}"),
                |p| {
                    p.found(format!("`{key}: {value}`{default}"))
                        .expected(format!("at most {most}, a twentieth of the RTO"))
                        .help(format!(
                            "write `{key}: {most}` at the probe, exclude it with a reason, or correct the RTO"
                        ))
                        .see(&estate.source, &there, format!("`{key}` of `{name}`"))
                },
            );
        }
    }

    fn schedule(&mut self) {
        let (estate, Some(window)) = (self.estate, &self.estate.value.window) else { return };
        for (place, schedule) in self.experiment.schedule.iter().flat_map(|all| all.placed("schedule")) {
            if calendar::never_meet(schedule, &estate.value) {
                let key = if schedule.cron.is_some() { "cron" } else { "at" };
                let message = "the schedule never falls in the window";
                self.finder.tell(&format!("{place}.{key}"), Code::Schedule, message, |p| {
                    p.found(format!("`{}`", schedule.words()))
                        .expected(format!("a time within `{window}`"))
                        .help("it would never run: move the schedule, or widen the window")
                        .see(&estate.source, "window", "the window")
                });
            }
        }
    }
}
