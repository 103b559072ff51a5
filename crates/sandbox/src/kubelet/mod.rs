//! The kubelet: bound pods become local processes, with its manners.
//!
//! A pod that is deleted loses its readiness at once, gets SIGTERM, grace, SIGKILL, and is then removed from the API; a
//! container that ends is restarted in place with growing pauses, and the pod keeps its uid. Containers without a
//! `command` (an image such as `pause`) have no process: they are up at once, for tests of many pods.

mod addresses;
mod back_off;
mod container;
mod environment;
mod manager;
mod pod;
mod probe;
mod report;
mod volumes;

pub use back_off::BackOff;
pub(crate) use manager::{Kubelet, KubeletOptions};
