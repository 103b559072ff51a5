//! The pure core of firedrill: no runtime, no cluster, no clock. Everything in here is a function of what was recorded.

pub mod assemble;
pub mod baseline;
pub mod blackout;
pub mod chain;
pub mod change;
pub mod chunk;
pub mod crontab;
pub mod digest;
pub mod drill;
pub mod effect;
pub mod event;
pub mod evidence;
pub mod exercised;
pub mod figure;
pub mod ledger;
pub mod objective;
pub mod outage;
pub mod plan;
pub mod reading;
pub mod reason;
pub mod recovery;
pub mod report;
pub mod restore;
pub mod rule;
pub mod sample;
pub mod schedule;
pub mod sight;
#[cfg(any(test, feature = "simulate"))]
pub mod simulation;
pub mod spread;
pub mod time;
pub mod timetable;
pub mod verdict;
pub mod watch;
mod weekday;
pub mod window;

#[cfg(test)]
mod accuracy_tests;
#[cfg(test)]
mod reading_tests;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod verdict_tests;
