//! The small controllers of the sandbox: each follows the kinds it is concerned with and brings one object to its state.
//!
//! They work on the store, not over the socket: the API's own faults are for its clients.

mod autoscaler;
mod binding;
mod budgets;
mod condition;
mod deployment;
mod driver;
mod endpoints;
mod garbage;
mod namespaces;
mod reconciler;
mod replicas;
mod statefulset;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Store;

pub(crate) use condition::set_condition;
pub(crate) use driver::Feed;

/// Runs every controller until `closing`.
pub(crate) fn start(store: &Arc<Store>, tasks: &TaskTracker, closing: &CancellationToken) {
    driver::spawn(deployment::Deployments, store, tasks, closing);
    driver::spawn(replicas::ReplicaSets, store, tasks, closing);
    driver::spawn(statefulset::StatefulSets, store, tasks, closing);
    driver::spawn(endpoints::ServiceEndpoints, store, tasks, closing);
    driver::spawn(budgets::Budgets, store, tasks, closing);
    driver::spawn(autoscaler::Autoscalers, store, tasks, closing);
    driver::spawn(reconciler::HeldReplicas, store, tasks, closing);
    driver::spawn(binding::Binding::default(), store, tasks, closing);
    driver::spawn(namespaces::Namespaces, store, tasks, closing);
    driver::spawn(garbage::Garbage, store, tasks, closing);
}
