//! The manners of the sandbox's processes: nothing outlives its owner, pods behave as under a kubelet, faults are as set.

#![allow(clippy::disallowed_methods, reason = "tests do what people and controllers would do")]

mod audit;
mod bench;
mod controllers;
mod faults;
mod keeper;
mod owner;
mod pods;
mod postgres;
mod probes;
mod volumes;
