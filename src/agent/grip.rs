//! What an agent does to its prey: the blow, the hold, and letting go. It runs on a thread of its own, by the boot's clock
//! alone, so that neither a hanging API nor a dead runner keeps it from letting go when its time is over.

use crate::agent::processes::{Prey, Process};
use crate::clock;
use firedrill_core::effect::Blow;
use firedrill_core::time::{Mono, Nanos};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a blow, or letting go, may take until what is left counts as trouble.
const REACH_TIMEOUT: Nanos = Nanos::from_secs(5);
/// From one look for new processes to the next.
const AGAIN_AFTER: Duration = Duration::from_millis(2);
/// The same, while a container is kept down.
const HOLD_EVERY: Duration = Duration::from_millis(25);

/// What came of the blow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Struck {
    /// When it began.
    pub(crate) began_ns: Mono,
    /// When the last process was hit.
    pub(crate) done_ns: Mono,
    /// How many different processes were hit.
    pub(crate) processes: usize,
    /// What could not be hit.
    pub(crate) trouble: Option<String>,
}

/// How a hold ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LetGo {
    /// When.
    pub(crate) at_ns: Mono,
    /// Whether its time was over; otherwise it was told to, or there was nothing to hold.
    pub(crate) by_timer: bool,
    /// How many processes were killed in all.
    pub(crate) kills: usize,
    /// What could not be let go.
    pub(crate) trouble: Option<String>,
}

/// Prey that is held.
#[derive(Debug)]
pub(crate) struct Grip {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<LetGo>,
    struck: mpsc::Receiver<Struck>,
}

impl Grip {
    /// Strikes, and holds as the blow says.
    ///
    /// # Errors
    /// When the system gives no thread; nothing was done then.
    pub(crate) fn take(prey: Prey, blow: Blow) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, struck) = mpsc::channel();
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("grip".to_owned()).spawn(move || match blow {
            Blow::Crash => crash(&prey, &tell),
            Blow::HoldDown { at_most_ns } => hold_down(&prey, at_most_ns, &told, &tell),
            Blow::Freeze { for_ns } => freeze(&prey, for_ns, &told, &tell),
        })?;
        Ok(Self { stop, thread, struck })
    }

    /// What came of the blow, as soon as it is known.
    pub(crate) fn struck(&self) -> Option<Struck> {
        self.struck.try_recv().ok()
    }

    /// Whether it has let go.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets go now, and waits until that is done: some seconds at most.
    pub(crate) fn let_go(self) -> LetGo {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap_or_else(|_| LetGo {
            at_ns: clock::now(),
            by_timer: false,
            kills: 0,
            trouble: Some("the thread that held it panicked".to_owned()),
        })
    }
}

/// Sends a signal to exactly this process. `false` when it was gone.
fn send(prey: &Prey, process: &Process, signal: Signal) -> Result<bool, Errno> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(false) };
    let open = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(open) => open,
        Err(Errno::SRCH) => return Ok(false),
        Err(e) => return Err(e),
    };
    // The number may have been given to another in between; what was opened stays what it is.
    if prey.again(process).is_none() {
        return Ok(false);
    }
    match pidfd_send_signal(&open, signal) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Who was hit, by number and beginning, and what went wrong.
#[derive(Default)]
struct Tally {
    hit: BTreeSet<(i32, u64)>,
    trouble: Option<String>,
}

impl Tally {
    fn send(&mut self, prey: &Prey, process: &Process, signal: Signal) {
        match send(prey, process, signal) {
            Ok(true) => {
                self.hit.insert((process.pid, process.started));
            }
            Ok(false) => {}
            Err(e) => self.trouble = Some(format!("process {} cannot be signalled: {e}", process.pid)),
        }
    }

