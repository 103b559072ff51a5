//! When one experiment is due, and what becomes of each of its firings.
//!
//! A firing is known by its planned time, which the schedule alone decides. It is due a little later where the schedule has a
//! jitter, by an amount that is the same whoever computes it. Who finds a firing due either begins it, or says why not: none
//! is passed over in silence.

use crate::blackout::Blackout;
use crate::digest::Digest;
use crate::schedule::Schedule;
use crate::time::Nanos;
use crate::window::Window;
use jiff::{SignedDuration, Timestamp};

/// Later than this a firing counts as missed: nobody was there to begin it.
pub const ON_TIME: SignedDuration = SignedDuration::from_secs(60);

/// What becomes of a firing that was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It is recorded as missed.
    Skip,
    /// The newest of them is run, at most this long after it was due.
    RunOnceWithin(SignedDuration),
}

/// When.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Again and again.
    Schedule(Schedule),
    /// Once.
    Once(Timestamp),
}

/// One rule of a timetable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// When.
    pub when: When,
    /// What becomes of a firing that was missed.
    pub missed: Missed,
    /// By how much at most a firing is put off.
    pub jitter: Nanos,
}

/// When one experiment is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// What firings are told apart by, and put off by: the experiment, and where it runs.
    pub key: String,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Where any is given, a planned time outside of all of them is none.
    pub windows: Vec<Window>,
    /// When nothing begins.
    pub blackouts: Vec<Blackout>,
}

/// One time at which an experiment is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Firing {
    /// When it is to begin.
    pub due: Timestamp,
    /// The time in the schedule, which it is known by.
    pub planned: Timestamp,
}

/// What becomes of a firing that was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It begins now.
    Begin,
    /// Nobody was there in time.
    Missed(String),
    /// It does not begin, for a reason that was known before.
    Skipped(String),
}

impl Timetable {
    /// The first firing that is due after a point in time; `None` when there is none.
    pub fn next(&self, after: Timestamp) -> Option<Firing> {
        self.rules.iter().filter_map(|rule| self.next_of(rule, after).map(|(firing, _)| firing)).min()
    }

    /// The firings that are due after one point in time and not after another, in the order in which they are due.
    pub fn between(&self, after: Timestamp, until: Timestamp) -> Vec<Firing> {
        self.ruled(after, until).into_iter().map(|(firing, _)| firing).collect()
    }

    /// The same, each with what becomes of it when it is missed. Two rules that plan the same time plan one firing.
    fn ruled(&self, after: Timestamp, until: Timestamp) -> Vec<(Firing, Missed)> {
        let mut found: Vec<(Firing, Missed)> = Vec::new();
        for rule in &self.rules {
            let mut at = after;
            while let Some((firing, missed)) = self.next_of(rule, at).filter(|(firing, _)| firing.due <= until) {
                at = firing.due;
                if !found.iter().any(|(known, _)| known.planned == firing.planned) {
                    found.push((firing, missed));
                }
            }
        }
        found.sort_by_key(|(firing, _)| *firing);
        found
    }

    /// The first firing of a rule that is due after a point in time. Those that were planned earlier may be due later: the
    /// jitter of each is its own.
    fn next_of(&self, rule: &Rule, after: Timestamp) -> Option<(Firing, Missed)> {
        let jitter = rule.jitter.signed();
        let mut planned = after.checked_sub(jitter).unwrap_or(Timestamp::MIN);
        let mut best: Option<Firing> = None;
        while let Some(next) = self.planned_after(&rule.when, planned) {
            if best.is_some_and(|b| next >= b.due) {
                break;
            }
            planned = next;
            let firing = Firing { due: self.due(next, rule.jitter), planned: next };
            if firing.due > after && best.is_none_or(|b| firing < b) {
                best = Some(firing);
            }
        }
        best.map(|firing| (firing, rule.missed))
    }

