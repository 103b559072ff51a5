//! The runner: carries a drill out. One dispatcher puts everything that happens in one order and writes it down; its crew
//! starts and stops what the core's `next` says should be under way.

mod asking;
mod crew;
mod dispatcher;
mod halt;
mod left_behind;
mod opening;
pub mod points;
pub mod progress;
mod recovery;
pub mod reporting;
mod streams;

pub use dispatcher::{Finish, run_drill};
pub use left_behind::{Dealt, Left, deal_with_the_dead};
pub use opening::{Order, Prepared, RunError, named, needs_cluster, new_drill, open, prepare, reopen, source};
pub use recovery::{Recovered, recover, unreported};
