//! Metrics as Prometheus reads them (its text format, version 0.0.4). All of them are counted from the journal and the daemon's
//! last round when somebody asks; docs/daemon.md lists them.

use crate::daemon::Glance;
use crate::store::Overview;
use std::fmt::Write as _;

/// One metric: its name, what kind it is, and what it says.
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    /// Labels with their values, and the figure.
    samples: Vec<(Vec<(&'a str, String)>, f64)>,
}

/// All metrics.
pub(super) fn render(glance: &Glance, held: &Overview) -> String {
    let counted = |label: &'static str, counts: &std::collections::BTreeMap<String, u64>| {
        counts.iter().map(|(word, n)| (vec![(label, word.clone())], *n as f64)).collect::<Vec<_>>()
    };
    let seconds = |ns: i64| ns as f64 / 1e9;
    let one = |value: f64| vec![(Vec::new(), value)];
    let of = |experiment: &str| vec![("experiment", experiment.to_owned())];
    let next = glance.experiments.values().filter_map(|s| {
        let labels = vec![("experiment", s.experiment.clone()), ("environment", s.environment.clone())];
        Some((labels, s.next?.as_second() as f64))
    });
    let passes = held.newest.iter().filter_map(|(name, n)| Some((of(name), seconds(n.last_pass_ns?))));
    let ended = held.newest.iter().map(|(name, n)| {
        (vec![("experiment", name.clone()), ("verdict", n.verdict.clone())], seconds(n.opened_wall_ns))
    });
    let gauge = |name, help, samples| Family { name, kind: "gauge", help, samples };
    let families = [
        Family {
            name: "firedrill_drills_total",
            kind: "counter",
            help: "Reported drills of this journal, by verdict.",
            samples: counted("verdict", &held.verdicts),
        },
        Family {
            name: "firedrill_firings_total",
            kind: "counter",
            help: "Firings of schedules, by what became of them.",
            samples: counted("state", &held.firings),
        },
        gauge("firedrill_drills_open", "Drills that are open: under way, or left behind.", one(held.open as f64)),
        gauge("firedrill_drills_under_way", "Drills that this daemon carries out.", one(glance.under_way.len() as f64)),
        gauge("firedrill_drills_waiting", "Firings that wait for room.", one(glance.waiting as f64)),
        gauge("firedrill_experiments", "Experiments on a schedule.", one(glance.experiments.len() as f64)),
        gauge("firedrill_files_bad", "Files that cannot be used as they are.", one(glance.bad.len() as f64)),
        gauge("firedrill_halted", "1 while a halt stands.", one(f64::from(u8::from(glance.halted.is_some())))),
        gauge("firedrill_next_firing_timestamp_seconds", "When an experiment is due next.", next.collect()),
        gauge("firedrill_last_pass_timestamp_seconds", "When the newest drill that passed began.", passes.collect()),
        gauge(
            "firedrill_last_drill_timestamp_seconds",
            "When the newest drill began, with its verdict.",
            ended.collect(),
        ),
    ];
    let mut text = String::new();
    for family in families {
        write(&mut text, &family);
    }
    text
}

fn write(text: &mut String, family: &Family<'_>) {
    let Family { name, kind, help, samples } = family;
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

/// A label's value: backslash, quote and line feed are written with a backslash.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Scheduled;
    use crate::store::Newest;

    #[test]
    fn metrics_are_what_prometheus_reads() {
        let mut glance = Glance { halted: Some("halted".to_owned()), ..Glance::default() };
        let scheduled = Scheduled {
            experiment: "orders".to_owned(),
            environment: "a \"b\"\\\n".to_owned(),
            schedule: "0 10 * * Tue UTC".to_owned(),
            next: Some("2026-12-01T10:00:00Z".parse().unwrap()),
            pass_every: None,
        };
        glance.experiments.insert("orders in a".to_owned(), scheduled);
        let newest = Newest {
            drill: "1".to_owned(),
            opened_wall_ns: 1_700_000_000_500_000_000,
            verdict: "FAIL".to_owned(),
            last_pass_ns: None,
        };
        let held = Overview {
            newest: [("orders".to_owned(), newest)].into(),
            verdicts: [("FAIL".to_owned(), 1), ("PASS".to_owned(), 41)].into(),
            firings: [("executed".to_owned(), 42)].into(),
            open: 0,
        };
        insta::assert_snapshot!(render(&glance, &held));
    }
}
