//! The manners of the sandbox's processes: nothing outlives its owner, pods behave as under a kubelet.

mod bench;
mod keeper;
