//! The small System V segment that PostgreSQL holds as a lock on its data directory, and leaves behind when killed.
//!
//! A postmaster writes the segment's key and id into line 7 of `postmaster.pid`. After a SIGKILL both stay; the next
//! start in the same directory would remove the segment, but a sandbox that ends has no next start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How far below the given directory data directories are looked for.
const DEPTH_MAX: usize = 6;

/// A segment that could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("shared memory segment {id} of {} is still there: {why}; remove it with `ipcrm -m {id}`", .pid_file.display())]
pub struct ShmError {
    /// The file that names the segment.
    pub pid_file: PathBuf,
    /// The segment's id.
    pub id: i32,
    /// What `ipcrm` said.
    pub why: String,
}

/// Removes the segments of dead postmasters whose data directories lie under `dir`; live ones (attached) stay.
/// Returns how many were removed.
pub fn release_segments(dir: &Path) -> Result<usize, ShmError> {
    let mut removed = 0;
    for pid_file in pid_files(dir, DEPTH_MAX) {
        let Some((key, id)) = fs::read_to_string(&pid_file).ok().as_deref().and_then(segment) else { continue };
        if !unattached(key, id) {
            continue;
        }
        let outcome = Command::new("ipcrm").arg("-m").arg(id.to_string()).stdin(Stdio::null()).output();
        match outcome {
            Ok(output) if output.status.success() => removed += 1,
            // Somebody else (a restarted postmaster) may have removed it meanwhile.
            Ok(_) if !unattached(key, id) => {}
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(ShmError { pid_file, id, why });
            }
            Err(error) => return Err(ShmError { pid_file, id, why: error.to_string() }),
        }
    }
    Ok(removed)
}

/// The files called `postmaster.pid` under `dir`.
fn pid_files(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let own = dir.join("postmaster.pid");
    if own.is_file() {
        return vec![own];
    }
    let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .flat_map(|entry| pid_files(&entry.path(), depth))
        .collect()
}

/// Key and id from the text of a `postmaster.pid`. The key is written as an unsigned number.
fn segment(text: &str) -> Option<(u32, i32)> {
    let mut words = text.lines().nth(6)?.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Whether the kernel knows this very segment and nobody is attached to it.
fn unattached(key: u32, id: i32) -> bool {
    let Ok(table) = fs::read_to_string("/proc/sysvipc/shm") else { return false };
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let known_key = fields.first().and_then(|field| field.parse::<i64>().ok());
        let known_id = fields.get(1).and_then(|field| field.parse::<i32>().ok());
        // The table prints keys as signed numbers.
        known_key.is_some_and(|known| known == i64::from(key) || known == i64::from(key.cast_signed()))
            && known_id == Some(id)
            && fields.get(6) == Some(&"0")
    })
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn line_seven_of_the_pid_file_names_the_segment() {
        let text = "4711\n/data\n1700000000\n5432\n/tmp\n127.0.0.1\n  5432001    131072\nready   \n";
        assert_eq!(segment(text), Some((5_432_001, 131_072)));
    }

    #[test]
    fn a_pid_file_cut_short_names_none() {
        assert_eq!(segment("4711\n/data\n"), None);
    }
}
