//! The scratch: a directory, its keeper process, and everything that lives in them. Undone provably: processes by number
//! and start time, then the directory, then a second look.

use crate::scratch::handle::{KeeperProgram, Scratch, ScratchError};
use crate::scratch::layout::Layout;
use crate::scratch::undo::{self, Seen};
use firedrill_core::effect::{Holding, Reply};
use std::path::Path;

/// Makes the directory with its marker, and the keeper. The handle holds the pipe that keeps it alive.
///
/// # Errors
/// The reply for the journal: [`Reply::Rejected`] when certainly nothing is left, [`Reply::Unknown`] otherwise.
pub async fn apply(directory: &Path, drill: &str, program: &KeeperProgram) -> Result<Scratch, Reply> {
    Scratch::make(directory, drill, program).await.map_err(|error| match &error {
        ScratchError::Left(_) => Reply::Unknown(error.to_string()),
        _ => Reply::Rejected(error.to_string()),
    })
}

/// Whether it is there, and whose.
pub fn look(directory: &Path, drill: &str) -> Holding {
    match undo::look(&Layout::new(directory), drill) {
        Seen::Gone => Holding::Gone,
        Seen::Ours => Holding::Ours,
        Seen::Other(what) => Holding::Other(what),
    }
}

/// Ends what a look saw to be ours, without a handle: after a crash, a kill, a reboot. Blocks for some seconds at most.
pub fn undo(directory: &Path, drill: &str) -> Reply {
    let layout = Layout::new(directory);
    match undo::look(&layout, drill) {
        Seen::Gone => Reply::Applied,
        Seen::Other(what) => Reply::Rejected(what),
        Seen::Ours => match undo::undo(&layout) {
            Ok(()) => Reply::Applied,
            Err(left) => Reply::Unknown(left),
        },
    }
}
