//! When lines fire, held against an oracle: every hour of two years in eight time zones, and rarer lines besides.
//!
//! `oracle/firings.txt` is what `oracle/firings.py` found by watching a clock, minute for minute: it expands no field
//! and asks nobody which instant a civil time is. The rules, in both: a civil time that a spring change leaves out
//! fires as much later as the clock jumped; one that an autumn change repeats fires the first time only; two that meet
//! at one instant fire once.
//!
//! jiff reads the zones of the machine (`TZDIR`, else `/usr/share/zoneinfo`); a database of its own it carries on
//! Windows only. Governments change their minds, so how each clock goes is in the text too, and where clocks go
//! otherwise the tests fail with that: a comparison of firings would prove nothing of the code.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

use firedrill_core::schedule::Schedule;
use firedrill_core::window::time_zone;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::str::FromStr;
use std::sync::LazyLock;

const FIRINGS: &str = include_str!("oracle/firings.txt");

/// Read once for all tests: it is long.
static CLOCKS: LazyLock<Vec<Clock>> = LazyLock::new(clocks);

/// A zone for some years: how its clock goes, and what fires.
struct Clock {
    zone: &'static str,
    from: Timestamp,
    until: Timestamp,
    /// How many seconds east of UTC, from when on; the first is how it begins.
    offsets: Vec<(Timestamp, i32)>,
    lines: Vec<Line>,
}

/// A crontab line, and when it fires.
struct Line {
    text: &'static str,
    /// As the text says, so that one which was cut short is seen.
    count: usize,
    firings: Vec<Timestamp>,
}

fn read<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// The text of the oracle; what its rows are, `firings.py` says.
fn clocks() -> Vec<Clock> {
    let mut clocks: Vec<Clock> = Vec::new();
    for row in FIRINGS.lines().filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let words: Vec<&str> = row.split(' ').collect();
        match words[..] {
            ["clock", zone, from, until, offset] => {
                let offsets = vec![(read(from), read(offset))];
                clocks.push(Clock { zone, from: read(from), until: read(until), offsets, lines: Vec::new() });
            }
            ["change", at, offset] => clocks.last_mut().unwrap().offsets.push((read(at), read(offset))),
            ["line", count, ..] => {
                let text = row.splitn(3, ' ').last().unwrap();
                clocks.last_mut().unwrap().lines.push(Line { text, count: read(count), firings: Vec::new() });
            }
            [start, step, count, every, runs] => {
                let line = clocks.last_mut().unwrap().lines.last_mut().unwrap();
                line.firings.extend(run(read(start), [read(step), read(count), read(every), read(runs)]));
            }
            _ => panic!("`{row}` is no row of the oracle"),
        }
    }
    clocks
}

/// The instants of a run of runs.
fn run(start: Timestamp, [step, count, every, runs]: [i64; 4]) -> impl Iterator<Item = Timestamp> {
    let later = move |run: i64, nth: i64| start + SignedDuration::from_secs(run * every + nth * step);
    (0..runs).flat_map(move |run| (0..count).map(move |nth| later(run, nth)))
}

impl Clock {
    /// How the clock of this machine goes in the same time.
    fn here(&self) -> Vec<(Timestamp, i32)> {
        let zone = time_zone(self.zone).unwrap_or_else(|unknown| panic!("{unknown}"));
        let changes = zone.following(self.from).map(|change| change.timestamp()).take_while(|at| *at < self.until);
        let instants = std::iter::once(self.from).chain(changes);
        let mut offsets: Vec<_> = instants.map(|at| (at, zone.to_offset(at).seconds())).collect();
        // A change of name alone moves no clock.
        offsets.dedup_by_key(|(_, offset)| *offset);
        offsets
    }

    /// Fails where firings could not be compared.
    fn assert_same_here(&self) {
        let here = self.here();
        assert!(
            here == self.offsets,
            "the time zone database of this machine is not the one that the oracle read, so firings are not compared.\n\
             {} goes here by\n  {here:?},\nthere by\n  {:?}.\nIf this machine is right, make firings.txt anew.",
            self.zone,
            self.offsets
        );
    }

