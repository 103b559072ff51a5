//! The audit log: every request that could have changed something, one JSON object a line, in order of execution.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::faults::Fault;

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// When the request's head had arrived, `CLOCK_BOOTTIME`.
    pub arrived_ns: u64,
    /// When its effect was in the store; nothing when it was never executed.
    pub executed_ns: Option<u64>,
    /// Who says to have asked.
    pub user_agent: String,
    /// `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// API group, empty for the core.
    pub group: String,
    /// The resource's plural name.
    pub resource: String,
    /// `status`, `scale`, `eviction`, or empty.
    pub subresource: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The object's name; given by the server for a `generateName`.
    pub name: String,
    /// The object's uid after the request, empty when it failed.
    pub uid: String,
    /// The object's resource version after the request, empty when it failed.
    pub resource_version: String,
    /// The HTTP code, also when the answer was then withheld; nothing when there was none to give.
    pub code: Option<u16>,
    /// The reason of an error.
    pub reason: String,
    /// The fault that was in the way.
    pub fault: Option<Fault>,
    /// Whether it was only to be judged.
    pub dry_run: bool,
    /// What was sent; never that of a secret.
    pub body: Value,
}

/// The log's writer.
#[derive(Debug)]
pub(crate) struct AuditLog {
    path: PathBuf,
    state: Mutex<(File, u64)>,
}

impl AuditLog {
    /// Opens the log for appending.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { path: path.to_owned(), state: Mutex::new((file, 0)) })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one entry, numbered. In one write, so that readers see whole lines.
    pub(crate) fn write(&self, mut entry: Entry) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, last) = &mut *state;
        entry.seq = *last + 1;
        let written = serde_json::to_vec(&entry).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            file.write_all(&line)
        });
        match written {
            Ok(()) => *last = entry.seq,
            Err(error) => tracing::error!(%error, "the audit log of the sandbox has a hole"),
        }
    }
}

/// Reads an audit log back. A last line without its end is left out.
pub fn read_audit_log(path: &Path) -> io::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}
