//! A throwaway PostgreSQL on the runner's machine, and the keeper that ends it when the runner is gone.
//!
//! The runner makes a directory and re-executes itself as the keeper, holding the writing end of the keeper's standard
//! input. The keeper alone starts `initdb` and `postgres`. When that pipe closes, for whatever reason, it stops them and
//! removes the directory: nothing is left of a runner that was killed. What survives a reboot, or the keeper's own death,
//! is found again by the directory's marker and undone by [`undo`].

pub mod account;
pub mod binaries;
pub mod handle;
pub mod keeper;
pub mod layout;
pub mod process;
pub mod protocol;
pub mod server;
pub mod undo;

pub use handle::Scratch;
pub use keeper::scratch_keeper_main;