    /// The first difference between the oracle and the schedule, if there is one.
    fn difference(&self, line: &Line) -> Option<String> {
        let schedule = Schedule::parse(line.text, self.zone).unwrap();
        // A firing at the very beginning counts, and the point asked from does not.
        let mut after = self.from - SignedDuration::from_secs(1);
        for expected in line.firings.iter().copied().map(Some).chain([None]) {
            let found = schedule.next(after).filter(|at| *at < self.until);
            if found != expected {
                let (found, expected, after) = (self.civil(found), self.civil(expected), self.civil(Some(after)));
                let line = line.text;
                return Some(format!("`{line}` after {after}:\n  it fires at {found},\n  the oracle says {expected}"));
            }
            after = found.unwrap_or(after);
        }
        None
    }

    /// An instant as people of the zone say it, with its offset.
    fn civil(&self, at: Option<Timestamp>) -> String {
        at.map_or("no time before the end".to_owned(), |at| Zoned::new(at, time_zone(self.zone).unwrap()).to_string())
    }
}

/// The years of a zone, once its clock is known to go here as the oracle saw it go.
fn clocks_of(zone: &str) -> impl Iterator<Item = &'static Clock> {
    CLOCKS.iter().filter(move |clock| clock.zone == zone).inspect(|clock| clock.assert_same_here())
}

/// Holds every line in a zone against the oracle.
fn assert_fires_as_the_oracle_says(zone: &str) {
    let mut differences = Vec::new();
    for clock in clocks_of(zone) {
        differences.extend(clock.lines.iter().filter_map(|line| clock.difference(line)));
    }
    assert!(differences.is_empty(), "{} lines differ:\n{}", differences.len(), differences.join("\n"));
}

// One test a zone: they run beside each other, and a failure names its zone.

#[test]
fn tashkent_fires_as_the_oracle_says() {
    assert_fires_as_the_oracle_says("Asia/Tashkent");
}

#[test]
fn berlin_fires_as_the_oracle_says() {
    assert_fires_as_the_oracle_says("Europe/Berlin");
}

#[test]
fn new_york_fires_as_the_oracle_says() {
    assert_fires_as_the_oracle_says("America/New_York");
}

#[test]
fn lord_howe_fires_as_the_oracle_says() {
    assert_fires_as_the_oracle_says("Australia/Lord_Howe");
}

#[test]
fn casablanca_fires_as_the_oracle_says() {
    assert_fires_as_the_oracle_says("Africa/Casablanca");
}

#[test]
fn kathmandu_fires_as_the_oracle_says() {
    assert_fires_as_the_oracle_says("Asia/Kathmandu");
}

#[test]
fn sao_paulo_fires_as_the_oracle_says() {
    assert_fires_as_the_oracle_says("America/Sao_Paulo");
}

#[test]
fn utc_fires_as_the_oracle_says() {
    assert_fires_as_the_oracle_says("UTC");
}

/// The zones with the years, and how many firings their springs cost of three lines: at every hour, at the half hours
/// around midnight, and every quarter from one to four.
///
/// All begin and end at the same offset, so each has 730 civil days: 17 520 civil hours, 2 920 such half hours, 8 760
/// such quarters. What is repeated in autumn is one civil time and was counted once. Of what is left out in spring a
/// firing is lost only where it meets another:
///
/// - an hour from two: 02:00 meets 03:00, and all four quarters meet those from three, but 02:30 fires at 03:30 alone;
///   two springs. Casablanca's "spring" is the end of Ramadan, and it has two of them as well;
/// - half an hour from two on Lord Howe: 02:00 fires at 02:30 and meets nothing that is at the hour; of the half hours
///   none is left out; of the quarters 02:00 and 02:15 meet 02:30 and 02:45;
/// - an hour from midnight in São Paulo, when it still did: 00:00 and 00:30 meet 01:00 and 01:30, and no quarter from
///   one is left out.
const LOST: [(&str, &str, [usize; 3]); 9] = [
    ("Asia/Tashkent", "2026", [0, 0, 0]),
    ("Europe/Berlin", "2026", [2, 0, 8]),
    ("America/New_York", "2026", [2, 0, 8]),
    ("Australia/Lord_Howe", "2026", [0, 0, 4]),
    ("Africa/Casablanca", "2026", [2, 0, 8]),
    ("Asia/Kathmandu", "2026", [0, 0, 0]),
    ("America/Sao_Paulo", "2026", [0, 0, 0]),
    ("America/Sao_Paulo", "2017", [2, 2, 0]),
    ("UTC", "2026", [0, 0, 0]),
];

