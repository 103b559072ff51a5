//! Processes that never outlive their sandbox: every one is a child of a keeper, and the keeper ends when its owner does.
//!
//! The owner ([`Keeper`]) asks, the keeper process ([`keep`]) forks, a small wrapper ([`launch`]) puts each program into a
//! session of its own. The keeper is the reaper of everything below it, so nothing can leave its tree, and the end of
//! its standard input, however it comes about, ends all of it.

mod clock;
mod keep;
mod keeper;
mod launch;
mod procfs;
mod shm;
mod wire;

pub use clock::boottime_ns;
pub use keep::keeper_main;
pub use keeper::{Keeper, KeeperError, KeeperOptions, Process, Stopped};
pub use launch::launch_main;
pub use procfs::{ProcStat, children_of, descendants_of, start_ticks};
pub use shm::{ShmError, release_segments};
pub use wire::{Exit, Identity, ProcessSpec, Reach};
