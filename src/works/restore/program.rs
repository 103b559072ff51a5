//! Runs one of PostgreSQL's programs: in a process group of its own, as an account that is not root, with a deadline,
//! and what it says kept within bounds.
//!
//! Each is started by a thread that stays with it, and asks to be killed with that thread (`setpriv --pdeathsig`, where
//! the machine has it): a runner that is killed leaves no `pg_restore` behind.

use crate::scratch::account::Account;
use crate::scratch::process::leash;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its path.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What its environment has beside PATH, LANG and HOME; secrets go here, never into arguments.
    pub env: Vec<(String, String)>,
    /// As whom it runs.
    pub account: Account,
    /// Where it runs.
    pub directory: PathBuf,
}

impl Program {
    /// A program with arguments.
    pub fn new(path: PathBuf, args: &[&(dyn AsRef<OsStr> + Sync)], account: &Account, directory: &Path) -> Self {
        Self {
            path,
            args: args.iter().map(|a| a.as_ref().to_owned()).collect(),
            env: Vec::new(),
            account: account.clone(),
            directory: directory.to_owned(),
        }
    }

    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn command(&self) -> Command {
        let mut command = match leash() {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.path);
                command
            }
            None => Command::new(&self.path),
        };
        command.args(&self.args).current_dir(&self.directory).env_clear();
        command
            .env("LC_ALL", "C")
            .env("HOME", &self.directory)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        self.account.apply(&mut command);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status, or the signal that ended it.
    pub status: Result<i32, i32>,
    /// How many bytes it wrote to its standard output.
    pub stdout_bytes: u64,
    /// The first of them, up to [`KEPT_BYTES`].
    pub stdout: String,
    /// The lines of its standard error that speak of trouble, or its last ones, up to [`KEPT_BYTES`].
    pub said: String,
}

impl Ended {
    /// Its end in words (`exit status 1`).
    pub fn how(&self) -> String {
        match self.status {
            Ok(code) => format!("exit status {code}"),
            Err(signal) => format!("killed by signal {signal}"),
        }
    }
}

/// Why there is no end to report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started.
    #[error("could not start {program}: {why}")]
    Start {
        /// Which.
        program: String,
        /// What the system said.
        why: String,
    },
    /// The deadline passed, and it was killed.
    #[error("{program} was not done after {after:?} and was stopped")]
    Deadline {
        /// Which.
        program: String,
        /// The deadline.
        after: Duration,
    },
    /// It was stopped from outside.
    #[error("{program} was stopped")]
    Cancelled {
        /// Which.
        program: String,
    },
}

/// How much of each stream is kept, in bytes.
pub const KEPT_BYTES: usize = 64 << 10;
/// No line is longer; the rest of one is passed over.
const LINE_BYTES_MAX: u64 = 8 << 10;
/// How many lines of trouble are kept, the first ones.
const TROUBLE_LINES_MAX: usize = 40;

/// Runs a program to its end. `on_line` hears every line of its standard error.
///
/// # Errors
/// See [`ProgramError`]. A bad exit status is no error here. When this returns, or is dropped, nothing of it is left.
pub async fn run(
    program: Program,
    within: Option<Duration>,
    cancel: &CancellationToken,
    on_line: impl FnMut(&str) + Send + 'static,
) -> Result<Ended, ProgramError> {
    let name = program.name();
    let group = Group::default();
    // Dropping this future kills the group: a cancelled phase leaves nothing running.
    let _killer = KillOnDrop(group.clone());
    let (tell, mut told) = oneshot::channel();
    let started = group.clone();
    std::thread::spawn(move || {
        let _ = tell.send(supervise(&program, &started, on_line));
    });
    let deadline = async {
        match within {
            Some(within) => tokio::time::sleep(within).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = &mut told => match ended {
            Ok(result) => result,
            Err(_) => Err(ProgramError::Start { program: name, why: "its thread ended".to_owned() }),
        },
        () = deadline => {
            group.kill();
            let _ = told.await;
            Err(ProgramError::Deadline { program: name, after: within.unwrap_or_default() })
        }
        () = cancel.cancelled() => {
            group.kill();
            let _ = told.await;
            Err(ProgramError::Cancelled { program: name })
        }
    }
}

/// The process group, as long as its leader is not reaped: afterwards the number may be another's.
#[derive(Clone, Default)]
struct Group(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    #[default]
    Awaited,
    Running(Pid),
    /// Killed before it was started, or reaped.
    Over,
}

impl Group {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self) {
        let mut state = self.lock();
        match *state {
            // The group may be gone already: nothing is left to kill then.
            State::Running(pid) => {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            State::Awaited => *state = State::Over,
            State::Over => {}
        }
    }
}

struct KillOnDrop(Group);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.kill();
    }
}

