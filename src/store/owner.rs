//! Which runner holds a drill on this machine: a file lock that the kernel lets go when the process ends, however it ends.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// The hold of one process on one drill. Dropping it, or dying, lets go.
#[derive(Debug)]
pub struct DrillLock {
    _file: File,
}

impl DrillLock {
    /// Takes the hold, when nobody alive has it.
    ///
    /// # Errors
    /// When the lock file cannot be made. `Ok(None)` when another process has the drill.
    pub fn take(state_dir: &Path, drill: &str) -> io::Result<Option<Self>> {
        let dir = state_dir.join("running");
        std::fs::create_dir_all(&dir)?;
        let path = dir.join(format!("{drill}.lock"));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes the lock's file: the drill is closed and nobody will ask again.
    pub fn retire(self, state_dir: &Path, drill: &str) {
        // A file that stays is harmless: it is empty and its lock is free.
        let _ = std::fs::remove_file(state_dir.join("running").join(format!("{drill}.lock")));
    }
}
