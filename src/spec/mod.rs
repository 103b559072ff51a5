//! YAML → estate and experiment, with the line and column of everything that is wrong.
//!
//! [`load`] reads a file into a tree (`tree`) whose nodes know their places, holds it against the schema of its type
//! (`shape`), makes the typed value, and asks what no schema can say (`sense` of one file, `fit` of an experiment in
//! an estate). All that is wrong becomes a [`problem::Problem`]. [`check`] does it for many files at once.

pub mod calendar;
pub mod check;
pub mod daemon;
pub mod estate;
pub mod experiment;
mod fit;
pub mod leader_lock;
pub mod load;
pub mod manager;
mod mask;
mod nearest;
pub mod one_or_many;
pub mod path;
pub mod primary_rule;
pub mod problem;
pub mod schema;
mod selector;
mod sense;
mod shape;
pub mod source;
mod syntax;
mod tree;
mod words;

pub use firedrill_probes::scalar;
