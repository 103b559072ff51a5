//! The keeper process: parent and reaper of everything in a sandbox, gone with its owner.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, setsid, wait};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use super::procfs::works_in;
use super::wire::{Event, Exit, ProcessSpec, Reach, Request};
use super::{ProcStat, boottime_ns, children_of, descendants_of, release_segments};

/// How long PostgreSQL may take over an immediate shutdown before it is killed like everything else.
const POSTGRES_GRACE: Duration = Duration::from_secs(2);
/// After SIGKILL to everything, how long a process may sit in the kernel before we leave it to the machine.
const KILL_GRACE: Duration = Duration::from_secs(10);
/// What the keeper passes on of its own environment.
const ENV_PASSED_ON: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "LLVM_PROFILE_FILE"];

/// Runs `keeper DIR`: serves the owner on standard input and output until that input ends, then leaves nothing.
pub fn keeper_main(args: &[OsString]) -> ExitCode {
    let [dir] = args else {
        return fail("expected one argument, the sandbox's directory");
    };
    let dir = PathBuf::from(dir);
    // A session of its own first: Ctrl-C and SIGHUP of the owner's terminal must not reach the one that cleans up.
    if let Err(error) = setsid().and_then(|_| set_child_subreaper(Some(rustix::process::getpid()))) {
        return fail(&format!("a session of its own and the adoption of orphans: {error}"));
    }
    if let Err(error) = take_directory(&dir) {
        return fail(&error);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the keeper's runtime: {error}")),
    };
    runtime.block_on(async {
        match Keep::begin(dir) {
            Ok(mut keep) => keep.serve().await,
            Err(error) => fail(&format!("the keeper's pipes and signals: {error}")),
        }
    })
}

/// Tells the owner that there will be no keeper.
fn fail(message: &str) -> ExitCode {
    say(&Event::Failed { message: message.to_owned() });
    ExitCode::FAILURE
}

