//! When no drill begins, whatever a schedule says: `2026-12-20..2027-01-05 Asia/Tashkent`.

use crate::window::{UnknownZone, instant, time_zone};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Some days, or a time between two civil times, in a time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Blackout {
    source: String,
    from: Timestamp,
    /// Exclusive.
    until: Timestamp,
}

/// Why a blackout is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotABlackout {
    /// Not two words.
    #[error(
        "`{0}` is no blackout; expected days and a time zone, as in `2026-12-20..2027-01-05 Asia/Tashkent` (the last day is \
         within), or times, as in `2026-12-31T18:00..2027-01-01T08:00 UTC`"
    )]
    Shape(String),
    /// A day or a time that cannot be read.
    #[error("`{0}` is no day and no time; expected `2026-12-20` or `2026-12-20T18:00`")]
    Day(String),
    /// No time at all.
    #[error("the blackout `{0}` is over before it begins")]
    Empty(String),
    /// An unknown time zone.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
}

/// An end of a blackout as it is written.
enum End {
    Day(Date),
    Time(DateTime),
}

impl FromStr for Blackout {
    type Err = NotABlackout;

    fn from_str(text: &str) -> Result<Self, NotABlackout> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [span, zone] = words[..] else { return Err(NotABlackout::Shape(text.to_owned())) };
        let (first, last) = span.split_once("..").unwrap_or((span, span));
        let zone = time_zone(zone)?;
        let wrong = |word: &str| NotABlackout::Day(word.to_owned());
        let from = match end(first)? {
            End::Day(day) => instant(day.at(0, 0, 0, 0), &zone),
            End::Time(time) => instant(time, &zone),
        };
        let until = match end(last)? {
            End::Day(day) => day.tomorrow().ok().and_then(|next| instant(next.at(0, 0, 0, 0), &zone)),
            End::Time(time) => instant(time, &zone),
        };
        let (from, until) = (from.ok_or_else(|| wrong(first))?, until.ok_or_else(|| wrong(last))?);
        if until <= from {
            return Err(NotABlackout::Empty(text.to_owned()));
        }
        Ok(Self { source: words.join(" "), from, until })
    }
}

fn end(word: &str) -> Result<End, NotABlackout> {
    let day = || word.parse().map(End::Day);
    let time = || word.parse().map(End::Time);
    let read = if word.contains('T') { time() } else { day() };
    read.map_err(|_| NotABlackout::Day(word.to_owned()))
}

impl Blackout {
    /// Whether a point in time lies within.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    /// When it is over.
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

impl fmt::Display for Blackout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl TryFrom<String> for Blackout {
    type Error = NotABlackout;

    fn try_from(text: String) -> Result<Self, NotABlackout> {
        text.parse()
    }
}

impl From<Blackout> for String {
    fn from(blackout: Blackout) -> Self {
        blackout.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(blackout: &str, at: &str) -> bool {
        blackout.parse::<Blackout>().unwrap().contains(at.parse().unwrap())
    }

    #[test]
    fn its_last_day_is_within_and_its_last_time_is_not() {
        let holidays = "2026-12-20..2027-01-05 Asia/Tashkent"; // five hours before UTC
        assert!(within(holidays, "2026-12-19T19:00:00Z"));
        assert!(!within(holidays, "2026-12-19T18:59:59Z"));
        assert!(within(holidays, "2027-01-05T18:59:59Z"));
        assert!(!within(holidays, "2027-01-05T19:00:00Z"));
        let night = "2026-12-31T18:00..2027-01-01T08:00 UTC";
        assert!(within(night, "2026-12-31T18:00:00Z"));
        assert!(!within(night, "2027-01-01T08:00:00Z"));
        assert!(within("2026-12-25 UTC", "2026-12-25T23:59:59Z"));
        assert!(!within("2026-12-25 UTC", "2026-12-26T00:00:00Z"));
    }

    #[test]
    fn wrong_ones_say_what_would_do() {
        let wrong = |text: &str| text.parse::<Blackout>().unwrap_err().to_string();
        let texts = ["2026-12-20", "20.12.2026 UTC", "2026-12-20..2026-12-19 UTC", "2026-12-20T25:00..2026-12-21 UTC"];
        let said = texts.map(wrong);
        insta::assert_snapshot!(said.join("\n"));
    }
}
