//! What the helpers of drills, under accounts of their own, need of the cluster for themselves.

use crate::targets::cluster::Right;

/// What an agent needs in its own namespace: to read its orders and to say what it did, on its own pod.
pub const AGENT: &[Right] = &[Right::to("get", "", "pods"), Right::to("patch", "", "pods")];

/// What a dead man needs in the namespace of the drill's target.
pub const DEAD_MAN: &[Right] = &[
    Right::to("get", "coordination.k8s.io", "leases"),
    Right::to("list", "apps", "deployments"),
    Right::to("patch", "apps", "deployments"),
];
