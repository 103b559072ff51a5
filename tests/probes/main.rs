//! The probes against real servers: what they say of each way of answering, and that nothing is left out.

mod database;
mod ledger;
mod support;
mod tcp;
mod web;
