//! Real servers for the probes to ask.

pub(crate) mod harvest;
pub(crate) mod postgres;
pub(crate) mod switch;
