//! Backups found, fetched, read and restored: against a real S3 server, with dumps that a real `pg_dump` made.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![allow(unreachable_pub, missing_docs, reason = "the test's own modules have no readers outside")]

mod support;

mod cuts;
mod fetching;
mod finding;
mod keeping;
mod staging;
mod whole;
