//! Schedules, windows and blackouts as text, held against the calendar. The rules themselves are the core's.

use crate::spec::estate::Estate;
use crate::spec::experiment::{Experiment, Missed, Schedule};
use crate::spec::nearest::nearest;
use firedrill_core::blackout::{Blackout, NotABlackout};
use firedrill_core::schedule::{self, NotASchedule};
use firedrill_core::time::Nanos;
use firedrill_core::timetable::{self, Rule, Timetable, When};
use firedrill_core::window::{NotAWindow, UnknownZone, Window, instant, time_zone};
use jiff::Timestamp;
use jiff::civil::DateTime;

/// Why a schedule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARule {
    /// Its line, or the time zone.
    #[error(transparent)]
    Schedule(#[from] NotASchedule),
    /// Its date and time.
    #[error("`{0}` is no date and time; expected for example `2026-12-05 10:00`")]
    At(String),
    /// Neither or both of its two ways to say when.
    #[error("it says {0}; expected either `cron`, for again and again, or `at`, for once")]
    Ways(&'static str),
}

impl From<UnknownZone> for NotARule {
    fn from(why: UnknownZone) -> Self {
        Self::Schedule(why.into())
    }
}

impl Schedule {
    /// The schedule as the calendar reads it. One that was loaded can always be read.
    ///
    /// # Errors
    /// Which of its parts cannot be read, and why.
    pub fn rule(&self) -> Result<Rule, NotARule> {
        let when = match (&self.cron, &self.at) {
            (Some(line), None) => When::Schedule(schedule::Schedule::parse(line, &self.timezone)?),
            (None, Some(at)) => {
                let civil: DateTime = at.parse().map_err(|_| NotARule::At(at.clone()))?;
                let instant = instant(civil, &time_zone(&self.timezone)?);
                When::Once(instant.ok_or_else(|| NotARule::At(at.clone()))?)
            }
            (None, None) => return Err(NotARule::Ways("not when")),
            (Some(_), Some(_)) => return Err(NotARule::Ways("`cron` and `at`")),
        };
        let missed = match self.missed {
            Missed::Skip => timetable::Missed::Skip,
            Missed::RunOnceWithin(span) => timetable::Missed::RunOnceWithin(span.0.signed()),
        };
        Ok(Rule { when, missed, jitter: self.jitter.map_or(Nanos::ZERO, |span| span.0) })
    }
}

impl Estate {
    /// The windows in which drills may begin; none means at any time. Those of an estate that was loaded can always be
    /// read.
    ///
    /// # Errors
    /// Why a window cannot be read.
    pub fn windows(&self) -> Result<Vec<Window>, NotAWindow> {
        self.window.iter().map(|text| text.parse()).collect()
    }

    /// When no drill may begin. Those of an estate that was loaded can always be read.
    ///
    /// # Errors
    /// Why a blackout cannot be read.
    pub fn blackouts(&self) -> Result<Vec<Blackout>, NotABlackout> {
        self.blackouts.iter().map(|text| text.parse()).collect()
    }
}

/// When an experiment is due in an estate; `None` when nothing says so. Of files that were loaded it can always be made.
///
/// # Errors
/// A sentence: what cannot be read, and why.
pub fn timetable(experiment: &Experiment, estate: &Estate) -> Result<Option<Timetable>, String> {
    let Some(schedules) = &experiment.schedule else { return Ok(None) };
    let rules: Result<Vec<Rule>, NotARule> = schedules.iter().map(Schedule::rule).collect();
    Ok(Some(Timetable {
        key: format!("{} in {}", experiment.experiment, estate.environment),
        rules: rules.map_err(|e| e.to_string())?,
        windows: estate.windows().map_err(|e| e.to_string())?,
        blackouts: estate.blackouts().map_err(|e| e.to_string())?,
    }))
}

/// What of a schedule cannot be read.
pub(crate) struct Unreadable {
    /// The key; none where it is about all of it.
    pub(crate) key: Option<&'static str>,
    /// What stands there.
    pub(crate) found: String,
    /// Why.
    pub(crate) why: String,
    /// The name of a time zone that was probably meant.
    pub(crate) nearest: Option<String>,
}

/// Reads a schedule.
pub(crate) fn unreadable(schedule: &Schedule) -> Option<Unreadable> {
    let why = schedule.rule().err()?;
    let text = |value: &Option<String>| format!("{:?}", value.as_deref().unwrap_or_default());
    let (key, found) = match &why {
        NotARule::Schedule(NotASchedule::Zone(_)) => (Some("timezone"), format!("{:?}", schedule.timezone)),
        NotARule::Schedule(NotASchedule::Crontab(_)) => (Some("cron"), text(&schedule.cron)),
        NotARule::At(_) => (Some("at"), text(&schedule.at)),
        NotARule::Ways(said) => (None, (*said).to_owned()),
    };
    let nearest = if key == Some("timezone") { nearest_zone(&schedule.timezone) } else { None };
    Some(Unreadable { key, found, why: why.to_string(), nearest })
}

/// The time zone that was probably meant.
pub(crate) fn nearest_zone(name: &str) -> Option<String> {
    let known: Vec<String> = jiff::tz::db().available().map(|n| n.to_string()).collect();
    nearest(name, known.iter().map(String::as_str))
}

/// Whether no firing ever falls in a window. What cannot be read is told elsewhere.
pub(crate) fn never_meet(schedule: &Schedule, estate: &Estate) -> bool {
    let (Ok(rule), Ok(windows)) = (schedule.rule(), estate.windows()) else { return false };
    !windows.is_empty()
        && match rule.when {
            When::Schedule(line) => line.never_falls_in(&windows, Timestamp::now()),
            When::Once(at) => !windows.iter().any(|window| window.contains(at)),
        }
}
