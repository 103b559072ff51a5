//! What is left of a scratch, and its removal: by whoever comes next, after a crash, a kill or a reboot.

use super::layout::{Layout, Marker};
use super::process::{ProcessId, servers_inside};
use super::server::{remove_shared_memory, shared_memory_of};
use rustix::process::Signal;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// What a look at the directory found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: no directory, no process.
    Gone,
    /// It is there, made for this drill.
    Ours,
    /// Something is there that was not made for this drill; it is not touched.
    Other(String),
}

/// How long a keeper has to end by itself once it was asked.
const KEEPER_WITHIN: Duration = Duration::from_secs(15);
/// How long a process has to be gone after SIGQUIT, and again after SIGKILL.
const SERVER_WITHIN: Duration = Duration::from_secs(5);

/// Looks. Writes nothing.
pub fn look(layout: &Layout, drill: &str) -> Seen {
    let directory = layout.directory();
    match layout.read_marker() {
        Some(Marker { drill: whose, directory: of }) if whose == drill && of == directory => return Seen::Ours,
        Some(Marker { drill: whose, .. }) => {
            return Seen::Other(format!("{} was made for drill {whose}", directory.display()));
        }
        None if directory.exists() => {
            return Seen::Other(format!("{} has no marker of firedrill", directory.display()));
        }
        None => {}
    }
    if is_ours_in_the_making(layout) || !servers_inside(directory).is_empty() {
        return Seen::Ours;
    }
    Seen::Gone
}

/// A runner that was killed between two lines leaves a directory with at most the marker in it, under a name that only
/// this scratch has.
fn is_ours_in_the_making(layout: &Layout) -> bool {
    let Ok(entries) = fs::read_dir(layout.making()) else { return false };
    let marker = layout.marker();
    entries.flatten().all(|e| Some(e.file_name().as_os_str()) == marker.file_name())
}

/// Ends everything of a scratch that [`look`] saw to be ours, and proves that it is gone. Blocks for some seconds at most.
///
/// # Errors
/// What is still there.
pub fn undo(layout: &Layout) -> Result<(), String> {
    let keeper: Option<ProcessId> = fs::read(layout.keeper()).ok().and_then(|b| serde_json::from_slice(&b).ok());
    if let Some(keeper) = keeper {
        keeper.signal(Signal::TERM);
        if !keeper.wait_gone(KEEPER_WITHIN) {
            keeper.signal(Signal::KILL);
            if !keeper.wait_gone(SERVER_WITHIN) {
                return Err(format!("the keeper, process {}, does not end", keeper.pid));
            }
        }
    }
    remove(layout)
}

/// Ends the processes that work inside, removes the directories, and looks again.
pub(super) fn remove(layout: &Layout) -> Result<(), String> {
    let shared_memory = shared_memory_of(layout);
    let inside = servers_inside(layout.directory());
    let had_servers = !inside.is_empty();
    for signal in [Signal::QUIT, Signal::KILL] {
        let left = servers_inside(layout.directory());
        for process in &left {
            process.signal(signal);
        }
        if left.iter().all(|process| process.wait_gone(SERVER_WITHIN)) {
            break;
        }
    }
    let left = servers_inside(layout.directory());
    if let Some(process) = left.first() {
        return Err(format!("process {} still works in {}", process.pid, layout.directory().display()));
    }
    if had_servers && let Some(id) = shared_memory {
        // A server that had to be killed leaves it; one that stopped has removed it, and this finds nothing.
        remove_shared_memory(id);
    }
    let socket = layout.socket_directory();
    for path in [socket.as_path(), layout.directory(), layout.making().as_path()] {
        remove_directory(path).map_err(|e| format!("could not remove {}: {e}", path.display()))?;
    }
    Ok(())
}

fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ if path.exists() => Err(io::Error::other("it is still there")),
        _ => Ok(()),
    }
}
