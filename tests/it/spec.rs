//! Estates and experiments as files.

mod bad;
mod check;
mod examples;
mod hostile;
