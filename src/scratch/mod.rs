//! A throwaway PostgreSQL on the runner's machine, and the keeper that ends it when the runner is gone.

pub mod account;
pub mod binaries;
