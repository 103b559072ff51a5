//! A backup is found, fetched, read before it is used, restored into staging and asked the questions that matter.

pub mod amcheck;
pub mod archive;
pub mod archive_error;
pub mod blocks;
pub mod checksum;
pub mod fetch;
pub mod find;
pub mod load;
pub mod phase;
pub mod program;
pub mod run;
pub mod sequences;
pub mod stage;
pub mod stage_server;
pub mod toc;
pub mod validate;
pub mod verify;
