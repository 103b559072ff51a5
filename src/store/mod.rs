//! The journal: durable before anything is done, and the only place that gives permission to do it.

mod firings;
mod journal;
mod overview;
mod owner;
mod permit;
mod verify;

pub use firings::{FiringRow, FiringState};
pub use journal::{AppendError, DrillRow, Journal, JournalError, SampleChunk};
pub use overview::{Newest, Overview};
pub use owner::DrillLock;
pub use permit::{InjectPermit, UndoPermit};
pub use verify::{Outside, Tampered, Verified};
