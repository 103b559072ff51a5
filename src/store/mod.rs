//! The journal: durable before anything is done, and the only place that gives permission to do it.

mod journal;
mod owner;
mod permit;

pub use journal::{AppendError, DrillRow, Journal, JournalError, SampleChunk};
pub use owner::DrillLock;
pub use permit::{InjectPermit, UndoPermit};
