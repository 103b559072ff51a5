//! When drills fire: a crontab line in a time zone, and the windows it must fall in.
//!
//! A line names civil times, and a civil time is not always one instant. One that a spring change leaves out fires as
//! much later as the clock jumped; one that an autumn change repeats fires the first time only.

use crate::crontab::{Crontab, NotACrontab};
use crate::window::{UnknownZone, Window, instant, time_zone};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// The longest time between two firings of any line: from one 29 February to the next over a year such as 2100.
const HORIZON_DAYS: usize = 8 * 366 + 2;

/// How many days on which a line fires are looked at for one in a window: more than a year of daily firings.
const DAYS_TRIED: usize = 400;

/// A crontab line in its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    crontab: Crontab,
    zone: TimeZone,
}

/// Why a schedule is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASchedule {
    /// The line.
    #[error(transparent)]
    Crontab(#[from] NotACrontab),
    /// The time zone.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
}

impl Schedule {
    /// Reads a line and the IANA name of its time zone.
    ///
    /// # Errors
    /// When either cannot be read, or the line can never fire.
    pub fn parse(line: &str, zone: &str) -> Result<Self, NotASchedule> {
        Ok(Self { crontab: line.parse()?, zone: time_zone(zone)? })
    }

    /// The first firing after a point in time; `None` at the end of the calendar.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut found: Option<Timestamp> = None;
        for date in self.days(after) {
            if let Some(best) = found
                && date > best.to_zoned(self.zone.clone()).date()
            {
                break;
            }
            let first = self.firings_on(date).filter(|at| *at > after).min();
            found = [found, first].into_iter().flatten().min();
        }
        found
    }

    /// The first firing after a point in time that falls in one of the windows (in any, when there are none).
    pub fn next_within(&self, after: Timestamp, windows: &[Window]) -> Option<Timestamp> {
        if windows.is_empty() {
            return self.next(after);
        }
        let fits = |at: &Timestamp| *at > after && windows.iter().any(|w| w.contains(*at));
        let mut tried = 0;
        let mut found: Option<Timestamp> = None;
        for date in self.days(after) {
            if let Some(best) = found
                && date > best.to_zoned(self.zone.clone()).date()
            {
                break;
            }
            if tried > DAYS_TRIED {
                break;
            }
            tried += usize::from(self.crontab.names_day(date));
            let first = self.firings_on(date).filter(fits).min();
            found = [found, first].into_iter().flatten().min();
        }
        found
    }

    /// Whether no firing behind a point in time ever falls in a window.
    pub fn never_falls_in(&self, windows: &[Window], after: Timestamp) -> bool {
        if windows.is_empty() {
            return self.next(after).is_none();
        }
        // Two dates of the same weekday on which all clocks stand alike fire alike: one of them is enough.
        let mut tried = BTreeSet::new();
        let days = self.days(after).filter(|date| self.crontab.names_day(*date));
        for date in days {
            let midnights = [Some(date), date.tomorrow().ok()].into_iter().flatten();
            let ends: Vec<Timestamp> = midnights.filter_map(|d| self.instant(d.at(0, 0, 0, 0))).collect();
            let zones = std::iter::once(&self.zone).chain(windows.iter().map(Window::zone));
            let clocks: Vec<i32> = zones.flat_map(|zone| ends.iter().map(|at| zone.to_offset(*at).seconds())).collect();
            let fresh = tried.insert((date.weekday().to_sunday_zero_offset(), clocks));
            if fresh && self.firings_on(date).any(|at| windows.iter().any(|w| w.contains(at))) {
                return false;
            }
        }
        true
    }

    /// The civil dates that may hold the next firing: from the day before, since a change of the clock moves firings.
    fn days(&self, after: Timestamp) -> impl Iterator<Item = Date> + use<> {
        let today = after.to_zoned(self.zone.clone()).date();
        let first = today.yesterday().unwrap_or(today);
        first.series(jiff::Span::new().days(1)).take(HORIZON_DAYS)
    }

    /// The instants of a date's civil times.
    fn firings_on(&self, date: Date) -> impl Iterator<Item = Timestamp> + '_ {
        self.crontab.times_on(date).filter_map(|civil| self.instant(civil))
    }

    fn instant(&self, civil: DateTime) -> Option<Timestamp> {
        instant(civil, &self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firings(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(line, zone).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        (0..count)
            .map(|_| {
                at = schedule.next(at).unwrap();
                at.to_zoned(schedule.zone.clone()).strftime("%a %Y-%m-%d %H:%M %:z").to_string()
            })
            .collect()
    }

    #[test]
    fn a_line_fires_in_its_zone_strictly_behind_the_point() {
        assert_eq!(
            firings("0 10 * * Tue", "Asia/Tashkent", "2026-11-17T04:59:59Z", 3),
            ["Tue 2026-11-17 10:00 +05:00", "Tue 2026-11-24 10:00 +05:00", "Tue 2026-12-01 10:00 +05:00"]
        );
        assert_eq!(
            firings("0 10 * * Tue", "Asia/Tashkent", "2026-11-17T05:00:00Z", 1),
            ["Tue 2026-11-24 10:00 +05:00"]
        );
    }

    #[test]
    fn zero_and_seven_are_sunday_and_words_are_known() {
        for line in ["0 0 * * 0", "0 0 * * 7", "0 0 * * Sun", "@weekly"] {
            assert_eq!(firings(line, "UTC", "2026-11-21T00:00:00Z", 1), ["Sun 2026-11-22 00:00 +00:00"], "{line}");
        }
        assert_eq!(firings("@yearly", "UTC", "2026-11-21T00:00:00Z", 1), ["Fri 2027-01-01 00:00 +00:00"]);
        assert_eq!(firings("0 6 ? feb,AUG *", "UTC", "2026-08-31T12:00:00Z", 1), ["Mon 2027-02-01 06:00 +00:00"]);
    }

    #[test]
    fn a_gap_shifts_forward() {
        // Berlin, 28 March 2027: 02:00 becomes 03:00.
        assert_eq!(
            firings("30 2 * * *", "Europe/Berlin", "2027-03-27T00:00:00Z", 3),
            ["Sat 2027-03-27 02:30 +01:00", "Sun 2027-03-28 03:30 +02:00", "Mon 2027-03-29 02:30 +02:00"]
        );
        // What is left out and what is there meet at one instant, and fire once.
        assert_eq!(
            firings("30 2,3 * * *", "Europe/Berlin", "2027-03-28T00:00:00Z", 2),
            ["Sun 2027-03-28 03:30 +02:00", "Mon 2027-03-29 02:30 +02:00"]
        );
    }

    #[test]
    fn a_fold_fires_the_first_time_only() {
        // Berlin, 25 October 2026: 03:00 becomes 02:00.
        assert_eq!(
            firings("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["Sun 2026-10-25 02:30 +02:00", "Mon 2026-10-26 02:30 +01:00"]
        );
        // Also when asked within the second pass.
        assert_eq!(firings("30 2 * * *", "Europe/Berlin", "2026-10-25T01:15:00Z", 1), ["Mon 2026-10-26 02:30 +01:00"]);
    }

    #[test]
    fn a_day_that_a_zone_left_out_shifts_too() {
        // Apia had no 30 December 2011.
        assert_eq!(
            firings("0 10 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3),
            ["Thu 2011-12-29 10:00 -10:00", "Sat 2011-12-31 10:00 +14:00", "Sun 2012-01-01 10:00 +14:00"]
        );
    }

    #[test]
    fn rare_days_are_found() {
        assert_eq!(firings("0 0 29 2 *", "UTC", "2096-02-29T00:00:00Z", 1), ["Fri 2104-02-29 00:00 +00:00"]);
        assert_eq!(
            firings("0 10 * * Tue#1", "UTC", "2026-11-21T00:00:00Z", 2),
            ["Tue 2026-12-01 10:00 +00:00", "Tue 2027-01-05 10:00 +00:00"]
        );
        assert_eq!(firings("0 10 * * Mon#5", "UTC", "2026-11-21T00:00:00Z", 1), ["Mon 2026-11-30 10:00 +00:00"]);
    }

    #[test]
    fn wrong_lines_say_what_would_do() {
        let wrong = |line: &str| Schedule::parse(line, "UTC").unwrap_err().to_string();
        let lines = [
            "0 10 * *",
            "0 0 10 * * Tue",
            "",
            "@reboot",
            "60 10 * * *",
            "0 24 * * *",
            "0 10 0 * *",
            "0 10 * 13 *",
            "0 10 * * 8",
            "0 10 * * Tue#6",
            "0 10 1-7 * Tue",
            "0 10 31 feb *",
            "0 10 30 2 *",
            "x 10 * * *",
            "0 10 L * *",
            "*/0 * * * *",
            "5-1 * * * *",
        ];
        insta::assert_snapshot!(lines.map(|l| format!("{l:<16} {}", wrong(l))).join("\n"));
        assert!(matches!(Schedule::parse("@daily", "Mars/Olympus"), Err(NotASchedule::Zone(_))));
    }

    #[test]
    fn a_schedule_that_can_never_fall_in_its_window_is_found() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let window = |text: &str| vec![text.parse::<Window>().unwrap()];
        let never = |line: &str, zone: &str, windows: &[Window]| {
            Schedule::parse(line, zone).unwrap().never_falls_in(windows, now)
        };
        let office = window("Mon-Fri 09:00-16:00 Asia/Tashkent");
        assert!(!never("0 10 * * Tue", "Asia/Tashkent", &office));
        assert!(never("0 10 * * Sat", "Asia/Tashkent", &office));
        assert!(never("0 16 * * *", "Asia/Tashkent", &office)); // the end is outside
        assert!(never("0 10 * * *", "America/New_York", &office));
        assert!(never("* * * * Sun", "Asia/Tashkent", &office));
        assert!(!never("* * * * *", "UTC", &office));
        assert!(!never("0 10 * * Sat", "Asia/Tashkent", &[]));
        assert!(!never("30 5 * * *", "Europe/Berlin", &office));
        assert!(never("30 4 * * Sun", "Europe/Berlin", &office));
        // Only in the summer half of the year.
        let early = window("daily 08:00-08:45 Asia/Tashkent");
        assert!(!never("30 5 * * *", "Europe/Berlin", &early));
    }

    #[test]
    fn the_next_firing_within_a_window_skips_those_outside() {
        let schedule = Schedule::parse("0 */4 * * *", "UTC").unwrap();
        let windows = ["Mon-Fri 09:00-16:00 Asia/Tashkent".parse().unwrap()];
        let next = schedule.next_within("2026-11-20T08:00:00Z".parse().unwrap(), &windows).unwrap();
        assert_eq!(next.to_string(), "2026-11-23T04:00:00Z");
    }
}
