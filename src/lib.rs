//! firedrill executes disaster-recovery drills and proves what they showed.

pub mod clock;
pub mod faults;
pub mod filers;
pub mod probes;
pub mod render;
pub mod scratch;
pub mod spec;
pub mod targets;
pub mod works;
