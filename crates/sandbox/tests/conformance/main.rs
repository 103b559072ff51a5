//! What firedrill relies on of a Kubernetes API, checked with nothing but an ordinary client and a namespace.
//!
//! By default it runs against a sandbox of its own. With `FIREDRILL_TEST_KUBECONFIG` set to a file it runs against
//! that cluster, so that the sandbox cannot drift away from the real thing; `FIREDRILL_TEST_IMAGE` then names an
//! image that stays up without a command.

#![allow(clippy::disallowed_methods, reason = "what is checked here is what a write does")]

mod budgets;
mod deletion;
mod errors;
mod events;
mod ground;
mod identity;
mod leases;
mod paging;
mod patches;
mod reviews;
mod scale;
mod versions;
mod watches;
mod workloads;
