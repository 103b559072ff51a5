//! The probes against real servers: what they say of each way of answering, and that nothing is left out.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

mod database;
mod ledger;
mod support;
mod tcp;
mod web;
