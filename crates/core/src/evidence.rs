//! The evidence of what was exercised, gathered from what was recorded: looks at the target, and the ledger's samples.

use crate::exercised::{AckRun, Departure, Evidence, PrimarySeen};
use crate::sample::{Outcome, Sample};
use crate::sight::{Member, PostgresView, Server, Sight, TargetView};
use crate::time::{Known, Moment, Mono, Nanos};

/// Gathers the evidence about one target's primary. `sights` in the order they were taken, `request_ns` when the
/// injection was about to be sent. Unknown when no primary was seen before it.
pub fn gather(sights: &[Sight], target: &str, request_ns: Mono, acknowledgements: Vec<AckRun>) -> Known<Evidence> {
    let looks: Vec<Look<'_>> = sights.iter().filter(|s| s.target == target).filter_map(Look::of).collect();
    let earlier = looks.iter().filter(|look| look.to_ns <= request_ns);
    let Some((look, member, server)) = earlier.rev().find_map(|l| l.view.primary().map(|(m, s)| (l, m, s))) else {
        return Known::Unknown(format!("no primary of {target} was seen before the injection"));
    };
    let before = primary_seen(look, member, server);
    let later: Vec<&Look<'_>> = looks.iter().filter(|l| l.to_ns > request_ns).collect();
    let mut after: Vec<PrimarySeen> =
        later.iter().flat_map(|l| l.view.primaries().map(|(m, s)| primary_seen(l, m, s))).collect();
    let none_now = later.last().is_some_and(|l| l.view.primaries().next().is_none());
    if none_now && after.iter().all(|p| p.member == before.member) {
        // It was seen before it went, and nobody has taken over since.
        after.clear();
    }
    let departure = departure(&before, &looks, look, &later);
    Known::Known(Evidence { before, after, departure, parting: None, acknowledgements })
}

/// A look at a PostgreSQL cluster.
struct Look<'a> {
    from_ns: Mono,
    to_ns: Mono,
    view: &'a PostgresView,
}

impl<'a> Look<'a> {
    fn of(sight: &'a Sight) -> Option<Self> {
        match &sight.view {
            TargetView::Postgres(view) => Some(Self { from_ns: sight.from_ns, to_ns: sight.to_ns, view }),
            TargetView::Deployments(_) => None,
        }
    }

    /// Whether the server process that was primary before is certainly gone.
    fn without(&self, before: &PrimarySeen) -> bool {
        let member = self.view.members.iter().find(|m| Some(&m.uid) == before.pod_uid.as_ref());
        member.is_none_or(|m| m.said.known().is_some_and(|s| Some(&s.started) != before.started.as_ref()))
    }
}

fn primary_seen(look: &Look<'_>, member: &Member, server: &Server) -> PrimarySeen {
    PrimarySeen {
        at_ns: look.to_ns,
        member: member.pod.clone(),
        pod_uid: Some(member.uid.clone()),
        system_identifier: server.system_identifier.clone(),
        timeline: server.timeline,
        lsn: server.position(),
        started: Some(server.started.clone()),
    }
}

