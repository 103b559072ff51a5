//! firedrill executes disaster-recovery drills and proves what they showed.

pub mod cli;
pub mod clock;
pub mod effects;
pub mod faults;
pub mod filers;
pub mod guards;
pub mod probes;
pub mod render;
pub mod runner;
pub mod scratch;
pub mod spec;
pub mod store;
pub mod targets;
pub mod works;
