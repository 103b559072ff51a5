//! The integration tests: one binary, one module a concept.
#![allow(clippy::unwrap_used, reason = "tests")]

mod lab;
mod next;
mod spec;
mod tidy;
