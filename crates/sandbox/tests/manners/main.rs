//! The manners of the sandbox's processes: nothing outlives its owner, pods behave as under a kubelet, faults are as set.

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