    /// Signals again and again until nobody is left to be hit, or the time for it is over.
    fn until_none(&mut self, prey: &Prey, signal: Signal, left: impl Fn(&Process) -> bool) {
        let until = clock::now().plus(REACH_TIMEOUT);
        loop {
            let found = match prey.now() {
                Ok(found) => found,
                Err(e) => {
                    self.trouble = Some(format!("processes cannot be listed: {e}"));
                    return;
                }
            };
            let found: Vec<Process> = found.into_iter().filter(&left).collect();
            if found.is_empty() {
                self.trouble = None;
                return;
            }
            for process in &found {
                self.send(prey, process, signal);
            }
            if clock::now() >= until {
                let why = self.trouble.take().unwrap_or_else(|| "the signal has no effect".to_owned());
                self.trouble =
                    Some(format!("{} processes are left after {} s: {why}", found.len(), REACH_TIMEOUT.as_secs_f64()));
                return;
            }
            std::thread::sleep(AGAIN_AFTER);
        }
    }

    fn struck(&self, began_ns: Mono) -> Struck {
        Struck { began_ns, done_ns: clock::now(), processes: self.hit.len(), trouble: self.trouble.clone() }
    }
}

/// Whoever waits for it may be gone: what was begun is ended all the same.
fn tell(told: &mpsc::Sender<Struck>, struck: Struck) {
    let _ = told.send(struck);
}

fn crash(prey: &Prey, told: &mpsc::Sender<Struck>) -> LetGo {
    let began_ns = clock::now();
    let mut tally = Tally::default();
    tally.until_none(prey, Signal::KILL, |_| true);
    tell(told, tally.struck(began_ns));
    LetGo { at_ns: clock::now(), by_timer: false, kills: tally.hit.len(), trouble: None }
}

fn hold_down(prey: &Prey, at_most_ns: Nanos, stop: &AtomicBool, told: &mpsc::Sender<Struck>) -> LetGo {
    let began_ns = clock::now();
    let until = began_ns.plus(at_most_ns);
    let mut tally = Tally::default();
    tally.until_none(prey, Signal::KILL, |_| true);
    tell(told, tally.struck(began_ns));
    while clock::now() < until && !stop.load(Ordering::Acquire) {
        // What cannot be listed now is listed in a moment.
        for process in prey.now_and_later().unwrap_or_default() {
            tally.send(prey, &process, Signal::KILL);
        }
        std::thread::sleep(HOLD_EVERY);
    }
    let by_timer = !stop.load(Ordering::Acquire);
    LetGo { at_ns: clock::now(), by_timer, kills: tally.hit.len(), trouble: None }
}

fn freeze(prey: &Prey, for_ns: Nanos, stop: &AtomicBool, told: &mpsc::Sender<Struck>) -> LetGo {
    let began_ns = clock::now();
    let until = began_ns.plus(for_ns);
    // Who was stopped before is left as it was.
    let before: BTreeSet<(i32, u64)> =
        prey.now().unwrap_or_default().into_iter().filter(Process::stopped).map(|p| (p.pid, p.started)).collect();
    let mut tally = Tally::default();
    tally.until_none(prey, Signal::STOP, |p| !p.stopped());
    tell(told, tally.struck(began_ns));
    while clock::now() < until && !stop.load(Ordering::Acquire) {
        std::thread::sleep(HOLD_EVERY.min(Duration::from_nanos(until.since(clock::now()).0)));
    }
    let by_timer = !stop.load(Ordering::Acquire);
    let trouble = thaw(prey, &before);
    LetGo { at_ns: clock::now(), by_timer, kills: 0, trouble }
}

