//! Which process is which: a number is reused, a number with its start time within one boot is not.

use crate::clock::boot_id;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A process, for as long as the machine is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it was started, in clock ticks since the boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
    /// The boot.
    pub boot: String,
}

impl ProcessId {
    /// This process.
    pub fn own() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    /// The process that has this number now; `None` when there is none, or only a zombie.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let start_ticks = fields.nth(18)?.parse().ok()?;
        (state != "Z" && state != "X").then(|| Self { pid, start_ticks, boot: boot_id().to_owned() })
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal, if it is still this process.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            // It may end between the two: then there is nothing left to signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it is gone. `false` when it is still there after `within`.
    pub fn wait_gone(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        while self.is_alive() {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

/// `setpriv` of util-linux, if it can bind a process's life to its parent's: the kernel then signals it when the thread
/// that started it is gone.
pub(crate) fn leash() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let path = PathBuf::from("/usr/bin/setpriv");
        let help = Command::new(&path).arg("--help").output().ok()?;
        String::from_utf8_lossy(&help.stdout).contains("--pdeathsig").then_some(path)
    };
    FOUND.get_or_init(find).as_deref()
}

/// PostgreSQL's processes that work inside a directory: the server and its children do, and `initdb`.
pub fn servers_inside(directory: &Path) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let link = |what: &str| fs::read_link(format!("/proc/{pid}/{what}")).ok();
        let inside = link("cwd").is_some_and(|cwd| cwd.starts_with(directory));
        let program = link("exe").and_then(|exe| Some(exe.file_name()?.to_str()?.to_owned())).unwrap_or_default();
        inside
            && ["postgres", "initdb", "pg_restore", "pg_amcheck", "setpriv"]
                .iter()
                .any(|name| program.starts_with(name))
    })
    .filter_map(ProcessId::of)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_until_it_is_gone() {
        let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(id.is_alive());
        let another = ProcessId { start_ticks: id.start_ticks + 1, ..id.clone() };
        assert!(!another.is_alive(), "the same number with another start time is another process");
        another.signal(Signal::KILL);
        assert!(id.is_alive());
        id.signal(Signal::KILL);
        assert!(id.wait_gone(Duration::from_secs(5)));
        child.wait().unwrap();
        assert!(!id.is_alive());
        assert!(ProcessId::own().unwrap().is_alive());
    }
}
