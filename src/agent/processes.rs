//! The processes of a pod, found by its UID in the cgroups of `/proc`, and told apart by container.
//!
//! The kubelet names a cgroup `pod<uid>` for each pod, and the runtime one within it for each container by its id. How the
//! names are written depends on the cgroup driver (`cgroupfs` or systemd's slices and scopes) and on the runtime; under
//! cgroup version 2 the paths are relative to the reader's own. The pause process has a cgroup of its own like any
//! container.

use crate::agent::manager;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// A process of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number in the reader's process namespace.
    pub(crate) pid: i32,
    /// The number of the process that started it, or that took it over.
    pub(crate) parent: i32,
    /// The id of its container.
    pub(crate) container: String,
    /// When it began, ticks since the boot: with the number, it is this process and no other.
    pub(crate) started: u64,
    /// `R`, `S`, `T`, `Z`, … as `proc(5)` has them.
    pub(crate) state: char,
    /// Its arguments, with NULs between.
    pub(crate) command: Vec<u8>,
}

impl Process {
    /// Whether it runs, or could: a zombie only waits to be noticed.
    pub(crate) fn alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    /// Whether it is stopped by a signal.
    pub(crate) fn stopped(&self) -> bool {
        self.state == 'T'
    }
}

/// The id of a container of the pod that a process is in, by its `/proc/PID/cgroup`.
fn container_in(cgroups: &str, pod_uid: &str) -> Option<String> {
    let uid = pod_uid.replace('_', "-");
    let pod = format!("pod{uid}");
    cgroups.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let mut parts = path.split('/');
        parts.find(|part| part.trim_end_matches(".slice").replace('_', "-").ends_with(&pod))?;
        let scope = parts.next()?.trim_end_matches(".scope");
        // The monitor of CRI-O lies beside the container that it watches, and is none of its processes.
        if scope.starts_with("crio-conmon-") || scope.is_empty() {
            return None;
        }
        Some(scope.rsplit(['-', ':']).next().unwrap_or(scope).to_owned())
    })
}

/// State, parent and beginning of a process, by its `/proc/PID/stat`. Its name may hold anything, brackets and spaces too.
fn stat(text: &str) -> Option<(char, i32, u64)> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    // The 22nd field of all, the parent being the fourth.
    Some((state, parent, fields.nth(17)?.parse().ok()?))
}

/// One process, if it is of the pod and still there.
pub(crate) fn read(proc: &Path, pid: i32, pod_uid: &str) -> Option<Process> {
    let dir = proc.join(pid.to_string());
    let container = container_in(&std::fs::read_to_string(dir.join("cgroup")).ok()?, pod_uid)?;
    let (state, parent, started) = stat(&String::from_utf8_lossy(&std::fs::read(dir.join("stat")).ok()?))?;
    let command = std::fs::read(dir.join("cmdline")).ok()?;
    Some(Process { pid, parent, container, started, state, command })
}

/// All processes of a pod.
///
/// # Errors
/// When `/proc` cannot be read.
pub(crate) fn of_pod(proc: &Path, pod_uid: &str) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(proc)? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        found.extend(read(proc, pid, pod_uid));
    }
    Ok(found)
}

/// Which processes of a container are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sort {
    /// Every one.
    All,
    /// Patroni's.
    Manager,
}

/// The container whose processes are meant, and how a later start of it is known.
#[derive(Clone, Debug)]
pub(crate) struct Prey {
    proc: PathBuf,
    pod_uid: String,
    container: String,
    sort: Sort,
    /// The other containers of the pod when it was found, the pause process among them.
    spared: BTreeSet<String>,
    /// What the container's first process runs.
    command: Vec<u8>,
}

/// The first process of a container: the one that began first.
fn first<'a>(processes: &'a [Process], container: &str) -> Option<&'a Process> {
    processes.iter().filter(|p| p.container == container && p.alive()).min_by_key(|p| (p.started, p.pid))
}

impl Prey {
    /// Finds it. `container_id` is as the kubelet tells it, with or without the runtime's name before it.
    ///
    /// # Errors
    /// Why it cannot be told which processes are meant.
    pub(crate) fn find(proc: &Path, pod_uid: &str, container_id: &str, sort: Sort) -> Result<Self, String> {
        let container = container_id.rsplit("//").next().unwrap_or(container_id).to_owned();
        let all = of_pod(proc, pod_uid).map_err(|e| format!("{} cannot be read: {e}", proc.display()))?;
        let Some(command) = first(&all, &container).map(|p| p.command.clone()) else {
            let seen: BTreeSet<&str> = all.iter().map(|p| p.container.as_str()).collect();
            return Err(format!(
                "no process of container {container} of pod {pod_uid} is to be seen; of that pod: {seen:?}. Does the agent share the node's process namespace?"
            ));
        };
        if sort == Sort::Manager && !all.iter().any(|p| p.container == container && p.alive() && manager::is_manager(p))
        {
            let count = all.iter().filter(|p| p.container == container && p.alive()).count();
            return Err(format!("none of the {count} processes of container {container} is Patroni"));
        }
        let spared: BTreeSet<String> = all.iter().map(|p| p.container.clone()).filter(|c| *c != container).collect();
        if let Some(twin) = spared.iter().find(|c| first(&all, c).is_some_and(|p| p.command == command)) {
            return Err(format!(
                "containers {container} and {twin} run the same command: after a restart they could not be told apart"
            ));
        }
        Ok(Self { proc: proc.to_owned(), pod_uid: pod_uid.to_owned(), container, sort, spared, command })
    }

