//! The daemon: begins drills on time, one after the other or side by side, and accounts for every firing.

mod clock;
mod drills;
mod glance;
mod rounds;
mod shelf;

pub use clock::{Clock, WallClock};
pub use drills::{Begin, Drills, Ended, Runner};
pub use glance::{Glance, Scheduled};
pub use rounds::{Rounds, serve};
pub use shelf::{Change, Duty, Shelf};

#[cfg(test)]
mod rounds_tests;
