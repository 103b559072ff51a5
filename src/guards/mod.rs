//! What must hold before anything is touched. Everything in here looks, and refuses on doubt.

pub mod common;
pub mod dead_man;
pub mod managers;
pub mod patroni;
pub mod preflight;
pub mod primary;
pub mod reach;
pub mod staging;
pub mod webhooks;
