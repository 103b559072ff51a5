//! Schedules and windows as text, held against the calendar. The rules themselves are the core's.

use crate::spec::estate::Estate;
use crate::spec::experiment::Schedule;
use crate::spec::nearest::nearest;
use firedrill_core::schedule::{self, NotASchedule};
use firedrill_core::window::{NotAWindow, Window};
use jiff::Timestamp;

impl Schedule {
    /// The schedule as the calendar reads it. One that was loaded can always be read.
    ///
    /// # Errors
    /// Which of its two parts cannot be read, and why.
    pub fn read(&self) -> Result<schedule::Schedule, NotASchedule> {
        schedule::Schedule::parse(&self.cron, &self.timezone)
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
}

/// What of a schedule cannot be read.
pub(crate) struct Unreadable {
    /// The key.
    pub(crate) key: &'static str,
    /// Why.
    pub(crate) why: String,
    /// The name of a time zone that was probably meant.
    pub(crate) nearest: Option<String>,
}

/// Reads a schedule: its time zone first, since every line depends on it.
pub(crate) fn unreadable(schedule: &Schedule) -> Option<Unreadable> {
    match schedule.read() {
        Ok(_) => None,
        Err(why @ NotASchedule::Zone(_)) => {
            Some(Unreadable { key: "timezone", why: why.to_string(), nearest: nearest_zone(&schedule.timezone) })
        }
        Err(why @ NotASchedule::Crontab(_)) => Some(Unreadable { key: "cron", why: why.to_string(), nearest: None }),
    }
}

/// The time zone that was probably meant.
pub(crate) fn nearest_zone(name: &str) -> Option<String> {
    let known: Vec<String> = jiff::tz::db().available().map(|n| n.to_string()).collect();
    nearest(name, known.iter().map(String::as_str))
}

/// Whether no firing ever falls in a window. What cannot be read is told elsewhere.
pub(crate) fn never_meet(schedule: &Schedule, estate: &Estate) -> bool {
    match (schedule.read(), estate.windows()) {
        (Ok(schedule), Ok(windows)) => !windows.is_empty() && schedule.never_falls_in(&windows, Timestamp::now()),
        _ => false,
    }
}