    fn planned_after(&self, when: &When, after: Timestamp) -> Option<Timestamp> {
        match when {
            When::Schedule(schedule) => schedule.next_within(after, &self.windows),
            When::Once(at) => {
                let open = self.windows.is_empty() || self.windows.iter().any(|w| w.contains(*at));
                Some(*at).filter(|at| *at > after && open)
            }
        }
    }

    /// When a firing that was planned for a time is due. The same for everybody who asks, and another for each experiment,
    /// so that a hundred schedules of one minute do not begin at once.
    fn due(&self, planned: Timestamp, jitter: Nanos) -> Timestamp {
        if jitter.0 == 0 {
            return planned;
        }
        let digest = Digest::of(format!("{}\n{}", self.key, planned.as_nanosecond()).as_bytes());
        let drawn = digest.0.iter().take(8).fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        let by = Nanos(drawn % jitter.0.saturating_add(1)).signed();
        planned.checked_add(by).unwrap_or(planned)
    }

    /// What becomes of the firings that were due after one point in time and are so at another. At most one of them begins: the
    /// newest that is still worth running.
    pub fn settle(&self, after: Timestamp, now: Timestamp) -> Vec<(Firing, Fate)> {
        let due = self.ruled(after, now);
        let begins = |(firing, missed): &(Firing, Missed)| self.hindrance(firing, *missed, now).is_none();
        let chosen = due.iter().rposition(begins);
        let fate = |(at, (firing, missed)): (usize, &(Firing, Missed))| {
            let instead = chosen.filter(|chosen| *chosen != at).map(|chosen| due[chosen].0.planned);
            let fate = match (self.hindrance(firing, *missed, now), instead) {
                (Some(hindrance), _) => hindrance,
                (None, Some(newer)) => Fate::Missed(format!("that of {newer} begins instead")),
                (None, None) => Fate::Begin,
            };
            (*firing, fate)
        };
        due.iter().enumerate().map(fate).collect()
    }

