//! What `/proc` says of processes: parents, sessions, start times.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// The fields of `/proc/PID/stat` that the keeper goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcStat {
    /// Process id.
    pub pid: i32,
    /// The executable's name, at most 15 bytes.
    pub comm: String,
    /// `R`, `S`, `D`, `Z`, `T`, … as in proc(5).
    pub state: char,
    /// The parent's process id.
    pub ppid: i32,
    /// Session id.
    pub session: i32,
    /// The controlling terminal's device number; 0 without one.
    pub tty: i32,
    /// Start time in clock ticks since boot: with the pid it names a process for good.
    pub start_ticks: u64,
}

impl ProcStat {
    /// Reads one process; `None` when there is none of that id.
    pub fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses a line of `/proc/PID/stat`. The name stands in parentheses and may itself contain both.
    fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line.split_once(" (")?;
        let (comm, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            pid: pid.parse().ok()?,
            comm: comm.to_owned(),
            state: fields.first()?.chars().next()?,
            ppid: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            tty: fields.get(4)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

/// The start time of process `pid` in clock ticks since boot, or `None` when there is no such process.
pub fn start_ticks(pid: i32) -> Option<u64> {
    ProcStat::of(pid).map(|stat| stat.start_ticks)
}

/// Every process of the machine that can be read just now.
fn all() -> Vec<ProcStat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(ProcStat::of).collect()
}

/// Whether process `pid` works in `dir` or below it.
pub(crate) fn works_in(pid: i32, dir: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
}

/// What is left of the sessions `mains` when the tree above them is broken: members of the sessions, and processes
/// working under `dir` that have no terminal (nothing in a sandbox has one; a person who looks around there does).
pub(crate) fn remains_of(mains: &HashSet<i32>, dir: &Path) -> Vec<ProcStat> {
    let left = |stat: &ProcStat| mains.contains(&stat.session) || (stat.tty == 0 && works_in(stat.pid, dir));
    all().into_iter().filter(|stat| stat.state != 'Z' && left(stat)).collect()
}

/// The direct children of `pid`, zombies included.
pub fn children_of(pid: i32) -> Vec<ProcStat> {
    all().into_iter().filter(|stat| stat.ppid == pid).collect()
}

/// Everything descended from `pid` by one reading of `/proc`, without `pid` itself, nearest first.
pub fn descendants_of(pid: i32) -> Vec<ProcStat> {
    let mut rest = all();
    let mut found: Vec<ProcStat> = Vec::new();
    let mut parents = HashSet::from([pid]);
    loop {
        let (next, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|stat| parents.contains(&stat.ppid));
        if next.is_empty() {
            return found;
        }
        parents = next.iter().map(|stat| stat.pid).collect();
        found.extend(next);
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::ProcStat;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) b (c) S 7 42 41 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 987654 0 0";
        let stat = ProcStat::parse(line).expect("a line of the kernel's form");
        assert_eq!((stat.pid, stat.comm.as_str(), stat.state), (42, "a) b (c", 'S'));
        assert_eq!((stat.ppid, stat.session, stat.start_ticks), (7, 41, 987_654));
    }

    #[test]
    fn this_process_is_found_with_its_own_parent() {
        let own = i32::try_from(std::process::id()).expect("pid");
        let stat = ProcStat::of(own).expect("we are running");
        let parent = i32::try_from(std::os::unix::process::parent_id()).expect("pid");
        assert_eq!(stat.ppid, parent);
        assert!(super::descendants_of(parent).iter().any(|child| child.pid == own));
    }
}
