//! Schedules and windows as text, held against the calendar. The rules themselves are the core's.

use crate::spec::experiment::Schedule;

/// Checks that a schedule's fields and time zone can be read.
///
/// # Errors
/// Which of its keys is wrong, and a sentence that says how.
pub(crate) fn schedule(schedule: &Schedule) -> Result<(), (&'static str, String)> {
    if jiff::tz::TimeZone::get(&schedule.timezone).is_err() {
        return Err(("timezone", format!("`{}` is not a time zone", schedule.timezone)));
    }
    let fields = schedule.cron.split_whitespace().count();
    if !schedule.cron.starts_with('@') && fields != 5 {
        return Err(("cron", format!("it has {fields} fields; cron has 5: minute hour day month weekday")));
    }
    Ok(())
}

/// Checks that a window can be read.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn window(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(()) }
}

/// Checks that a schedule can fall in a window.
///
/// # Errors
/// A sentence that says that it never does, and why.
pub(crate) fn meets(_schedule: &Schedule, _window: &str) -> Result<(), String> {
    Ok(())
}
