//! Who may lead, decided from what was seen of the lease. Pure: the clock is an argument.

use std::time::{Duration, Instant};

use super::switches::{Manner, Replication};

/// How long an agent whose data was a primary's leaves the lease to a running standby after it has expired.
const STANDBY_FIRST: Duration = Duration::from_secs(3);

/// What the lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The leading pod; `None` when the lease was given away.
    pub holder: Option<String>,
    /// The run of the agent that wrote it: a restarted agent is another run.
    pub run: String,
    /// Grows with every renewal.
    pub renewed_us: i64,
    /// How long after a renewal the seat stays taken.
    pub ttl: Duration,
    /// Where the holder's server listens, `address:port`.
    pub address: String,
    /// Whether there is a cluster to clone.
    pub initialised: bool,
    /// Under which promise the holder acknowledged writes.
    pub replication: Replication,
    /// In `Sync`: the only pod that has every acknowledged write, confirmed.
    pub synchronous_standby: Option<String>,
    /// The pod that led last, also after the lease was given away.
    pub last_holder: String,
}

/// Remembers since when the lease has not changed, by our own clock: the writer's clock is not trusted.
#[derive(Debug, Default)]
pub struct Observer {
    seen: Option<(String, i64, Instant)>,
}

impl Observer {
    /// Notes what the lease says now; returns for how long it has said so.
    pub fn note(&mut self, seat: &Seat, now: Instant) -> Duration {
        match &self.seen {
            Some((run, renewed, since)) if *run == seat.run && *renewed == seat.renewed_us => now - *since,
            Some(_) | None => {
                self.seen = Some((seat.run.clone(), seat.renewed_us, now));
                Duration::ZERO
            }
        }
    }
}

/// What lies in a candidate's data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Nothing.
    None,
    /// A standby's: it may be promoted.
    Standby,
    /// A primary's, stopped or crashed.
    Primary,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// Its pod.
    pub pod: &'a str,
    /// Whether it is the one that makes the first cluster.
    pub is_first: bool,
    /// What it has.
    pub data: Data,
    /// How the estate is to behave.
    pub manner: Manner,
}

/// What a candidate that does not lead should do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Take the lease, then lead.
    Take,
    /// Follow the holder, who is alive.
    Follow,
    /// Nobody to follow and not ours to take: keep what we have and look again.
    Wait,
}

/// Decides. `unchanged` is what [`Observer::note`] returned; `seat` is `None` when there is no lease.
pub fn choose(candidate: &Candidate<'_>, seat: Option<&Seat>, unchanged: Duration) -> Choice {
    let Some(seat) = seat else {
        return if candidate.is_first { Choice::Take } else { Choice::Wait };
    };
    let given_away = seat.holder.is_none();
    let expired = given_away || unchanged > seat.ttl;
    let was_mine = seat.last_holder == candidate.pod;
    match (candidate.data, candidate.manner) {
        // The pod that returns goes on: its former run is certainly over, since two pods never share a volume.
        (Data::Primary, Manner::RestartInPlace) if was_mine => Choice::Take,
        (Data::Primary, _) if expired && unchanged > seat.ttl + STANDBY_FIRST && was_mine => Choice::Take,
        // The first cluster was begun by an earlier run of ours and never finished.
        (Data::None | Data::Primary, _) if expired && !seat.initialised && candidate.is_first => Choice::Take,
        // A hand-over is a decision to move, also where failover is off.
        (Data::Standby, Manner::RestartInPlace) if expired && !given_away => Choice::Wait,
        (Data::Standby, _) if expired && may_be_promoted(candidate.pod, seat) => Choice::Take,
        _ if expired || was_mine || !seat.initialised => Choice::Wait,
        _ => Choice::Follow,
    }
}

