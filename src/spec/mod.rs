//! YAML → estate and experiment, with the line and column of everything that is wrong.

pub mod estate;
pub mod experiment;
pub mod scalar;
