//! `check`: many files at once.