fn departure(
    before: &PrimarySeen,
    looks: &[Look<'_>],
    last_before: &Look<'_>,
    later: &[&Look<'_>],
) -> Known<Departure> {
    let Some(gone) = later.iter().position(|look| look.without(before)) else {
        return Known::Unknown(format!("{} was never seen gone", before.member));
    };
    // It was there at some moment of the look before.
    let there_ns = gone.checked_sub(1).map_or(last_before.from_ns, |i| later[i].from_ns);
    let gone_moment = Moment::between(there_ns.min(later[gone].to_ns), later[gone].to_ns);
    Known::Known(Departure { gone: gone_moment, released_ns: released(looks, last_before, later, gone) })
}

/// Whether the lock was given up. An empty holder was written by the holder itself; a lock still in the old holder's
/// name once that is gone was not. Between two looks both could be overlooked; but who has the lock while it would still be
/// the old holder's was given it.
fn released(looks: &[Look<'_>], last_before: &Look<'_>, later: &[&Look<'_>], gone: usize) -> Known<Option<Mono>> {
    let Some(Known::Known(old)) = &last_before.view.leader else {
        return Known::Unknown("no leader's lock was seen before the injection".to_owned());
    };
    for (i, look) in later.iter().enumerate() {
        match &look.view.leader {
            Some(Known::Known(holder)) if holder.is_empty() => return Known::Known(Some(look.to_ns)),
            Some(Known::Known(holder)) if holder == old && i >= gone && !old.is_empty() => return Known::Known(None),
            Some(Known::Known(holder)) if holder == old => {}
            Some(Known::Known(_)) => {
                let held_until = held_until(looks, old, look.to_ns);
                if held_until.is_some_and(|until| look.to_ns < until) {
                    return Known::Known(Some(look.to_ns));
                }
                break;
            }
            Some(Known::Unknown(_)) | None => {}
        }
    }
    Known::Unknown("between two looks the lock changed hands".to_owned())
}

/// How long the lock was certainly its holder's, from what was seen until `until_ns`: it was renewed after the look that did
/// not show the newest renewal yet, and lasts from there.
fn held_until(looks: &[Look<'_>], holder: &str, until_ns: Mono) -> Option<Mono> {
    let read = looks.iter().filter(|l| l.to_ns < until_ns).filter_map(|l| {
        let Some(Known::Known(by)) = &l.view.leader else { return None };
        Some((l.from_ns, by, l.view.term.as_deref()?))
    });
    let read: Vec<_> = read.collect();
    let newest = read.iter().rev().find(|(_, by, _)| by.as_str() == holder)?.2;
    let first = read.iter().position(|(_, _, term)| term.renewed == newest.renewed)?;
    let not_yet_ns = read[first.checked_sub(1)?].0;
    Some(not_yet_ns.plus(Nanos(u64::from(newest.lasts_s) * 1_000_000_000)))
}

/// The runs of acknowledgements by one server on one timeline, over all ledger streams. Each stream comes with its
/// table of servers; samples that tell no server or no timeline are left out.
pub fn ack_runs(streams: &[(&[Sample], &[String])]) -> Vec<AckRun> {
    let mut acks: Vec<(Mono, &str, u32)> = Vec::new();
    for (samples, nodes) in streams {
        acks.extend(samples.iter().filter_map(|sample| {
            let Outcome::Ok { node: node @ 1.., timeline: timeline @ 1.. } = sample.outcome else { return None };
            nodes.get(usize::from(node)).map(|name| (sample.done_ns, name.as_str(), timeline))
        }));
    }
    acks.sort_unstable();
    let mut runs: Vec<AckRun> = Vec::new();
    for (at_ns, node, timeline) in acks {
        match runs.last_mut() {
            Some(run) if run.node == node && run.timeline == timeline => run.last_ns = at_ns,
            _ => runs.push(AckRun { node: node.to_owned(), timeline, first_ns: at_ns, last_ns: at_ns }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercised::{Exercised, name};
    use crate::sight::Term;

    fn member(pod: &str, uid: &str, said: Option<(bool, u32, &str)>) -> Member {
        let server = |(in_recovery, timeline, started): (bool, u32, &str)| Server {
            in_recovery,
            system_identifier: "7300".into(),
            timeline,
            lsn: 0x1_0300_0060,
            started: started.into(),
            standbys: Vec::new(),
            receiving: in_recovery,
        };
        Member {
            pod: pod.into(),
            uid: uid.into(),
            address: "10.0.0.1".into(),
            labelled_primary: said.is_some_and(|s| !s.0),
            ready: said.is_some(),
            terminating: false,
            restarts: 0,
            container_id: None,
            said: said.map_or(Known::Unknown("no answer".into()), |s| Known::Known(server(s))),
            manager: None,
        }
    }

    fn sight(at: u64, leader: Option<&str>, members: Vec<Member>) -> Sight {
        let leader = leader.map(|l| Known::Known(l.to_owned()));
        let view = TargetView::Postgres(PostgresView { members, leader, term: None });
        Sight { target: "orders-db".into(), from_ns: Mono(at), to_ns: Mono(at + 5), view }
    }

    fn old() -> Member {
        member("db-0", "u0", Some((false, 1, "s0")))
    }

    fn standby() -> Member {
        member("db-1", "u1", Some((true, 1, "s1")))
    }

    fn promoted() -> Member {
        member("db-1", "u1", Some((false, 2, "s1")))
    }

    fn exercised(sights: &[Sight]) -> Known<Exercised> {
        name(gather(sights, "orders-db", Mono(100), Vec::new()).known().unwrap()).what
    }

    #[test]
    fn a_lock_in_the_name_of_the_dead_proves_a_failover() {
        let sights = [
            sight(50, Some("db-0"), vec![old(), standby()]),
            sight(110, Some("db-0"), vec![standby()]),
            sight(200, Some("db-1"), vec![promoted()]),
            sight(300, Some("db-1"), vec![promoted(), member("db-0", "u2", Some((true, 2, "s2")))]),
        ];
        assert_eq!(exercised(&sights), Known::Known(Exercised::Failover));
        let evidence = gather(&sights, "orders-db", Mono(100), Vec::new());
        assert_eq!(evidence.known().unwrap().before.lsn, "1/3000060");
    }

    #[test]
    fn a_lock_given_up_proves_a_hand_over() {
        let sights = [
            sight(50, Some("db-0"), vec![old(), standby()]),
            sight(110, Some(""), vec![member("db-0", "u0", None), standby()]),
            sight(200, Some("db-1"), vec![promoted()]),
        ];
        assert_eq!(exercised(&sights), Known::Known(Exercised::HandOver));
    }

    #[test]
    fn a_lock_that_changed_hands_between_two_looks_proves_only_a_promotion() {
        let sights = [sight(50, Some("db-0"), vec![old(), standby()]), sight(110, Some("db-1"), vec![promoted()])];
        let evidence = gather(&sights, "orders-db", Mono(100), Vec::new());
        let exercise = name(evidence.known().unwrap());
        assert!(matches!(exercise.what, Known::Unknown(_)));
        assert_eq!(exercise.promoted, Known::Known(true));
    }

    #[test]
    fn a_lock_taken_before_its_term_was_over_was_given_up() {
        let s = 1_000_000_000;
        let look = |at: u64, leader: &str, renewed: &str, members: Vec<Member>| {
            let mut sight = sight(at, Some(leader), members);
            if let TargetView::Postgres(view) = &mut sight.view {
                view.term = Some(Box::new(Term { renewed: renewed.into(), lasts_s: 10 }));
            }
            sight
        };
        let pair = || vec![old(), standby()];
        let taken = |at: u64| {
            let sights = [
                look(s, "db-0", "first", pair()),
                look(3 * s, "db-0", "second", pair()),
                look(4 * s, "db-0", "second", pair()),
                look(at, "db-1", "third", vec![promoted()]),
            ];
            name(gather(&sights, "orders-db", Mono(5 * s), Vec::new()).known().unwrap()).what
        };
        // The second renewal came after the look at 1 s.
        assert_eq!(taken(11 * s - 6), Known::Known(Exercised::HandOver));
        assert!(matches!(taken(11 * s), Known::Unknown(_)), "it may have run out");
        // Where the first renewal that was seen is the only one, nobody knows how old it was.
        let sights = [look(s, "db-0", "first", pair()), look(6 * s, "db-1", "second", vec![promoted()])];
        let what = name(gather(&sights, "orders-db", Mono(5 * s), Vec::new()).known().unwrap()).what;
        assert!(matches!(what, Known::Unknown(_)), "{what:?}");
    }

    #[test]
    fn the_same_member_in_a_new_pod_is_a_restart_in_place() {
        let sights = [
            sight(50, None, vec![old(), standby()]),
            sight(110, None, vec![standby()]),
            sight(200, None, vec![member("db-0", "u9", Some((false, 2, "s9"))), standby()]),
        ];
        assert_eq!(exercised(&sights), Known::Known(Exercised::RestartInPlace));
    }

    #[test]
    fn nobody_taking_over_is_unknown_even_when_the_old_one_was_seen_late() {
        let sights = [
            sight(50, None, vec![old(), standby()]),
            sight(105, None, vec![old(), standby()]),
            sight(150, None, vec![standby()]),
        ];
        assert!(matches!(exercised(&sights), Known::Unknown(_)));
        assert!(matches!(gather(&sights[1..], "orders-db", Mono(100), Vec::new()), Known::Unknown(_)));
        assert!(matches!(gather(&sights, "stock-db", Mono(100), Vec::new()), Known::Unknown(_)));
    }

    #[test]
    fn acknowledgements_are_gathered_over_streams_in_the_order_they_came() {
        let ok = |seq: u64, done: u64, node, timeline| Sample {
            seq,
            due_ns: Mono(done - 1),
            sent_ns: Mono(done - 1),
            done_ns: Mono(done),
            outcome: Outcome::Ok { node, timeline },
        };
        let kept = [ok(0, 10, 1, 1), ok(1, 20, 1, 1), ok(2, 50, 2, 2), ok(3, 60, 0, 0)];
        let fresh = [ok(0, 15, 1, 1), ok(1, 55, 2, 2)];
        let (kept_nodes, fresh_nodes) = (["", "a", "b"].map(String::from), ["", "a", "b"].map(String::from));
        let runs = ack_runs(&[(&kept, &kept_nodes), (&fresh, &fresh_nodes)]);
        let told: Vec<(&str, u32, u64, u64)> =
            runs.iter().map(|r| (r.node.as_str(), r.timeline, r.first_ns.0, r.last_ns.0)).collect();
        assert_eq!(told, [("a", 1, 10, 20), ("b", 2, 50, 55)]);
    }
}
