//! Whole drills on a real Kubernetes: the lab, with PostgreSQL under Patroni and an S3 server. `make lab-test` runs them.
//!
//! They stand apart from `cargo test`, since they need the lab to be up.

#![allow(clippy::disallowed_methods, reason = "tests do what people and controllers would do")]
#![allow(clippy::print_stderr, reason = "a test that is passed over says so")]
#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]
#![expect(unreachable_pub, reason = "the test's own modules have no readers outside")]

mod agents;
mod blows;
mod dead_man;
mod ephemeral;
mod held_back;
mod install;
mod kill_manager;
mod kill_primary;
mod lab;
mod lost_writes;
mod orders;
mod patroni;
mod patroni4;
#[path = "../support/place.rs"]
mod place;
mod poller;
mod reach;
mod restore;
#[path = "../support/runner.rs"]
mod runner;
mod scale_to_zero;
mod staging;
mod troubles;
