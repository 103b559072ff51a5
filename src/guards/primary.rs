//! The guards of a database whose primary is to go: exactly one primary, by the estate's rule and by SQL alike; one history;
//! and somebody fit to take over.

use crate::guards::preflight::Preflight;
use crate::spec::primary_rule::PrimaryRule;
use crate::spec::scalar::Bytes;
use firedrill_core::sight::{Member, PostgresView, Server};
use firedrill_core::time::Known;

/// The rule, SQL and exactly one must agree, and no member may be silent.
pub fn exactly_one<'a>(
    view: &'a PostgresView,
    rule: &PrimaryRule,
    preflight: &mut Preflight,
) -> Option<(&'a Member, &'a Server)> {
    let by_rule: Vec<&str> = view.members.iter().filter(|m| m.labelled_primary).map(|m| m.pod.as_str()).collect();
    let by_sql: Vec<&str> = view.primaries().map(|(m, _)| m.pod.as_str()).collect();
    let silent: Vec<String> = view
        .members
        .iter()
        .filter_map(|m| match &m.said {
            Known::Unknown(why) => Some(format!("{}: {why}", m.pod)),
            Known::Known(_) => None,
        })
        .collect();
    let shown = |pods: &[&str]| if pods.is_empty() { "none".to_owned() } else { pods.join(", ") };
    let all = if silent.is_empty() { format!("all {}", view.members.len()) } else { silent.join("; ") };
    preflight.require(
        "every member answers over SQL",
        "all",
        all,
        Known::Known(silent.is_empty()),
        "A member that cannot be asked may be a second primary. Mend it, or its credentials, first.",
    );
    let called = rule.called();
    let one = view.primary();
    preflight.require(
        "the primary",
        format!("exactly one, the same by {called} and by SQL"),
        format!("by {called} {}; by SQL {}", shown(&by_rule), shown(&by_sql)),
        Known::Known(one.is_some()),
        match rule {
            PrimaryRule::Label(_) => "Labels can lie. See the cluster's own state before anything is killed.",
            PrimaryRule::Sql(_) => {
                "See the cluster's own state before anything is killed, and `primary.sql` in the estate."
            }
            PrimaryRule::Repmgr(_) => {
                "Members whose records differ are a conflict: see `repmgr cluster show` on each of them first."
            }
        },
    );
    one
}

/// All members must be of one cluster and on one timeline: what follows another history cannot take over this one.
pub fn one_history(view: &PostgresView, primary: &Server, preflight: &mut Preflight) {
    let members = || view.members.iter().filter_map(|m| Some((m.pod.as_str(), m.said.known()?)));
    let others: Vec<String> = members()
        .filter(|(_, s)| s.system_identifier != primary.system_identifier)
        .map(|(pod, s)| format!("{pod} is of {}", s.system_identifier))
        .collect();
    let found = if others.is_empty() { "all".to_owned() } else { others.join("; ") };
    preflight.require(
        "members of one cluster",
        format!("all of system identifier {}", primary.system_identifier),
        found,
        Known::Known(others.is_empty()),
        "The selector `members` matches pods of another cluster. Make it narrower.",
    );
    let astray: Vec<String> = members()
        .filter(|(_, s)| s.timeline != primary.timeline)
        .map(|(pod, s)| format!("{pod} on {}", s.timeline))
        .collect();
    let found = if astray.is_empty() { "all".to_owned() } else { astray.join(", ") };
    preflight.require(
        "timeline of every member",
        format!("the primary's, {}", primary.timeline),
        found,
        Known::Known(astray.is_empty()),
        "A member on another timeline cannot take over. Wait until it follows, or make it anew.",
    );
}

/// At least one replica must be fit to take over: ready, streaming by its own word and by the primary's, close behind.
/// `lag_max` is the estate's guard; `place` is where it is written.
pub fn healthy_replicas(
    view: &PostgresView,
    primary: &Server,
    (lag_max, place): (Bytes, &str),
    preflight: &mut Preflight,
) {
    let unfit: Vec<&str> = view.members.iter().filter(|m| !m.ready || m.terminating).map(|m| m.pod.as_str()).collect();
    let all_ready = if unfit.is_empty() { "all".to_owned() } else { format!("not {}", unfit.join(", ")) };
    preflight.require(
        "members ready",
        "all",
        all_ready,
        Known::Known(unfit.is_empty()),
        "Wait until they are, or see why not.",
    );
    let replicas = view.members.iter().filter_map(|m| Some((m.pod.as_str(), m.said.known()?)));
    let replicas: Vec<(&str, &Server)> = replicas.filter(|(_, s)| s.in_recovery).collect();
    // A primary also streams to what is no member (an archiver, a subscriber): its word alone is not enough.
    let idle: Vec<&str> = replicas.iter().filter(|(_, s)| !s.receiving).map(|(pod, _)| *pod).collect();
    let streaming = primary.standbys.iter().filter(|s| s.state == "streaming").count();
    let mut found = format!("{} of {} streaming", streaming.min(replicas.len() - idle.len()), replicas.len());
    if !idle.is_empty() {
        found = format!("{found}; not {}", idle.join(", "));
    }
    preflight.require(
        "replicas streaming",
        "at least one, and every one",
        found,
        Known::Known(!replicas.is_empty() && streaming >= replicas.len() && idle.is_empty()),
        "A kill without a healthy replica is an outage, not a drill. If they do stream, the role of `url` may not see it: \
         GRANT pg_monitor TO it.",
    );
    let lag_bytes = primary.standbys.iter().map(|s| s.lag_bytes).max().unwrap_or(0);
    preflight.require(
        "replication lag",
        format!("at most {lag_max}"),
        format!("{lag_bytes} B at most"),
        Known::Known(lag_bytes <= lag_max.0),
        format!("A kill now could lose writes. Wait, or raise guards.lag in {place}."),
    );
}
