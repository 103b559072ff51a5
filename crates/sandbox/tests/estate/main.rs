//! The estate, with real servers: one binary, so that it is linked once.

mod backups;
mod place;
mod proxy;
mod truth;
