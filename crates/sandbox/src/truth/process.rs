//! Watches the postmasters that the database agents report: a pidfd turns readable when its process ends.

use std::{
    collections::HashMap,
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::record::{Interval, Record};
use crate::estate::postgres::switches::AgentReport;

/// A postmaster that is watched.
#[derive(Debug)]
pub(super) struct Postmaster {
    pub(super) pod: String,
    pub(super) pid: i32,
    pub(super) handle: OwnedFd,
}

/// Those that are watched, by process id.
#[derive(Debug, Default)]
pub(super) struct Postmasters {
    control: Option<PathBuf>,
    pub(super) watched: HashMap<i32, Postmaster>,
}

impl Postmasters {
    pub(super) fn new(control: Option<PathBuf>) -> Self {
        Self { control, watched: HashMap::new() }
    }

    /// Takes up those that were started since. One that ended before we looked is not found, and not recorded.
    pub(super) fn look(&mut self) {
        let Some(control) = &self.control else { return };
        for report in reports(control) {
            let Some(pid) = report.postmaster_pid else { continue };
            if self.watched.contains_key(&pid) {
                continue;
            }
            let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
                continue;
            };
            self.watched.insert(pid, Postmaster { pod: report.pod, pid, handle });
        }
    }

    /// One that ended.
    pub(super) fn ended(&mut self, pid: i32, ended: Interval) -> Option<Record> {
        let Postmaster { pod, pid, .. } = self.watched.remove(&pid)?;
        Some(Record::PostmasterEnded { pod, pid, ended })
    }
}

fn reports(control: &Path) -> Vec<AgentReport> {
    let Ok(entries) = fs::read_dir(control) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".report.json").map(str::to_owned))
        .filter_map(|pod| AgentReport::load(control, &pod))
        .collect()
}
