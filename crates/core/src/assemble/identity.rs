//! Whose report it is, where it took place, and where its proof lies.

use super::Material;
use super::case::Case;
use crate::effect::Effect;
use crate::event::Event;
use crate::report::{Estate, Evidence, Experiment, Fact, History, Identity, JournalSeal, SampleSeal, Target, Tool};
use crate::time::Known;

pub(super) fn identity(case: &Case<'_>, material: &Material<'_>) -> Identity {
    let opening = case.opening;
    let mut runners = vec![format!("{} epoch 1", opening.host)];
    runners.extend(case.records.iter().filter_map(|r| match &r.event {
        Event::TookOver(t) => Some(format!("{} epoch {}", t.host, t.epoch.0)),
        _ => None,
    }));
    Identity {
        // One report a drill and length of its journal: made again from the same records, it is the same report.
        report: format!("{}-{}", opening.drill, case.records.len()),
        drill: opening.drill.clone(),
        previous_report_sha256: material
            .before
            .report_sha256
            .clone()
            .map_or_else(|| Known::Unknown("this is the first report of its journal".to_owned()), Known::Known),
        trigger: opening.trigger.clone(),
        approver: Known::Unknown("no approval was asked for".to_owned()),
        runners,
    }
}

fn sha_of(case: &Case<'_>, role: &str) -> String {
    case.opening.sources.iter().find(|s| s.role == role).map(|s| s.sha256.clone()).unwrap_or_default()
}

pub(super) fn experiment(case: &Case<'_>) -> Experiment {
    let opening = case.opening;
    let scope = case.plan().map(|p| p.steps.iter().map(|s| s.effect.object()).collect()).unwrap_or_default();
    let mut exclusions: Vec<String> = case.plan().map(|p| p.untouched.clone()).unwrap_or_default();
    exclusions.extend(opening.settings.excluded.iter().map(|(probe, why)| format!("probe {probe}: {why}")));
    Experiment {
        name: opening.experiment.clone(),
        title: opening.brief.title.clone(),
        owner: Some(opening.brief.owner.clone()),
        hypothesis: opening.brief.description.clone(),
        method: vec![opening.fault.clone()],
        scope,
        exclusions,
        spec_sha256: sha_of(case, "experiment"),
    }
}

pub(super) fn estate(case: &Case<'_>) -> Estate {
    let facts = |source: &[crate::plan::Fact]| -> Vec<Fact> {
        source.iter().map(|f| Fact::new(&f.label, &f.value, &f.source)).collect()
    };
    let targets = case.plan().map(|plan| {
        let of = |name: &String| Target { name: name.clone(), kind: plan.fault.clone(), resolved: facts(&plan.facts) };
        plan.watch.iter().map(of).collect()
    });
    let cluster = case.plan().and_then(|p| p.facts.iter().find(|f| f.label == "cluster uid"));
    Estate {
        environment: case.opening.environment.clone(),
        spec_sha256: sha_of(case, "estate"),
        cluster_uid: cluster.map_or_else(
            || Known::Unknown("no cluster was reached, or it does not tell".to_owned()),
            |f| Known::Known(f.value.clone()),
        ),
        targets: targets.unwrap_or_default(),
    }
}

pub(super) fn history(case: &Case<'_>, material: &Material<'_>) -> History {
    let never = || "no drill of this experiment in this journal has passed before".to_owned();
    let last = material.before.last_pass_wall_ns;
    let utc = |ns: i64| jiff::Timestamp::from_nanosecond(i128::from(ns)).map(|t| t.to_string()).ok();
    let days = |ns: i64| u64::try_from((case.clock.opened.wall_ns - ns) / 86_400_000_000_000).unwrap_or(0);
    History {
        last_pass_utc: last.and_then(utc).map_or_else(|| Known::Unknown(never()), Known::Known),
        days_since_last_pass: last.map(days).map_or_else(|| Known::Unknown(never()), Known::Known),
        next_due: case.opening.brief.schedule.clone(),
    }
}

pub(super) fn tool(case: &Case<'_>) -> Tool {
    let mut environment = vec![Fact::new("runner", &case.opening.host, "uname")];
    if let Some(Ok(record)) = case.restore() {
        let staged = record.staged.iter().flat_map(|s| &s.settings);
        environment.extend(staged.map(|s| Fact::new("staging server setting", s, "firedrill's own staging")));
    }
    Tool { version: case.opening.version.clone(), environment }
}

pub(super) fn evidence(case: &Case<'_>, material: &Material<'_>) -> Evidence {
    let samples = case.streams.iter().map(|s| SampleSeal {
        name: format!("{} {}", s.info.stream.probe, s.info.stream.view.word()),
        bytes: s.bytes,
        sha256: crate::digest::Digest::of(s.sealed.join("\n").as_bytes()).to_string(),
    });
    Evidence {
        journal: JournalSeal { events: case.records.len() as u64, chain_head: material.chain_head.clone() },
        samples: samples.collect(),
        signature: Known::Unknown("reports are not signed".to_owned()),
    }
}

/// The target of a plan, for people.
pub(super) fn target_name(case: &Case<'_>) -> String {
    let Some(plan) = case.plan() else { return String::new() };
    let by_effect = plan.steps.iter().find_map(|s| match &s.effect {
        Effect::Scratch { target, .. } | Effect::Database { target } => Some(target.clone()),
        _ => None,
    });
    plan.watch.first().cloned().or(by_effect).unwrap_or_default()
}
