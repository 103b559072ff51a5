//! What every drill here needs: an estate of its own, its files, runners as processes, and a look at what is left.

pub mod files;
pub mod left;
#[path = "../../support/place.rs"]
pub mod place;
pub mod points;
#[path = "../../support/runner.rs"]
#[expect(dead_code, reason = "shared with the drills on the lab, which use the rest of it")]
pub mod runner;
pub mod scene;
pub mod servers;
