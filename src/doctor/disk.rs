//! A directory on this machine: can it be written to, and what room has it?

use super::finding::{Finding, Mark};
use rustix::fs::{Access, access, statvfs};
use std::path::{Path, PathBuf};

/// How much room is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// Below this many bytes nothing can be done.
    pub(super) least_bytes: u64,
    /// Below this many bytes it may not last.
    pub(super) ample_bytes: u64,
}

/// Whether a directory can be written to, or made, and has room. It is not made, and nothing is written.
pub(super) fn writable(subject: &str, name: &str, directory: &Path, need: Need) -> Finding {
    let expected = format!("writable, {} free", size(need.ample_bytes));
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let there = nearest(&absolute);
    let shown = absolute.display();
    if !there.is_dir() {
        let found = format!("{} is in the way of {shown}", there.display());
        return Finding::against(subject, name, expected, found, "Name a directory, or move that away.");
    }
    if let Err(e) = access(&there, Access::WRITE_OK | Access::EXEC_OK) {
        let made = if there == absolute { String::new() } else { format!(", in which {shown} would be made") };
        let found = format!("{} cannot be written to{made}: {e}", there.display());
        return Finding::against(subject, name, expected, found, "Make it writable for this user, or name another.");
    }
    let free_bytes = match statvfs(&there) {
        Ok(fs) => fs.f_bavail.saturating_mul(fs.f_frsize),
        Err(e) => {
            let found = format!("{shown}: its room cannot be told: {e}");
            return Finding::doubtful(subject, name, expected, found, "See the file system it is on.");
        }
    };
    let found = format!("{shown}, {} free", size(free_bytes));
    let help = "Free some room there, or name another directory.";
    match judge(free_bytes, need) {
        Mark::Fine => Finding::fine(subject, name, expected, found),
        Mark::Doubtful => Finding::doubtful(subject, name, expected, found, help),
        Mark::Against => Finding::against(subject, name, expected, found, help),
    }
}

fn judge(free_bytes: u64, need: Need) -> Mark {
    if free_bytes < need.least_bytes {
        Mark::Against
    } else if free_bytes < need.ample_bytes {
        Mark::Doubtful
    } else {
        Mark::Fine
    }
}

/// The directory itself, or what is there of the way to it.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|above| above.symlink_metadata().is_ok()).unwrap_or(Path::new("/")).to_owned()
}

/// Bytes for people, rounded down.
pub(super) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.iter().find(|(_, shift)| bytes >> shift > 0);
    unit.map_or_else(|| format!("{bytes} B"), |(unit, shift)| format!("{} {unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Need = Need { least_bytes: 1, ample_bytes: 2 };

    #[test]
    fn a_directory_to_be_made_is_as_good_as_what_it_is_made_in() {
        let place = std::env::temp_dir();
        let new = place.join("firedrill-doctor-not-there").join("deeper");
        assert_eq!(writable("here", "it", &new, SMALL).mark, Mark::Fine);
        assert!(!new.exists(), "looking made it");
        // Nobody can make a directory in there, not even root.
        let never = writable("here", "it", Path::new("/proc/firedrill"), SMALL);
        assert_eq!(never.mark, Mark::Against, "{never:?}");
        let file = writable("here", "it", Path::new("/proc/self/status/x"), SMALL);
        assert!(file.found.contains("in the way"), "{file:?}");
    }

    #[test]
    fn room_is_judged_by_need() {
        let need = Need { least_bytes: 10, ample_bytes: 20 };
        assert_eq!(
            [9, 10, 19, 20].map(|free| judge(free, need)),
            [Mark::Against, Mark::Doubtful, Mark::Doubtful, Mark::Fine]
        );
        let boundless = Need { least_bytes: u64::MAX, ample_bytes: u64::MAX };
        assert_eq!(writable("here", "it", &std::env::temp_dir(), boundless).mark, Mark::Against);
        assert_eq!(size(1_536), "1 KiB");
        assert_eq!(size(3 << 30), "3 GiB");
    }
}
