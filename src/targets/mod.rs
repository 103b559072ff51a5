//! Targets: finding them and looking at them. Nothing in here can change anything.

pub mod aim;
pub mod backups;
pub mod cluster;
pub mod deployments;
pub mod door;
pub mod helpers;
mod leader;
mod marks;
pub mod patroni;
mod pods_behind;
pub mod postgres;
pub mod quote;
pub mod route;
pub mod scene;
pub mod secrets;
pub mod staging;