    /// Why the manager must not be killed, if that is what is meant.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(crate) fn bound(&self) -> io::Result<Option<String>> {
        match self.sort {
            Sort::All => Ok(None),
            Sort::Manager => Ok(manager::bound(&Self { sort: Sort::All, ..self.clone() }.now()?)),
        }
    }

    /// The living processes of the container as it was found, those that are meant.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(crate) fn now(&self) -> io::Result<Vec<Process>> {
        let mut all = of_pod(&self.proc, &self.pod_uid)?;
        let meant = |p: &Process| self.sort == Sort::All || manager::is_manager(p);
        all.retain(|p| p.alive() && p.container == self.container && meant(p));
        Ok(all)
    }

    /// The same, and those of later starts of the container: one that was not there before, and runs what it ran. While the
    /// runtime is still making it, it runs something else, and is left alone. A manager is only followed within its own
    /// container: of another start nobody has seen whether it would outlive it.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(crate) fn now_and_later(&self) -> io::Result<Vec<Process>> {
        if self.sort == Sort::Manager {
            return self.now();
        }
        let mut all = of_pod(&self.proc, &self.pod_uid)?;
        all.retain(Process::alive);
        let mine = |c: &str| {
            c == self.container
                || (!self.spared.contains(c) && first(&all, c).is_some_and(|p| p.command == self.command))
        };
        let containers: BTreeSet<String> = all.iter().map(|p| p.container.clone()).filter(|c| mine(c)).collect();
        all.retain(|p| containers.contains(&p.container));
        Ok(all)
    }

    /// The process again, if its number is still its own.
    pub(crate) fn again(&self, process: &Process) -> Option<Process> {
        let now = read(&self.proc, process.pid, &self.pod_uid)?;
        (now.started == process.started && now.container == process.container).then_some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0d9bd3a8-1111-4222-8333-944445555666";
    const ID: &str = "4f0ee1a6b3b2c1d0e9f8a7b6c5d4e3f20123456789abcdef0123456789abcdef";

    #[test]
    fn a_container_is_known_by_every_way_of_naming_cgroups() {
        let slice = UID.replace('-', "_");
        let known = [
            format!(
                "9:name=systemd:/\n8:pids:/kubepods/burstable/pod{UID}/{ID}\n5:devices:/kubepods/burstable/pod{UID}/{ID}"
            ),
            format!(
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/cri-containerd-{ID}.scope"
            ),
            format!("0::/../../kubepods-besteffort-pod{slice}.slice/crio-{ID}.scope/container"),
            format!("0::/../../pod{UID}/{ID}"),
            format!("12:memory:/kubepods/pod{UID}/docker-{ID}.scope"),
            format!(
                "4:cpu,cpuacct:/system.slice/containerd.service/kubepods-pod{slice}.slice:cri-containerd:{ID}/x\n3:pids:/lab/kubepods/pod{UID}/{ID}"
            ),
        ];
        for text in known {
            assert_eq!(container_in(&text, UID).as_deref(), Some(ID), "{text}");
        }
        let others = [
            "0::/user.slice/user-0.slice".to_owned(),
            "8:pids:/kubepods/burstable/pod11111111-1111-4222-8333-944445555666/abc".to_owned(),
            // The pod's own cgroup, and what watches a container.
            format!("8:pids:/kubepods/burstable/pod{UID}"),
            format!("0::/kubepods.slice/kubepods-pod{slice}.slice/crio-conmon-{ID}.scope"),
            String::new(),
        ];
        for text in others {
            assert_eq!(container_in(&text, UID), None, "{text}");
        }
    }

    #[test]
    fn a_name_with_brackets_and_spaces_hides_nothing() {
        let rest = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2000";
        assert_eq!(stat(&format!("42 (a) R (b) T {rest}")), Some(('T', 1, 987_654)));
        assert_eq!(stat("42 (cut"), None);
        assert_eq!(stat("42 (cut) S 1 2"), None);
    }

    /// A `/proc` made of files: pid, cgroup, state, beginning, command.
    fn proc_of(processes: &[(i32, &str, char, u64, &str)]) -> tempdir::Dir {
        let dir = tempdir::Dir::new();
        for (pid, container, state, started, command) in processes {
            let at = dir.path().join(pid.to_string());
            std::fs::create_dir(&at).unwrap();
            std::fs::write(at.join("cgroup"), format!("8:pids:/kubepods/pod{UID}/{container}\n")).unwrap();
            let stat = format!("{pid} (x) {state} 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 {started} 1000 2000");
            std::fs::write(at.join("stat"), stat).unwrap();
            std::fs::write(at.join("cmdline"), command).unwrap();
        }
        std::fs::create_dir(dir.path().join("self")).unwrap();
        dir
    }

    mod tempdir {
        use std::path::{Path, PathBuf};

        pub(super) struct Dir(PathBuf);

        impl Dir {
            pub(super) fn new() -> Self {
                let dir = std::env::temp_dir().join(format!("firedrill-proc-{}", uuid::Uuid::now_v7()));
                std::fs::create_dir(&dir).unwrap();
                Self(dir)
            }

            pub(super) fn path(&self) -> &Path {
                &self.0
            }
        }

        impl Drop for Dir {
            fn drop(&mut self) {
                let _ = std::fs::remove_dir_all(&self.0);
            }
        }
    }

    fn pids(processes: Vec<Process>) -> Vec<i32> {
        let mut pids: Vec<i32> = processes.into_iter().map(|p| p.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn the_pause_process_and_other_containers_are_never_meant() {
        let before = [
            (10, "pause", 'S', 1, "/pause"),
            (20, "db", 'S', 5, "patroni"),
            (21, "db", 'S', 6, "postgres"),
            (30, "side", 'S', 5, "exporter"),
        ];
        let proc = proc_of(&before);
        let prey = Prey::find(proc.path(), UID, "containerd://db", Sort::All).unwrap();
        assert_eq!(pids(prey.now().unwrap()), [20, 21]);
        // Started again: the database under a new id, the exporter too, and one container that is only being made.
        let later = proc_of(&[
            (10, "pause", 'S', 1, "/pause"),
            (40, "db2", 'S', 90, "patroni"),
            (41, "db2", 'S', 91, "postgres"),
            (50, "side2", 'S', 90, "exporter"),
            (60, "db3", 'S', 99, "runc init"),
            (21, "db", 'Z', 6, ""),
        ]);
        let later = Prey { proc: later.path().to_owned(), ..prey.clone() }.now_and_later().unwrap();
        assert_eq!(pids(later), [40, 41]);
    }

    #[test]
    fn of_a_manager_nothing_but_the_manager_is_meant() {
        let proc = proc_of(&[
            (10, "pause", 'S', 1, "/pause"),
            (20, "db", 'S', 5, "/usr/bin/python3\0/usr/bin/patroni\0/tmp/patroni.yml"),
            (21, "db", 'S', 6, "/usr/bin/python3\0/usr/bin/patroni\0/tmp/patroni.yml"),
            (22, "db", 'S', 7, "/usr/lib/postgresql/15/bin/postgres\0-D\0/data"),
            (23, "db", 'S', 8, "postgres: orders: walwriter "),
            (24, "db", 'S', 9, "postgres: orders: shop patroni 10.0.0.9(4242) idle"),
            (30, "side", 'S', 5, "/usr/bin/python3\0/usr/bin/patroni\0/tmp/patroni.yml\0side"),
        ]);
        let prey = Prey::find(proc.path(), UID, "containerd://db", Sort::Manager).unwrap();
        assert_eq!(pids(prey.now().unwrap()), [20, 21]);
        assert_eq!(pids(prey.now_and_later().unwrap()), [20, 21]);
        assert!(prey.bound().unwrap().is_some(), "nobody is seen that would start it again");
        let all = Prey::find(proc.path(), UID, "containerd://db", Sort::All).unwrap();
        assert_eq!((pids(all.now().unwrap()).len(), all.bound().unwrap()), (5, None));
        // Another start of the container is not its own.
        std::fs::remove_dir_all(proc.path().join("20")).unwrap();
        std::fs::remove_dir_all(proc.path().join("21")).unwrap();
        assert_eq!(prey.now_and_later().unwrap(), []);
        let why = Prey::find(proc.path(), UID, "containerd://db", Sort::Manager).unwrap_err();
        assert!(why.contains("none of the 3 processes"), "{why}");
    }

    #[test]
    fn what_cannot_be_told_apart_or_is_not_there_is_said() {
        let twins = proc_of(&[(20, "db", 'S', 5, "sleep"), (30, "side", 'S', 5, "sleep")]);
        let why = Prey::find(twins.path(), UID, "containerd://db", Sort::All).unwrap_err();
        assert!(why.contains("the same command"), "{why}");
        let gone = proc_of(&[(10, "pause", 'S', 1, "/pause")]);
        let why = Prey::find(gone.path(), UID, "containerd://db", Sort::All).unwrap_err();
        assert!(why.contains("no process of container db"), "{why}");
    }

    #[test]
    fn a_number_that_was_given_to_another_is_not_the_same_process() {
        let proc = proc_of(&[(20, "db", 'S', 5, "patroni")]);
        let prey = Prey::find(proc.path(), UID, "db", Sort::All).unwrap();
        let process = prey.now().unwrap().remove(0);
        assert!(prey.again(&process).is_some());
        std::fs::remove_dir_all(proc.path().join("20")).unwrap();
        assert!(prey.again(&process).is_none());
        let other = Process { started: 4, ..process };
        assert!(prey.again(&other).is_none());
    }
}
