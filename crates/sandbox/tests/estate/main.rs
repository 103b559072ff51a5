//! The estate, with real servers: one binary, so that it is linked once.

#![allow(clippy::disallowed_methods, reason = "tests do what people and controllers would do")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backups;
mod left_behind;
mod place;
mod primary;
mod proxy;
mod scene;
mod shop;
mod truth;
