//! Whole drills as a person runs them, from file to report, against a sandbox: those that pass, and those that must not.

#![allow(clippy::disallowed_methods, reason = "tests do what people and controllers would do")]
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]
#![expect(unreachable_pub, reason = "the test's own modules have no readers outside")]

mod crash;
mod daemon;
mod dead_man;
mod demo;
mod doctor;
mod finding;
mod journal_first;
mod kill_primary;
mod many;
mod refused;
mod restore;
mod scale_to_zero;
mod stopped;
mod support;
mod verify;
