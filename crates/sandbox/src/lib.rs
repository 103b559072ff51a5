//! The embedded estate of firedrill's demo and tests: a small Kubernetes API whose pods are local processes.
//!
//! Nothing here knows firedrill. Everything is reached over sockets, and everything goes when the owner goes.

#![allow(
    clippy::disallowed_methods,
    reason = "the sandbox is a cluster and its controllers: writing is what they do, and none of it is a drill"
)]

pub mod api;
pub mod audit;
pub mod cluster;
mod controllers;
pub mod estate;
mod facts;
pub mod faults;
mod kubelet;
mod options;
pub mod process;
pub mod truth;

mod part;
mod sandbox;
mod serve;

pub use facts::{DatabaseFacts, Facts, StoreFacts};
pub use kubelet::BackOff;
pub use options::Options;
pub use part::part_main;
pub use sandbox::{Sandbox, SandboxError};
