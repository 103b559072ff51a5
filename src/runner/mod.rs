//! The runner: carries a drill out. One dispatcher puts everything that happens in one order and writes it down; its crew
//! starts and stops what the core's `next` says should be under way.

mod asking;
mod crew;
mod dispatcher;
mod opening;
pub mod points;
pub mod progress;
mod recovery;
mod streams;

pub use dispatcher::{Finish, run_drill};
pub use opening::{Prepared, RunError, named, needs_cluster, prepare, reopen};
pub use recovery::{Recovered, recover, unreported};