    /// What keeps a firing from beginning at a time, whatever else is due.
    fn hindrance(&self, firing: &Firing, missed: Missed, now: Timestamp) -> Option<Fate> {
        let black = |at: Timestamp| {
            let blackout = self.blackouts.iter().find(|b| b.contains(at))?;
            Some(Fate::Skipped(format!("it lies in the blackout {blackout}")))
        };
        let within = match missed {
            Missed::Skip => ON_TIME,
            Missed::RunOnceWithin(span) => ON_TIME.max(span),
        };
        let late = now.duration_since(firing.due);
        let too_late = || {
            (late > within)
                .then(|| Fate::Missed(format!("nobody was there to begin it; found {} s late", late.as_secs())))
        };
        black(firing.planned).or_else(too_late).or_else(|| black(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rule(line: &str) -> Rule {
        let when = When::Schedule(Schedule::parse(line, "UTC").unwrap());
        Rule { when, missed: Missed::Skip, jitter: Nanos::ZERO }
    }

    fn table(rules: Vec<Rule>) -> Timetable {
        Timetable { key: "orders".to_owned(), rules, windows: Vec::new(), blackouts: Vec::new() }
    }

    fn planned(firings: &[Firing]) -> Vec<String> {
        firings.iter().map(|f| f.planned.to_string()).collect()
    }

    #[test]
    fn rules_together_plan_each_time_once() {
        let once = Rule { when: When::Once(at("2026-12-02T07:30:00Z")), ..rule("0 0 * * *") };
        let both = table(vec![rule("0 10 * * Tue"), rule("0 10 1 12 *"), once]);
        let found = both.between(at("2026-12-01T10:00:00Z"), at("2026-12-08T10:00:00Z"));
        assert_eq!(planned(&found), ["2026-12-02T07:30:00Z", "2026-12-08T10:00:00Z"]);
        let found = both.between(at("2026-12-01T09:59:59Z"), at("2026-12-01T10:00:00Z"));
        assert_eq!(planned(&found), ["2026-12-01T10:00:00Z"], "a Tuesday, and the first of December");
        assert_eq!(both.next(at("2026-12-01T10:00:00Z")).unwrap().planned, at("2026-12-02T07:30:00Z"));
    }

    #[test]
    fn a_jitter_puts_off_by_an_amount_that_everybody_computes_alike() {
        let jittered = |key: &str| {
            let rules = vec![Rule { jitter: Nanos::from_secs(600), ..rule("*/5 * * * *") }];
            Timetable { key: key.to_owned(), ..table(rules) }
        };
        let (from, until) = (at("2026-12-01T00:00:00Z"), at("2026-12-01T04:00:00Z"));
        let found = jittered("orders").between(from, until);
        assert_eq!(found, jittered("orders").between(from, until));
        assert_ne!(found, jittered("stock").between(from, until));
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "in the order in which they are due");
        let by = |f: &Firing| f.due.duration_since(f.planned);
        assert!(found.iter().all(|f| by(f) >= SignedDuration::ZERO && by(f) <= SignedDuration::from_secs(600)));
        assert!(found.iter().any(|f| by(f) > SignedDuration::from_secs(300)), "jitters longer than the period");
        // However the day is cut, each firing is found once.
        let mut pieces = Vec::new();
        let mut cut = from;
        while cut < until {
            let next = cut + SignedDuration::from_secs(97);
            pieces.extend(jittered("orders").between(cut, next.min(until)));
            cut = next;
        }
        assert_eq!(pieces, found);
        // And one after the other.
        let mut after = from;
        for firing in &found {
            let next = jittered("orders").next(after).unwrap();
            assert_eq!(next.due, firing.due);
            after = next.due;
        }
    }

    #[test]
    fn windows_narrow_and_blackouts_skip() {
        let mut table = table(vec![rule("0 10 * * *")]);
        table.windows = vec!["Mon-Fri 09:00-16:00 UTC".parse().unwrap()];
        table.blackouts = vec!["2026-12-01..2026-12-02 UTC".parse().unwrap()];
        let (from, until) = (at("2026-11-27T12:00:00Z"), at("2026-12-02T10:00:01Z"));
        let found = table.between(from, until);
        assert_eq!(planned(&found), ["2026-11-30T10:00:00Z", "2026-12-01T10:00:00Z", "2026-12-02T10:00:00Z"]);
        let fates = table.settle(from, until);
        let told: Vec<String> = fates.iter().map(|(_, fate)| format!("{fate:?}")).collect();
        assert!(told[0].contains("Missed") && told[1].contains("Skipped") && told[2].contains("blackout"), "{told:?}");
    }

    #[test]
    fn who_comes_late_begins_at_most_one() {
        let fates = |missed: Missed, now: &str| {
            let table = table(vec![Rule { missed, ..rule("0 * * * *") }]);
            let fates = table.settle(at("2026-12-01T07:30:00Z"), at(now));
            fates.into_iter().map(|(_, fate)| matches!(fate, Fate::Begin)).collect::<Vec<_>>()
        };
        let two_hours = Missed::RunOnceWithin(SignedDuration::from_hours(2));
        assert_eq!(fates(Missed::Skip, "2026-12-01T08:00:00Z"), [true]);
        assert_eq!(fates(Missed::Skip, "2026-12-01T08:01:00Z"), [true], "within a minute it is on time");
        assert_eq!(fates(Missed::Skip, "2026-12-01T08:01:01Z"), [false]);
        assert_eq!(fates(Missed::Skip, "2026-12-01T10:00:30Z"), [false, false, true]);
        assert_eq!(fates(two_hours, "2026-12-01T10:30:00Z"), [false, false, true], "the newest, once");
        let weekly = table(vec![Rule { missed: two_hours, ..rule("0 8 * * Tue") }]);
        let late = |now: &str| weekly.settle(at("2026-12-01T07:30:00Z"), at(now));
        assert!(matches!(late("2026-12-01T10:00:00Z")[..], [(_, Fate::Begin)]));
        assert!(matches!(late("2026-12-01T10:00:01Z")[..], [(_, Fate::Missed(_))]));
        assert!(late("2026-12-01T07:59:59Z").is_empty());
    }
}
