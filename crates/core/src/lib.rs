//! The pure core of firedrill: no runtime, no cluster, no clock. Everything in here is a function of what was recorded.

pub mod drill;
pub mod effect;
pub mod event;
pub mod plan;
pub mod report;
pub mod sample;
pub mod sight;
pub mod time;
