//! Long work with phases and progress, on what a confirmed effect gave it.

pub mod ledger;
pub mod restore;
pub mod restore_work;