/// What no change of a clock takes from 2026 and 2027, a Thursday to a Friday 730 days later.
const KEPT: [(&str, usize); 9] = [
    ("30 2 * * *", 730), // shifted or repeated: once a day
    ("15 0 * * *", 730),
    ("0 10 * * Tue", 104),
    ("30 2 * * 0", 104),
    ("45 23 * * 7", 104),
    ("@weekly", 104),
    ("0 3 1 * *", 24),
    ("5 1 31 * *", 14), // seven months of a year have such a day
    // Three times in each of four hours, on 20 + 21 + 20 + 22 working days.
    ("10-50/20 0-23/6 * feb,AUG Mon-Fri", 996),
];

fn oracle(zone: &str, year: &str, line: &str) -> usize {
    let clock = CLOCKS.iter().find(|c| c.zone == zone && c.from.to_string().starts_with(year)).unwrap();
    clock.lines.iter().find(|l| l.text == line).unwrap().firings.len()
}

/// The oracle itself, which the tests above hold the schedule to, is held to what can be counted on paper.
#[test]
fn as_many_firings_as_can_be_counted_on_paper() {
    for (zone, year, [hours, halves, quarters]) in LOST {
        assert_eq!(oracle(zone, year, "0 * * * *"), 17_520 - hours, "{zone} {year}");
        assert_eq!(oracle(zone, year, "30 0-2,23 * * *"), 2_920 - halves, "{zone} {year}");
        assert_eq!(oracle(zone, year, "*/15 1-3 * * *"), 8_760 - quarters, "{zone} {year}");
        for (line, count) in KEPT.iter().filter(|_| year == "2026") {
            assert_eq!(oracle(zone, year, line), *count, "`{line}` in {zone}");
        }
        // 2024 and 2028.
        assert_eq!(oracle(zone, "2024", "0 0 29 2 *"), 2, "{zone}");
    }
}

/// Nothing fell out of the text: neither a zone, nor a line, nor the rest of a line.
#[test]
fn the_text_of_the_oracle_is_whole() {
    assert_eq!(CLOCKS.len(), LOST.len() + 8);
    for clock in CLOCKS.iter() {
        let leap_days_only = clock.from == read("2024-01-01T00:00:00Z");
        assert_eq!(clock.lines.len(), if leap_days_only { 1 } else { 16 }, "{} from {}", clock.zone, clock.from);
        for Line { text, count, firings } in &clock.lines {
            assert_eq!(firings.len(), *count, "`{text}` in {}", clock.zone);
            assert!(firings.is_sorted_by(|a, b| a < b), "`{text}` in {}", clock.zone);
            assert!(firings.iter().all(|at| (clock.from..clock.until).contains(at)), "`{text}` in {}", clock.zone);
        }
    }
}

/// The rules without any oracle: what is left out, what is repeated, what meets, by the announcements of the changes.
#[test]
fn changes_of_clocks_by_hand() {
    for (line, zone, after, expected) in [
        // Left out from two to three: at half past three by summer time.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T07:30:00Z"),
        ("30 2 * * *", "Africa/Casablanca", "2026-03-21T12:00:00Z", "2026-03-22T02:30:00Z"),
        // From two to half past two: half an hour later, and no whole one.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:45:00Z"),
        // From midnight to one: at a quarter past one.
        ("15 0 * * *", "America/Sao_Paulo", "2017-10-14T12:00:00Z", "2017-10-15T03:15:00Z"),
        // Repeated: by the clock that still is ahead.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-01T05:30:00Z"),
        ("30 2 * * *", "Africa/Casablanca", "2026-02-14T12:00:00Z", "2026-02-15T01:30:00Z"),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z"),
        ("30 23 * * Sat", "America/Sao_Paulo", "2018-02-17T12:00:00Z", "2018-02-18T01:30:00Z"),
        // And not once more, also when asked between the two.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T15:00:00Z", "2026-04-05T15:15:00Z"),
        // Met: 02:15 with 02:45, then on to 03:00.
        ("*/15 1-3 * * *", "Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-03T15:45:00Z"),
        ("*/15 1-3 * * *", "Australia/Lord_Howe", "2026-10-03T15:45:00Z", "2026-10-03T16:00:00Z"),
    ] {
        assert!(clocks_of(zone).count() > 1, "{zone} is none of the oracle's");
        let next = Schedule::parse(line, zone).unwrap().next(read(after)).unwrap();
        assert_eq!(next, read::<Timestamp>(expected), "`{line}` in {zone} after {after}");
    }
}
