//! What the tests need: a directory, a PostgreSQL to dump from, an S3 server that can be made to fail.

pub mod bench;
pub mod directory;
pub mod dumps;
pub mod faults;
pub mod postgres;
pub mod s3;
