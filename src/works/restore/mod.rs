//! A backup is found, fetched, read before it is used, restored into staging and asked the questions that matter.

pub mod archive;
pub mod blocks;
pub mod checksum;
pub mod fetch;
pub mod find;
pub mod phase;
pub mod program;
pub mod validate;
