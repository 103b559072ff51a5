//! What the looks at a database cluster and the ledger's acknowledgements say about its primaries.

use super::case::Case;
use crate::effect::Effect;
use crate::exercised::{AckRun, Departure, Evidence, PrimarySeen};
use crate::sample::Outcome;
use crate::sight::{Member, PostgresView, Server, Sight};
use crate::time::{Known, Moment};

/// Bytes of a log position as PostgreSQL writes them.
pub(super) fn lsn(bytes: u64) -> String {
    format!("{:X}/{:X}", bytes >> 32, bytes & 0xFFFF_FFFF)
}

fn seen(sight: &Sight, member: &Member, server: &Server) -> PrimarySeen {
    PrimarySeen {
        at_ns: sight.to_ns,
        member: member.pod.clone(),
        pod_uid: Some(member.uid.clone()),
        system_identifier: server.system_identifier.clone(),
        timeline: server.timeline,
        lsn: lsn(server.lsn),
        started: Some(server.started.clone()),
    }
}

/// The pod that the plan deletes.
fn victim(case: &Case<'_>) -> Option<(String, String)> {
    case.plan()?.steps.iter().find_map(|s| match &s.effect {
        Effect::Delete { pod, .. } => Some((pod.name.clone(), pod.uid.clone().unwrap_or_default())),
        _ => None,
    })
}

/// What is known of the primary that was killed and of its successors; `None` when the drill kills none.
pub(super) fn evidence(case: &Case<'_>) -> Option<Known<Evidence>> {
    let (_, uid) = victim(case)?;
    let (injected, _) = case.injection()?;
    let before = case.postgres_sights().filter(|(s, _)| s.to_ns <= injected).last();
    let Some((sight, view)) = before else {
        return Some(Known::Unknown("the cluster was not seen before the injection".to_owned()));
    };
    let Some((member, server)) = view.primary() else {
        return Some(Known::Unknown("no single primary was seen before the injection".to_owned()));
    };
    let after = case
        .postgres_sights()
        .filter(|(s, _)| s.from_ns >= injected)
        .flat_map(|(s, view)| view.primaries().map(move |(m, server)| seen(s, m, server)))
        .collect();
    Some(Known::Known(Evidence {
        before: seen(sight, member, server),
        after,
        departure: departure(case, &uid, (sight, view)),
        acknowledgements: acknowledgements(case),
    }))
}

/// When the old primary's pod went, and whether it gave its role away before.
fn departure(case: &Case<'_>, uid: &str, before: (&Sight, &PostgresView)) -> Known<Departure> {
    let (injected, _) = case.injection().unwrap_or_default();
    let there = |view: &PostgresView| view.members.iter().any(|m| m.uid == uid);
    let mut last_there = before.0.to_ns;
    let mut released = None;
    let holder = before.1.leader.as_ref().and_then(|l| l.known().cloned());
    for (sight, view) in case.postgres_sights().filter(|(s, _)| s.from_ns >= injected) {
        let given_up = match (&holder, view.leader.as_ref().and_then(Known::known)) {
            (Some(holder), Some(now)) => now != holder && there(view),
            _ => false,
        };
        if given_up && released.is_none() {
            released = Some(sight.to_ns);
        }
        if !there(view) {
            let released_ns = match &holder {
                Some(_) => Known::Known(released),
                None => Known::Unknown("no leader's lock is watched".to_owned()),
            };
            return Known::Known(Departure {
                gone: Moment::between(last_there.min(sight.to_ns), sight.to_ns),
                released_ns,
            });
        }
        last_there = sight.from_ns;
    }
    Known::Unknown("the old primary's pod was not seen to be gone".to_owned())
}

/// The acknowledgements of all ledger streams, as runs of one server and timeline.
fn acknowledgements(case: &Case<'_>) -> Vec<AckRun> {
    let mut acks = Vec::new();
    for stream in case.streams.iter().filter(|s| s.info.kind == "ledger") {
        for sample in &stream.samples {
            let Outcome::Ok { node, timeline } = sample.outcome else { continue };
            let epoch = (sample.seq >> 40) + 1;
            let nodes = stream.lives.iter().find(|l| l.epoch == epoch).map(|l| &l.nodes);
            let name = nodes.and_then(|n| n.get(usize::from(node))).cloned().unwrap_or_default();
            if timeline != 0 && !name.is_empty() {
                acks.push((sample.done_ns, name, timeline));
            }
        }
    }
    acks.sort();
    let mut runs: Vec<AckRun> = Vec::new();
    for (at, node, timeline) in acks {
        match runs.last_mut() {
            Some(run) if run.node == node && run.timeline == timeline => run.last_ns = at,
            _ => runs.push(AckRun { node, timeline, first_ns: at, last_ns: at }),
        }
    }
    runs
}
