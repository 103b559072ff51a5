//! Estates and experiments as files.

mod bad;
mod check;
mod docs;
mod examples;
mod hostile;
mod loading;