/// Under `Sync` only the confirmed standby has every acknowledged write.
fn may_be_promoted(pod: &str, seat: &Seat) -> bool {
    match seat.replication {
        Replication::Async => true,
        Replication::Sync => seat.synchronous_standby.as_deref() == Some(pod),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(1);
    const LATE: Duration = Duration::from_millis(1001);

    fn seat(replication: Replication, synchronous_standby: Option<&str>) -> Seat {
        Seat {
            holder: Some("pg-0".to_owned()),
            run: "r1".to_owned(),
            renewed_us: 5,
            ttl: TTL,
            address: "127.1.2.3:5432".to_owned(),
            initialised: true,
            replication,
            synchronous_standby: synchronous_standby.map(str::to_owned),
            last_holder: "pg-0".to_owned(),
        }
    }

    fn candidate(pod: &str, data: Data, manner: Manner) -> Candidate<'_> {
        Candidate { pod, is_first: pod == "pg-0", data, manner }
    }

    #[test]
    fn a_standby_takes_over_only_after_expiry() {
        let seat = seat(Replication::Sync, Some("pg-1"));
        let standby = candidate("pg-1", Data::Standby, Manner::Failover);
        assert_eq!(choose(&standby, Some(&seat), TTL), Choice::Follow);
        assert_eq!(choose(&standby, Some(&seat), LATE), Choice::Take);
    }

    #[test]
    fn in_sync_mode_an_unconfirmed_standby_never_takes_over() {
        let seat = seat(Replication::Sync, None);
        let standby = candidate("pg-1", Data::Standby, Manner::Failover);
        assert_eq!(choose(&standby, Some(&seat), Duration::from_mins(1)), Choice::Wait);
    }

    #[test]
    fn a_given_away_lease_is_taken_at_once_and_not_by_who_gave_it() {
        let mut seat = seat(Replication::Sync, Some("pg-1"));
        seat.holder = None;
        assert_eq!(
            choose(&candidate("pg-1", Data::Standby, Manner::HandOver), Some(&seat), Duration::ZERO),
            Choice::Take
        );
        assert_eq!(
            choose(&candidate("pg-0", Data::Primary, Manner::HandOver), Some(&seat), Duration::ZERO),
            Choice::Wait
        );
    }

    #[test]
    fn a_returned_primary_waits_for_the_standby_and_takes_over_when_there_is_none() {
        let seat = seat(Replication::Async, None);
        let old = candidate("pg-0", Data::Primary, Manner::Failover);
        assert_eq!(choose(&old, Some(&seat), Duration::ZERO), Choice::Wait);
        assert_eq!(choose(&old, Some(&seat), LATE), Choice::Wait);
        assert_eq!(choose(&old, Some(&seat), Duration::from_secs(5)), Choice::Take);
    }

    #[test]
    fn a_returned_primary_follows_whoever_leads_now() {
        let mut seat = seat(Replication::Sync, None);
        (seat.holder, seat.last_holder) = (Some("pg-1".to_owned()), "pg-1".to_owned());
        assert_eq!(
            choose(&candidate("pg-0", Data::Primary, Manner::Failover), Some(&seat), Duration::ZERO),
            Choice::Follow
        );
    }

    #[test]
    fn where_restarts_are_in_place_nobody_takes_over_and_the_same_pod_goes_on() {
        let seat = seat(Replication::Sync, Some("pg-1"));
        let standby = candidate("pg-1", Data::Standby, Manner::RestartInPlace);
        assert_eq!(choose(&standby, Some(&seat), Duration::from_mins(1)), Choice::Wait);
        let same = candidate("pg-0", Data::Primary, Manner::RestartInPlace);
        assert_eq!(choose(&same, Some(&seat), Duration::ZERO), Choice::Take);
    }

    #[test]
    fn the_first_pod_founds_and_the_others_wait_for_it() {
        assert_eq!(choose(&candidate("pg-0", Data::None, Manner::Failover), None, Duration::ZERO), Choice::Take);
        assert_eq!(choose(&candidate("pg-1", Data::None, Manner::Failover), None, Duration::ZERO), Choice::Wait);
        let mut founding = seat(Replication::Sync, None);
        founding.initialised = false;
        assert_eq!(
            choose(&candidate("pg-1", Data::None, Manner::Failover), Some(&founding), Duration::ZERO),
            Choice::Wait
        );
        assert_eq!(choose(&candidate("pg-0", Data::None, Manner::Failover), Some(&founding), LATE), Choice::Take);
    }

    #[test]
    fn the_observer_counts_by_its_own_clock_and_from_the_last_change() {
        let mut observer = Observer::default();
        let mut seat = seat(Replication::Sync, None);
        let begin = Instant::now();
        assert_eq!(observer.note(&seat, begin), Duration::ZERO);
        assert_eq!(observer.note(&seat, begin + LATE), LATE);
        seat.renewed_us += 1;
        assert_eq!(observer.note(&seat, begin + LATE), Duration::ZERO);
    }
}
