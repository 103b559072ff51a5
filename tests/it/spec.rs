//! Estates and experiments as files.

mod examples;
