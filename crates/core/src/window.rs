//! When drills may be injected: `Mon-Fri 09:00-16:00 Asia/Tashkent`.

use crate::weekday::Days;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A time zone by its IANA name.
///
/// # Errors
/// When no zone of that name is known on this machine.
pub fn time_zone(name: &str) -> Result<TimeZone, UnknownZone> {
    TimeZone::get(name).map_err(|_| UnknownZone { name: name.to_owned() })
}

/// The instant of a civil time. "Compatible" is the rule of schedules: one that a spring change leaves out is as much later as
/// the clock jumped, one that an autumn change repeats is the earlier of the two. `None` beyond the calendar's end.
pub fn instant(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(civil).compatible().ok()
}

/// A time zone that this machine does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the time zone `{name}` is not known here; expected an IANA name such as Asia/Tashkent or UTC (a minimal system \
     needs the package tzdata for any other than UTC)"
)]
pub struct UnknownZone {
    /// The name.
    pub name: String,
}

/// Times of day on some days of the week, in a time zone. A window that ends before it begins goes over midnight and
/// belongs to the day it begins on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Window {
    source: String,
    days: Days,
    from: Time,
    /// Exclusive; `None` for 24:00.
    until: Option<Time>,
    zone: TimeZone,
}

/// Why a window is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAWindow {
    /// Not three words.
    #[error("`{0}` is not a window; expected days, hours and a time zone, as in `Mon-Fri 09:00-16:00 Asia/Tashkent`")]
    Shape(String),
    /// Days that cannot be read.
    #[error("the days `{0}` cannot be read; expected `Mon-Fri`, `Mon,Wed` or `daily`")]
    Days(String),
    /// Hours that cannot be read.
    #[error("the hours `{0}` cannot be read; expected `09:00-16:00` (24-hour clock, the end not included)")]
    Hours(String),
    /// No time at all.
    #[error("the window `{0}` is empty: it ends when it begins; for the whole day write 00:00-24:00")]
    Empty(String),
    /// An unknown time zone.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
}

impl FromStr for Window {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [days, hours, zone] = words[..] else { return Err(NotAWindow::Shape(text.to_owned())) };
        let named = if days.eq_ignore_ascii_case("daily") { Some(Days::ALL) } else { named_days(days) };
        let days = named.ok_or_else(|| NotAWindow::Days(days.to_owned()))?;
        let wrong = || NotAWindow::Hours(hours.to_owned());
        let (from, until) = hours.split_once('-').ok_or_else(wrong)?;
        let from = time_of_day(from).ok_or_else(wrong)?;
        let until = if until == "24:00" { None } else { Some(time_of_day(until).ok_or_else(wrong)?) };
        if until == Some(from) {
            return Err(NotAWindow::Empty(text.to_owned()));
        }
        Ok(Self { source: words.join(" "), days, from, until, zone: time_zone(zone)? })
    }
}

/// Days by name; numbers would be read in two ways.
fn named_days(text: &str) -> Option<Days> {
    let words = text.chars().all(|c| c.is_ascii_alphabetic() || c == '-' || c == ',');
    words.then(|| Days::parse(text)).flatten()
}

/// `HH:MM`, two digits each.
fn time_of_day(text: &str) -> Option<Time> {
    let digits =
        text.len() == 5 && text.bytes().enumerate().all(|(i, b)| if i == 2 { b == b':' } else { b.is_ascii_digit() });
    if !digits {
        return None;
    }
    let (hour, minute) = text.split_once(':')?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

impl Window {
    /// Its time zone.
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether a point in time lies within.
    pub fn contains(&self, at: Timestamp) -> bool {
        let local: Zoned = at.to_zoned(self.zone.clone());
        let (date, time) = (local.date(), local.time());
        let on = |date: Option<Date>| date.is_some_and(|d| self.days.contains(d.weekday()));
        match self.until {
            None => on(Some(date)) && time >= self.from,
            Some(until) if self.from < until => on(Some(date)) && self.from <= time && time < until,
            Some(until) => (on(Some(date)) && time >= self.from) || (on(date.yesterday().ok()) && time < until),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl TryFrom<String> for Window {
    type Error = NotAWindow;

    fn try_from(text: String) -> Result<Self, NotAWindow> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(window: &str, at: &str) -> bool {
        window.parse::<Window>().unwrap().contains(at.parse().unwrap())
    }

    #[test]
    fn a_window_is_read_in_its_own_zone_and_its_end_is_outside() {
        let window = "Mon-Fri 09:00-16:00 Asia/Tashkent"; // five hours before UTC
        assert!(within(window, "2026-11-20T04:00:00Z")); // Friday
        assert!(!within(window, "2026-11-20T03:59:59.999Z"));
        assert!(within(window, "2026-11-20T10:59:59Z"));
        assert!(!within(window, "2026-11-20T11:00:00Z"));
        assert!(!within(window, "2026-11-21T05:00:00Z")); // Saturday
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
        let window = "Fri 22:00-04:00 UTC";
        assert!(within(window, "2026-11-20T22:00:00Z"));
        assert!(within(window, "2026-11-21T03:59:00Z"));
        assert!(!within(window, "2026-11-21T04:00:00Z"));
        assert!(!within(window, "2026-11-20T03:00:00Z"));
        assert!(within("daily 00:00-24:00 UTC", "2026-11-20T23:59:59Z"));
    }

    #[test]
    fn wrong_windows_say_what_would_do() {
        let wrong = |text: &str| text.parse::<Window>().unwrap_err().to_string();
        let said = [
            wrong("09:00-16:00 UTC"),
            wrong("1-5 09:00-16:00 UTC"),
            wrong("Mon 9-16 UTC"),
            wrong("Mon 09:00-25:00 UTC"),
            wrong("Mon 09:00-09:00 UTC"),
            wrong("Mon 09:00-16:00 Asia/Samarqand"),
        ];
        insta::assert_snapshot!(said.join("\n"));
    }
}