/// One event to the owner. An owner that is gone is noticed on standard input, not here.
fn say(event: &Event) {
    if let Ok(mut line) = serde_json::to_vec(event) {
        line.push(b'\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

/// Makes the directory, or takes one that is empty: only what was empty is ever removed.
fn take_directory(dir: &Path) -> Result<(), String> {
    let shown = dir.display();
    fs::create_dir_all(dir).map_err(|error| format!("cannot make {shown}: {error}"))?;
    let mut entries = fs::read_dir(dir).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if entries.next().is_some() {
        return Err(format!(
            "{shown} is not empty: a sandbox removes its directory at the end, so give it a fresh one"
        ));
    }
    Ok(())
}

/// One process that the owner asked for.
struct Unit {
    id: u64,
    owns: Vec<PathBuf>,
    /// Set when the main process was reaped and only stragglers are awaited.
    ended: Option<(Exit, u64)>,
    /// Stragglers that were killed and not yet reaped: one that is dying no longer tells where it works.
    lingering: HashSet<i32>,
}

/// The keeper's state: who runs, by process id.
struct Keep {
    dir: PathBuf,
    own_pid: i32,
    program: PathBuf,
    units: HashMap<i32, Unit>,
    requests: Lines<BufReader<pipe::Receiver>>,
    child_ended: SignalStream,
    terminate: SignalStream,
}

impl Keep {
    fn begin(dir: PathBuf) -> io::Result<Self> {
        let input = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        Ok(Self {
            dir,
            own_pid: rustix::process::getpid().as_raw_nonzero().get(),
            program: std::env::current_exe()?,
            units: HashMap::new(),
            requests: BufReader::new(input).lines(),
            child_ended: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Serves until the owner's end of the pipe closes, then ends everything.
    async fn serve(&mut self) -> ExitCode {
        say(&Event::Ready);
        loop {
            tokio::select! {
                line = self.requests.next_line() => match line {
                    Ok(Some(line)) => self.obey(&line),
                    Ok(None) | Err(_) => break,
                },
                _ = self.child_ended.recv() => self.reap(),
                _ = self.terminate.recv() => break,
            }
        }
        self.end_everything().await
    }

    fn obey(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Request::Spawn { id, spec }) => match self.spawn(&spec) {
                Ok(pid) => {
                    self.units.insert(pid, Unit { id, owns: spec.owns, ended: None, lingering: HashSet::new() });
                    say(&Event::Spawned { id, pid });
                }
                Err(error) => say(&Event::NotSpawned { id, message: error.to_string() }),
            },
            Ok(Request::Signal { id, signal, reach }) => self.signal(id, signal, reach),
            Err(error) => tracing::error!(%error, line, "the owner sent what the keeper does not understand"),
        }
    }

    /// Forks the wrapper. The child is ours from the first instant: there is no moment in which it could be lost.
    fn spawn(&self, spec: &ProcessSpec) -> io::Result<i32> {
        let log = open_log(&spec.log)?;
        let identity = spec.identity.map_or_else(|| "-".to_owned(), |who| format!("{}:{}", who.uid, who.gid));
        let child = Command::new(&self.program)
            .arg("sandbox-part")
            .arg("launch")
            .arg(self.own_pid.to_string())
            .arg(identity)
            .arg(&spec.program)
            .args(&spec.args)
            .env_clear()
            .envs(ENV_PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(&spec.env)
            .current_dir(&spec.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        i32::try_from(child.id()).map_err(io::Error::other)
    }

    /// Signals a process that has not been reaped; an id can therefore never have passed to a stranger.
    fn signal(&self, id: u64, number: i32, reach: Reach) {
        let Some(signal) = Signal::from_named_raw(number) else {
            tracing::error!(number, "not a signal");
            return;
        };
        let Some((&main, _)) = self.units.iter().find(|(_, unit)| unit.id == id && unit.ended.is_none()) else {
            return;
        };
        let below = if reach == Reach::Tree { descendants_of(main) } else { Vec::new() };
        send(main, signal);
        for stat in below {
            send(stat.pid, signal);
        }
    }

    /// Reaps whoever ended, ours and adopted, and reports mains once their stragglers are gone too.
    fn reap(&mut self) {
        let mut reaped_any = false;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            reaped_any = true;
            let exit = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(number)) => Exit::Signal(number),
                (None, None) => continue,
            };
            let pid = pid.as_raw_nonzero().get();
            for unit in self.units.values_mut() {
                unit.lingering.remove(&pid);
            }
            if let Some(unit) = self.units.get_mut(&pid) {
                unit.ended = Some((exit, boottime_ns()));
            }
        }
        if reaped_any && self.units.values().any(|unit| unit.ended.is_some()) {
            self.settle();
        }
    }

    /// Kills what ended mains left behind, as the end of a container's first process ends the container.
    fn settle(&mut self) {
        let children = children_of(self.own_pid);
        let orphans: Vec<_> = children.iter().filter(|stat| !self.units.contains_key(&stat.pid)).collect();
        if orphans.iter().any(|stat| stat.state == 'Z') {
            // It ended after we reaped: its own signal is on the way and brings us back here.
            return;
        }
        let ended: Vec<i32> =
            self.units.iter().filter(|(_, unit)| unit.ended.is_some()).map(|(&main, _)| main).collect();
        for main in ended {
            let Some(unit) = self.units.get_mut(&main) else { continue };
            let own = |stat: &&&ProcStat| stat.session == main || unit.owns.iter().any(|dir| works_in(stat.pid, dir));
            let stragglers: Vec<i32> = orphans.iter().filter(own).map(|stat| stat.pid).collect();
            unit.lingering.extend(&stragglers);
            for pid in stragglers {
                send(pid, Signal::KILL);
            }
            if unit.lingering.is_empty()
                && let Some(Unit { id, ended: Some((exit, reaped_ns)), .. }) = self.units.remove(&main)
            {
                say(&Event::Exited { id, exit, reaped_ns });
            }
        }
    }

    /// The end: PostgreSQL by SIGQUIT, so that it takes its shared memory with it, all else by SIGKILL; then the
    /// segments of those killed before, then the directory.
    async fn end_everything(&mut self) -> ExitCode {
        let clean = self.quiet(POSTGRES_GRACE, |all, stat| {
            let parent_is_postgres = all.iter().any(|other| other.pid == stat.ppid && other.comm == "postgres");
            match (stat.comm == "postgres", parent_is_postgres) {
                (true, true) => None,
                (true, false) => Some(Signal::QUIT),
                (false, _) => Some(Signal::KILL),
            }
        });
        let quiet = clean.await || self.quiet(KILL_GRACE, |_, _| Some(Signal::KILL)).await;
        let released = release_segments(&self.dir);
        let removed = fs::remove_dir_all(&self.dir);
        match (quiet, released, removed) {
            (true, Ok(_), Ok(())) => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    /// Sends every descendant the signal chosen for it, again whenever one was reaped (its own children have then come
    /// to us), until none is left or the time is over. True when none is left.
    async fn quiet(&mut self, grace: Duration, choose: impl Fn(&[ProcStat], &ProcStat) -> Option<Signal>) -> bool {
        let deadline = tokio::time::sleep(grace);
        tokio::pin!(deadline);
        loop {
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            let all = descendants_of(self.own_pid);
            if all.is_empty() {
                return true;
            }
            for stat in all.iter().filter(|stat| stat.state != 'Z') {
                if let Some(chosen) = choose(&all, stat) {
                    send(stat.pid, chosen);
                    if chosen != Signal::KILL {
                        // A stopped process would not act on it before it is continued.
                        send(stat.pid, Signal::CONT);
                    }
                }
            }
            tokio::select! {
                _ = self.child_ended.recv() => {}
                () = &mut deadline => return false,
            }
        }
    }
}

/// Sends a signal; a process that has just ended is as good as one that obeyed.
fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}