fn supervise(program: &Program, group: &Group, on_line: impl FnMut(&str) + Send) -> Result<Ended, ProgramError> {
    let name = program.name();
    let start = |why: String| ProgramError::Start { program: name.clone(), why };
    let mut child = {
        let mut state = group.lock();
        if matches!(*state, State::Over) {
            return Err(ProgramError::Cancelled { program: name.clone() });
        }
        let child = program.command().spawn().map_err(|e| start(format!("{}: {e}", program.path.display())))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        *state = pid.map_or(State::Over, State::Running);
        child
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (counted, said) = std::thread::scope(|scope| {
        let counting = scope.spawn(|| stdout.map(count).unwrap_or_default());
        let said = stderr.map(|s| listen(s, on_line)).unwrap_or_default();
        (counting.join().unwrap_or_default(), said)
    });
    let status = reap(&mut child, group).map_err(|e| start(e.to_string()))?;
    let status = status.code().ok_or_else(|| status.signal().unwrap_or_default());
    Ok(Ended { status, stdout_bytes: counted.0, stdout: counted.1, said })
}

/// Waits without reaping, closes the group for killers, kills what is left of it, and only then reaps.
fn reap(child: &mut Child, group: &Group) -> std::io::Result<ExitStatus> {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    }
    let mut state = group.lock();
    if let State::Running(pid) = *state {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    *state = State::Over;
    child.wait()
}

fn count(mut stream: impl Read) -> (u64, String) {
    let mut kept = Vec::new();
    let mut total = 0;
    let mut buffer = vec![0_u8; 256 << 10];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        total += length as u64;
        let room = KEPT_BYTES.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(&buffer[..room]);
    }
    (total, String::from_utf8_lossy(&kept).into_owned())
}

fn listen(stream: impl Read, mut on_line: impl FnMut(&str)) -> String {
    let mut reader = BufReader::new(stream);
    let mut trouble: Vec<String> = Vec::new();
    let mut last = std::collections::VecDeque::new();
    let mut last_bytes = 0;
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        on_line(&line);
        let is_trouble =
            ["error:", "fatal:", "warning:", "ERROR:", "FATAL:", "DETAIL:"].iter().any(|w| line.contains(w));
        if is_trouble && trouble.len() < TROUBLE_LINES_MAX {
            trouble.push(line.clone());
        }
        last_bytes += line.len() + 1;
        last.push_back(line);
        while last_bytes > KEPT_BYTES / 8 {
            last_bytes -= last.pop_front().map_or(last_bytes, |l| l.len() + 1);
        }
    }
    let mut text = if trouble.is_empty() { Vec::from(last) } else { trouble }.join("\n");
    if text.len() > KEPT_BYTES {
        let end = (0..=KEPT_BYTES).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new(PathBuf::from("/bin/sh"), &[&"-c", &script], &Account::Own, Path::new("/"))
    }

    #[tokio::test]
    async fn what_it_says_and_how_it_ends_is_kept() {
        let script = "echo one; for i in 1 2 3; do echo note $i >&2; done; echo 'x: error: bad' >&2; exit 3";
        let ended = run(shell(script), None, &CancellationToken::new(), |_| {}).await.unwrap();
        assert_eq!((ended.status, ended.stdout_bytes, ended.stdout.as_str()), (Ok(3), 4, "one\n"));
        assert_eq!(ended.said, "x: error: bad");
    }

    #[tokio::test]
    async fn the_deadline_ends_the_whole_group() {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let program = shell("sleep 1000 & echo $! >&2; wait");
        let cancel = CancellationToken::new();
        let running = run(program, Some(Duration::from_millis(700)), &cancel, move |line| {
            let _ = tell.send(line.to_owned());
        });
        let error = running.await.unwrap_err();
        assert!(matches!(error, ProgramError::Deadline { .. }), "{error}");
        let sleeper: i32 = told.recv().await.unwrap().parse().unwrap();
        // The group got SIGKILL before the leader was reaped; that the grandchild has died of it may come a little later.
        let pid = rustix::process::Pid::from_raw(sleeper).unwrap();
        if let Ok(handle) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
            let mut dies = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
            let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
            assert_eq!(rustix::event::poll(&mut dies, Some(&limit)).unwrap(), 1, "it lives on");
        }
        // Dead, or a zombie of init.
        let stat = std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }

    #[tokio::test]
    async fn cancelling_stops_it() {
        let cancel = CancellationToken::new();
        let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
        let token = cancel.clone();
        tokio::spawn(async move {
            has_started.recv().await;
            token.cancel();
        });
        let program = shell("echo up >&2; sleep 1000");
        let ended = run(program, None, &cancel, move |_| {
            let _ = started.send(());
        });
        let ended = ended.await;
        assert!(matches!(ended, Err(ProgramError::Cancelled { .. })));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let program = Program::new(PathBuf::from("/nowhere/pg_restore"), &[], &Account::Own, Path::new("/"));
        let ended = run(program, None, &CancellationToken::new(), |_| {}).await;
        // With a leash in between, it is the leash that says so.
        let said = match ended {
            Err(error) => error.to_string(),
            Ok(ended) => ended.said,
        };
        assert!(said.contains("/nowhere/pg_restore"), "{said}");
    }
}
