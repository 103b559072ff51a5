//! Long work with phases and progress, on what a confirmed effect gave it.

pub mod restore;
