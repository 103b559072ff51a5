//! The pure core of firedrill: no runtime, no cluster, no clock. Everything in here is a function of what was recorded.

pub mod report;
pub mod sample;
pub mod time;
