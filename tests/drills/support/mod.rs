//! What every drill here needs: an estate of its own, its files, runners as processes, and a look at what is left.

pub mod files;
pub mod left;
pub mod place;
pub mod points;
pub mod runner;
pub mod scene;
pub mod servers;
