//! Targets: finding them and looking at them. Nothing in here can change anything.

pub mod backups;
pub mod cluster;
pub mod deployments;
mod marks;
pub mod patroni;
pub mod postgres;
pub mod quote;
pub mod scene;
pub mod secrets;
pub mod staging;