/// Has every process of the prey go on but those that were stopped `before`; what could not be.
pub(crate) fn thaw(prey: &Prey, before: &BTreeSet<(i32, u64)>) -> Option<String> {
    let mut tally = Tally::default();
    tally.until_none(prey, Signal::CONT, |p| p.stopped() && !before.contains(&(p.pid, p.started)));
    tally.trouble
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::manager::is_manager;
    use crate::agent::processes::Sort;
    use std::os::unix::fs::symlink;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::path::PathBuf;
    use std::process::{Child, Command};
    use std::time::Instant;

    const UID: &str = "0d9bd3a8-1111-4222-8333-944445555666";

    /// A `/proc` that shows real processes as if they were in the cgroups of a pod. They end with it.
    struct Pod {
        dir: PathBuf,
        children: Vec<Child>,
    }

    impl Pod {
        fn new() -> Self {
            let dir = std::env::temp_dir().join(format!("firedrill-grip-{}", uuid::Uuid::now_v7()));
            std::fs::create_dir(&dir).unwrap();
            Self { dir, children: Vec::new() }
        }

        /// Starts a process in a container; its place among the children.
        fn start(&mut self, container: &str, seconds: &str) -> usize {
            self.start_as("sleep", container, seconds)
        }

        /// The same, by another name in its command line.
        fn start_as(&mut self, name: &str, container: &str, seconds: &str) -> usize {
            let child = Command::new("sleep").arg0(name).arg(seconds).spawn().unwrap();
            let (real, at) = (PathBuf::from(format!("/proc/{}", child.id())), self.dir.join(child.id().to_string()));
            std::fs::create_dir(&at).unwrap();
            for file in ["stat", "cmdline"] {
                symlink(real.join(file), at.join(file)).unwrap();
            }
            // Whoever lists processes must not see half of one: the cgroup comes last, and at once.
            std::fs::write(at.join("new"), format!("8:pids:/kubepods/pod{UID}/{container}\n")).unwrap();
            std::fs::rename(at.join("new"), at.join("cgroup")).unwrap();
            self.children.push(child);
            self.children.len() - 1
        }

        fn prey(&self, container: &str) -> Prey {
            self.prey_of(container, Sort::All)
        }

        fn prey_of(&self, container: &str, sort: Sort) -> Prey {
            // Until it runs what it was told to run, it runs this test.
            let began = Instant::now();
            loop {
                match Prey::find(&self.dir, UID, container, sort) {
                    Ok(prey) => return prey,
                    Err(why) => assert!(began.elapsed() < Duration::from_secs(10), "{why}"),
                }
                std::thread::sleep(AGAIN_AFTER);
            }
        }

        fn state(&self, child: usize) -> char {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.children[child].id())).unwrap();
            stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
        }

        fn goes_on(&self, child: usize) -> bool {
            matches!(self.state(child), 'R' | 'S' | 'D')
        }

        fn killed(&mut self, child: usize) -> bool {
            self.children[child].wait().unwrap().signal() == Some(9)
        }
    }

    impl Drop for Pod {
        fn drop(&mut self) {
            for child in &mut self.children {
                let _ = child.kill();
                let _ = child.wait();
            }
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }

    fn awaited<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(AGAIN_AFTER);
        }
    }

    fn long() -> Nanos {
        Nanos::from_secs(600)
    }

    #[test]
    fn a_crash_kills_all_of_the_container_once_and_nobody_else() {
        let mut pod = Pod::new();
        let (one, two, pause) = (pod.start("db", "600"), pod.start("db", "601"), pod.start("pause", "602"));
        let grip = Grip::take(pod.prey("db"), Blow::Crash).unwrap();
        let struck = awaited("the blow", || grip.struck());
        assert_eq!((struck.processes, struck.trouble), (2, None));
        assert!(pod.killed(one) && pod.killed(two));
        awaited("nothing is held", || grip.is_over().then_some(()));
        assert_eq!(grip.let_go().kills, 2);
        assert!(pod.goes_on(pause));
    }

    #[test]
    fn what_is_started_in_its_place_is_killed_until_it_is_let_go() {
        let mut pod = Pod::new();
        let (old, side) = (pod.start("db", "600"), pod.start("side", "601"));
        let grip = Grip::take(pod.prey("db"), Blow::HoldDown { at_most_ns: long() }).unwrap();
        awaited("the blow", || grip.struck());
        assert!(pod.killed(old));
        let (new, other) = (pod.start("db2", "600"), pod.start("side2", "601"));
        assert!(pod.killed(new), "a later start of the container is kept down");
        let let_go = grip.let_go();
        assert_eq!((let_go.by_timer, let_go.kills, let_go.trouble), (false, 2, None));
        let later = pod.start("db3", "600");
        for spared in [side, other, later] {
            assert!(pod.goes_on(spared));
        }
    }

    #[test]
    fn a_frozen_container_goes_on_when_it_is_let_go_and_what_was_stopped_before_stays_so() {
        let mut pod = Pod::new();
        let (one, two, stopped) = (pod.start("db", "600"), pod.start("db", "601"), pod.start("db", "602"));
        let number = Pid::from_raw(i32::try_from(pod.children[stopped].id()).unwrap()).unwrap();
        rustix::process::kill_process(number, Signal::STOP).unwrap();
        awaited("stopped by somebody", || (pod.state(stopped) == 'T').then_some(()));
        let grip = Grip::take(pod.prey("db"), Blow::Freeze { for_ns: long() }).unwrap();
        let struck = awaited("the blow", || grip.struck());
        assert_eq!((struck.processes, struck.trouble), (2, None));
        assert_eq!([one, two].map(|child| pod.state(child)), ['T', 'T']);
        let let_go = grip.let_go();
        assert_eq!((let_go.by_timer, let_go.trouble), (false, None));
        assert!(pod.goes_on(one) && pod.goes_on(two));
        assert_eq!(pod.state(stopped), 'T');
    }

    #[test]
    fn a_manager_is_stopped_and_goes_on_and_its_server_never_stops() {
        let mut pod = Pod::new();
        let (first, server) = (pod.start_as("patroni", "db", "600"), pod.start_as("postgres", "db", "601"));
        let (second, side) = (pod.start_as("/usr/bin/patroni", "db", "602"), pod.start_as("patroni", "side", "603"));
        awaited("all run what they are called", || {
            let all = pod.prey("db").now().unwrap();
            let called = |p: &&Process| is_manager(p) || p.command.starts_with(b"postgres");
            (all.iter().filter(called).count() == 3).then_some(())
        });
        let grip = Grip::take(pod.prey_of("db", Sort::Manager), Blow::Freeze { for_ns: long() }).unwrap();
        let struck = awaited("the blow", || grip.struck());
        assert_eq!((struck.processes, struck.trouble), (2, None));
        assert_eq!([first, second].map(|child| pod.state(child)), ['T', 'T']);
        assert!(pod.goes_on(server) && pod.goes_on(side));
        let let_go = grip.let_go();
        assert_eq!((let_go.by_timer, let_go.trouble), (false, None));
        for child in [first, second, server, side] {
            assert!(pod.goes_on(child));
        }
    }

    #[test]
    fn a_manager_is_killed_again_when_it_is_started_again_and_its_server_lives() {
        let mut pod = Pod::new();
        let (server, old) = (pod.start_as("postgres", "db", "600"), pod.start_as("patroni", "db", "601"));
        let grip = Grip::take(pod.prey_of("db", Sort::Manager), Blow::HoldDown { at_most_ns: long() }).unwrap();
        awaited("the blow", || grip.struck());
        assert!(pod.killed(old));
        let (new, elsewhere) = (pod.start_as("patroni", "db", "602"), pod.start_as("patroni", "db2", "603"));
        assert!(pod.killed(new), "a later start of the manager is killed");
        assert_eq!(grip.let_go().kills, 2);
        let later = pod.start_as("patroni", "db", "604");
        for spared in [server, elsewhere, later] {
            assert!(pod.goes_on(spared));
        }
    }

    #[test]
    fn time_lets_go_when_nobody_else_does() {
        let mut pod = Pod::new();
        let one = pod.start("db", "600");
        let short = Nanos::from_ms(300);
        let grip = Grip::take(pod.prey("db"), Blow::Freeze { for_ns: short }).unwrap();
        let struck = awaited("the blow", || grip.struck());
        assert_eq!(pod.state(one), 'T');
        awaited("its time is over", || grip.is_over().then_some(()));
        let let_go = grip.let_go();
        assert!(let_go.by_timer);
        assert!(let_go.at_ns.since(struck.began_ns) >= short, "not before");
        assert!(pod.goes_on(one));
    }
}
