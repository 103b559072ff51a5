//! A crontab line, five fields: which civil times it names.
//!
//! The fields are those of crontab(5): minute, hour, day of month, month, day of week with 0 and 7 for Sunday, names,
//! ranges, lists and steps, and `@daily` and its like. The `cron` crate reads all but the day of week, which it counts
//! from 1. Two things are refused rather than guessed: a sixth field, and a day of month together with a day of week
//! (crontab fires on either, other schedulers on both; for a drill the difference is an incident). For "the first
//! Tuesday" there is `Tue#1`.

use crate::weekday::{Days, parse_day};
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A validated crontab line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Crontab {
    source: String,
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    days: BTreeSet<i8>,
    months: BTreeSet<i8>,
    weekdays: Weekdays,
}

/// The days of the week that a line names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Weekdays {
    /// These, every week.
    Every(Days),
    /// These, each the nth of its kind in the month.
    Nth(Vec<(jiff::civil::Weekday, i8)>),
}

/// Why a line is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACrontab {
    /// Another number of fields.
    #[error(
        "found {found} fields in `{line}`, expected five: minute, hour, day of month, month, day of week \
         (as in `0 10 * * Tue`)"
    )]
    Fields {
        /// The line.
        line: String,
        /// How many there are.
        found: usize,
    },
    /// An unknown `@word`.
    #[error(
        "`{0}` is not known; expected @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, or five fields"
    )]
    Word(String),
    /// A field that cannot be read.
    #[error("the {field} `{found}` cannot be read; expected {expected}")]
    Field {
        /// Which.
        field: &'static str,
        /// What was found.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// Both kinds of days.
    #[error(
        "`{0}` names days of the month and days of the week: crontab would fire on either, others on both; write one \
         of them, or the nth weekday of a month as `Tue#1`"
    )]
    BothDays(String),
    /// No date fits.
    #[error("`{0}` can never fire: no month that it names has such a day")]
    Never(String),
}

impl FromStr for Crontab {
    type Err = NotACrontab;

    fn from_str(line: &str) -> Result<Self, NotACrontab> {
        let line = line.trim();
        let expanded = match line.to_ascii_lowercase().as_str() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            word if word.starts_with('@') => return Err(NotACrontab::Word(line.to_owned())),
            _ => line,
        };
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(NotACrontab::Fields { line: line.to_owned(), found: fields.len() });
        };
        let weekdays = parse_weekdays(weekday)?;
        if !matches!(day, "*" | "?") && weekdays != Weekdays::Every(Days::ALL) {
            return Err(NotACrontab::BothDays(line.to_owned()));
        }
        let crontab = Self {
            source: line.to_owned(),
            minutes: ordinals(&MINUTE, minute)?,
            hours: ordinals(&HOUR, hour)?,
            days: ordinals(&DAY, day)?,
            months: ordinals(&MONTH, month)?,
            weekdays,
        };
        // 29 February comes within eight years; whatever else exists, within one.
        let from = jiff::civil::date(2096, 3, 1);
        let dates = from.series(jiff::Span::new().days(1)).take_while(|d| d.year() <= 2104);
        if dates.into_iter().any(|date| crontab.names_day(date)) {
            return Ok(crontab);
        }
        Err(NotACrontab::Never(line.to_owned()))
    }
}

impl Crontab {
    /// Whether it fires on a date at all.
    pub fn names_day(&self, date: Date) -> bool {
        let weekday = match &self.weekdays {
            Weekdays::Every(days) => days.contains(date.weekday()),
            Weekdays::Nth(days) => days.contains(&(date.weekday(), (date.day() - 1) / 7 + 1)),
        };
        weekday && self.months.contains(&date.month()) && self.days.contains(&date.day())
    }

    /// Its civil times on a date, ascending.
    pub fn times_on(&self, date: Date) -> impl Iterator<Item = DateTime> + '_ {
        let hours = if self.names_day(date) { Some(&self.hours) } else { None };
        hours
            .into_iter()
            .flatten()
            .flat_map(move |hour| self.minutes.iter().map(move |minute| date.at(*hour, *minute, 0, 0)))
    }
}

/// A field that the `cron` crate reads.
struct Field {
    name: &'static str,
    expected: &'static str,
    /// Its place among the crate's seven fields.
    place: usize,
    ordinals: fn(&cron::Schedule) -> Vec<u32>,
}

const MINUTE: Field = Field {
    name: "minute",
    expected: "0 to 59, `*`, lists `0,30`, ranges `0-20`, steps `*/5`",
    place: 1,
    ordinals: |s| cron::TimeUnitSpec::iter(s.minutes()).collect(),
};
const HOUR: Field = Field {
    name: "hour",
    expected: "0 to 23, `*`, lists `9,15`, ranges `9-16`, steps `*/2`",
    place: 2,
    ordinals: |s| cron::TimeUnitSpec::iter(s.hours()).collect(),
};
const DAY: Field = Field {
    name: "day of month",
    expected: "1 to 31, `*`, lists `1,15`, ranges `1-7`, steps `*/2`",
    place: 3,
    ordinals: |s| cron::TimeUnitSpec::iter(s.days_of_month()).collect(),
};
const MONTH: Field = Field {
    name: "month",
    expected: "1 to 12, JAN to DEC, `*`, lists `1,7`, ranges `1-6`, steps `*/3`",
    place: 4,
    ordinals: |s| cron::TimeUnitSpec::iter(s.months()).collect(),
};

/// Reads one field by itself, so that a complaint names it.
fn ordinals(field: &Field, text: &str) -> Result<BTreeSet<i8>, NotACrontab> {
    let wrong = || NotACrontab::Field { field: field.name, found: text.to_owned(), expected: field.expected };
    let mut fields = ["0", "0", "0", "1", "1", "*", "*"];
    fields[field.place] = if text == "?" { "*" } else { text };
    let schedule: cron::Schedule = fields.join(" ").parse().map_err(|_| wrong())?;
    (field.ordinals)(&schedule).into_iter().map(|n| i8::try_from(n).map_err(|_| wrong())).collect()
}

fn parse_weekdays(text: &str) -> Result<Weekdays, NotACrontab> {
    let wrong = || NotACrontab::Field {
        field: "day of week",
        found: text.to_owned(),
        expected: "0 to 7 (0 and 7 are Sunday), Sun to Sat, `*`, lists `Mon,Wed`, ranges `Mon-Fri`, or the nth as `Tue#1`",
    };
    if text.contains('#') {
        let nth = |part: &str| {
            let (day, n) = part.split_once('#')?;
            let n: i8 = n.parse().ok().filter(|n| (1..=5).contains(n))?;
            Some((parse_day(day)?, n))
        };
        return text.split(',').map(nth).collect::<Option<Vec<_>>>().map(Weekdays::Nth).ok_or_else(wrong);
    }
    Days::parse(text).map(Weekdays::Every).ok_or_else(wrong)
}

impl fmt::Display for Crontab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl TryFrom<String> for Crontab {
    type Error = NotACrontab;

    fn try_from(text: String) -> Result<Self, NotACrontab> {
        text.parse()
    }
}

impl From<Crontab> for String {
    fn from(crontab: Crontab) -> Self {
        crontab.source
    }
}
