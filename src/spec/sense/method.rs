//! Whether one operation makes sense in its experiment: its own values, and the objectives it is judged by.

use super::{BLINK, DAY, Finder, HOUR};
use crate::faults::FaultSpec;
use crate::faults::kill_primary::{KillBy, KillPrimary};
use crate::faults::restore_backup::{BackupSelection, Requirement, RestoreBackup, RestoreChecks};
use crate::faults::scale_to_zero::ScaleToZero;
use crate::spec::experiment::Experiment;
use crate::spec::path::NodePath;
use crate::spec::problem::Code;
use crate::spec::scalar::{Bytes, Span};

/// Checks the only operation of an experiment.
pub(super) fn operation(finder: &mut Finder<'_>, it: &Experiment, fault: &FaultSpec) {
    match fault {
        FaultSpec::KillPrimary(kill) => {
            kill_way(finder, kill);
            of_primary(finder, it);
        }
        FaultSpec::KillManager(kill) => {
            finder.within("method[0].kill-manager.for", kill.r#for, Span::secs(1), HOUR);
            of_primary(finder, it);
        }
        FaultSpec::ScaleToZero(scale) => {
            needs(
                finder,
                "rto",
                it.objectives.rto,
                "how long users may be without the service once the recovery has begun",
            );
            no_use(finder, "restore", it.objectives.restore, "nothing is restored");
            no_promotion(finder, it, fault);
            waves(finder, scale);
        }
        FaultSpec::RestoreBackup(restore) => {
            needs(
                finder,
                "restore",
                it.objectives.restore,
                "how long a restore may take, from finding the backup to its last check",
            );
            no_use(
                finder,
                "rto",
                it.objectives.rto,
                "a restore into staging disrupts nobody; `restore` is its objective",
            );
            no_use(finder, "redundancy", it.objectives.redundancy, "a restore into staging takes no member away");
            no_use(
                finder,
                "detect-and-decide",
                it.objectives.detect_and_decide,
                "a restore into staging disrupts nobody",
            );
            no_promotion(finder, it, fault);
            backup(finder, restore);
            checks(finder, &restore.verify);
        }
    }
}

/// What is judged of a primary that was taken away, or that nobody looks after.
fn of_primary(finder: &mut Finder<'_>, it: &Experiment) {
    needs(finder, "rto", it.objectives.rto, "how long users may be without the service");
    needs(finder, "rpo", it.objectives.rpo, "how much acknowledged data may be lost; `0s` for none");
    no_use(finder, "restore", it.objectives.restore, "nothing is restored");
    no_use(finder, "detect-and-decide", it.objectives.detect_and_decide, "the cluster notices and decides by itself");
}

fn kill_way(finder: &mut Finder<'_>, kill: &KillPrimary) {
    let path = |key: &str| format!("method[0].kill-primary.{key}");
    finder.within(&path("grace"), kill.grace, Span::secs(0), HOUR);
    finder.within(&path("at-most"), kill.at_most, Span::secs(1), HOUR);
    finder.within(&path("for"), kill.r#for, Span::secs(1), HOUR);
    let held = kill.hold_down.is_some();
    let stray = [
        (
            "grace",
            kill.grace.is_some(),
            matches!(kill.by, KillBy::DeletePod | KillBy::Evict),
            "`delete-pod` and `evict`",
        ),
        ("hold-down", held, kill.by == KillBy::Crash, "`crash`"),
        ("at-most", kill.at_most.is_some(), held, "`hold-down`"),
        ("for", kill.r#for.is_some(), kill.by == KillBy::Freeze, "`freeze`"),
    ];
    for (key, _, _, of) in stray.into_iter().filter(|(_, is_there, fits, _)| *is_there && !fits) {
        finder.tell(&path(key), Code::Contradiction, format!("`{key}` means nothing here"), |p| {
            p.found(format!("`{key}`"))
                .expected(format!("it only together with {of}"))
                .help("remove it, or choose that way")
        });
    }
}

fn needs(finder: &mut Finder<'_>, key: &str, value: Option<Span>, what: &str) {
    if value.is_none() {
        finder.tell("objectives", Code::MissingKey, format!("`objectives.{key}` is missing"), |p| {
            p.found("no objective to judge by").expected(format!("`{key}`: {what}"))
        });
    }
}

fn no_use(finder: &mut Finder<'_>, key: &str, value: Option<Span>, why: &str) {
    if value.is_some() {
        finder.tell(
            &format!("objectives.{key}"),
            Code::Contradiction,
            format!("`objectives.{key}` would never be judged"),
            |p| p.found("an objective").help(format!("remove it: {why}")),
        );
    }
}

fn no_promotion(finder: &mut Finder<'_>, it: &Experiment, fault: &FaultSpec) {
    if it.recover.expect.is_some() {
        finder.tell(
            "recover.expect",
            Code::Contradiction,
            format!("`{}` leads to no promotion and no restart", fault.word()),
            |p| p.found("an expectation").help("remove `expect`: it belongs to `kill-primary` and `kill-manager`"),
        );
    }
}

fn waves(finder: &mut Finder<'_>, scale: &ScaleToZero) {
    finder.within("method[0].scale-to-zero.hold", Some(scale.hold), BLINK, DAY);
    let mut seen: Vec<(&str, String)> = Vec::new();
    for (nth, wave) in scale.waves.iter().enumerate() {
        let path = format!("method[0].scale-to-zero.waves[{nth}]");
        if wave.is_empty() {
            finder.tell(&path, Code::EmptyValue, "the wave is empty", |p| {
                p.found("no deployment").help("name deployments in it, or remove it")
            });
        }
        for (at, name) in wave.iter().enumerate() {
            let here = format!("{path}[{at}]");
            if let Some((_, first)) = seen.iter().find(|(n, _)| *n == name.as_str()) {
                let source = finder.source();
                finder.tell(&here, Code::Duplicate, format!("`{name}` returns in two waves"), |p| {
                    p.found("a second one").help("keep one of the two").see(source, first, "the first is here")
                });
            }
            seen.push((name.as_str(), here));
        }
    }
}

fn backup(finder: &mut Finder<'_>, restore: &RestoreBackup) {
    let path = |key: &str| format!("method[0].restore-backup.{key}");
    match &restore.select {
        BackupSelection::Newest => {}
        BackupSelection::OlderThan(age) => {
            finder.within(&path("select.older-than"), Some(*age), Span::secs(1), Span::secs(3650 * 86_400));
        }
        BackupSelection::Key(key) => finder.text(&path("select.key"), key),
    }
    if let Some(jobs) = restore.jobs
        && !(1..=256).contains(&jobs)
    {
        finder.tell(&path("jobs"), Code::Value, "`jobs` is out of range", |p| {
            p.found(jobs.to_string()).expected("from 1 to 256")
        });
    }
    let (least, most) = (Bytes(64 << 10), Bytes(1 << 30));
    if let Some(range) = restore.range
        && !(least..=most).contains(&range)
    {
        finder.tell(&path("range"), Code::Value, "`range` is out of range", |p| {
            p.found(range.to_string()).expected(format!("from {least} to {most}"))
        });
    }
}

fn checks(finder: &mut Finder<'_>, verify: &RestoreChecks) {
    let path = "method[0].restore-backup.verify";
    for table in verify.rows.keys() {
        let well_named = table.split_once('.').is_some_and(|(s, t)| !s.is_empty() && !t.is_empty());
        if !well_named {
            let here = NodePath::parse(path).key("rows").key(table);
            finder.tell_key(&here, Code::Value, format!("`{table}` does not name its schema"), |p| {
                p.found(format!("`{table}`")).expected("`schema.table`").help(format!("for example `public.{table}`"))
            });
        }
    }
    if let Some(query) = &verify.canary {
        finder.text(&format!("{path}.canary"), query);
    }
    for (nth, check) in verify.sql.iter().enumerate() {
        finder.text(&format!("{path}.sql[{nth}].name"), &check.name);
        finder.text(&format!("{path}.sql[{nth}].query"), &check.query);
        if let Some(first) = verify.sql[..nth].iter().position(|c| c.name == check.name) {
            let source = finder.source();
            finder.tell(
                &format!("{path}.sql[{nth}].name"),
                Code::Duplicate,
                format!("two checks are called `{}`", check.name),
                |p| {
                    p.found("a second one").help("name what each proves").see(
                        source,
                        &format!("{path}.sql[{first}].name"),
                        "the first is here",
                    )
                },
            );
        }
    }
    let nothing = verify.rows.is_empty()
        && verify.canary.is_none()
        && verify.sql.is_empty()
        && verify.sequences == Requirement::Off
        && verify.amcheck == Requirement::Off;
    if nothing {
        finder.tell(path, Code::Contradiction, "nothing would be verified", |p| {
            p.found("every check is off")
                .help("a restore that nobody looks at proves nothing: leave at least one check on")
        });
    }
}
