//! The owner's handle on the keeper: spawn, signal, await, stop.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};

use super::procfs::remains_of;
use super::wire::{Event, Exit, ProcessSpec, Reach, Request};
use super::{descendants_of, start_ticks};

/// How long a keeper may take to end everything before `stop` reports it as hanging.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Where a keeper lives and which executable it is.
#[derive(Debug, Clone)]
pub struct KeeperOptions {
    /// The sandbox's directory: made by the keeper (or empty), removed by it at the end.
    pub dir: PathBuf,
    /// The executable that answers `sandbox-part keeper` and `sandbox-part launch`.
    pub program: PathBuf,
}

/// Why the keeper could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The keeper process itself did not start.
    #[error("cannot start `{program} sandbox-part keeper`: {why}")]
    Start {
        /// The executable.
        program: String,
        /// What happened instead.
        why: String,
    },
    /// A program could not be started.
    #[error("cannot start `{program}`: {why}")]
    Spawn {
        /// The program.
        program: String,
        /// The system's reason.
        why: String,
    },
    /// The keeper is no longer there; with it went every process it kept.
    #[error("the keeper has ended, and every process of the sandbox with it")]
    Gone,
    /// Something is left after the end.
    #[error("the sandbox ended with something left behind: {what}")]
    LeftBehind {
        /// What, for a person.
        what: String,
    },
}

/// What `stop` has verified to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Processes that were still running when the end began.
    pub ended: usize,
}

/// The owner's handle. When the last clone of it goes, by whatever way, the keeper ends everything.
#[derive(Debug, Clone)]
pub struct Keeper {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    program: PathBuf,
    pid: i32,
    requests: mpsc::UnboundedSender<Request>,
    next_id: AtomicU64,
    book: Arc<Mutex<Book>>,
    child: tokio::sync::Mutex<Child>,
    gone: watch::Receiver<bool>,
}

/// Who is being started and who runs, by the owner's ids.
#[derive(Debug, Default)]
struct Book {
    starting: HashMap<u64, Starting>,
    running: HashMap<u64, Running>,
    gone: bool,
}

/// A process asked for; the keeper has not answered yet.
#[derive(Debug)]
struct Starting {
    answer: oneshot::Sender<Result<i32, String>>,
    ended: watch::Sender<Option<Ended>>,
}

/// A process that has not been reaped.
#[derive(Debug)]
struct Running {
    pid: i32,
    started: Option<u64>,
    ended: watch::Sender<Option<Ended>>,
}

/// How and when a process ended.
#[derive(Debug, Clone, Copy)]
struct Ended {
    exit: Exit,
    reaped_ns: u64,
}

impl Keeper {
    /// Starts the keeper process and waits until it listens. The directory then exists.
    pub async fn start(options: KeeperOptions) -> Result<Self, KeeperError> {
        let program = options.program.display().to_string();
        let failed = |why: String| KeeperError::Start { program: program.clone(), why };
        let mut child = Command::new(&options.program)
            .arg("sandbox-part")
            .arg("keeper")
            .arg(&options.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("no pipes to it".to_owned()));
        };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
        let mut lines = BufReader::new(output).lines();
        let first = lines.next_line().await.ok().flatten().unwrap_or_default();
        match serde_json::from_str(&first) {
            Ok(Event::Ready) => {}
            Ok(Event::Failed { message }) => return Err(failed(message)),
            Ok(_) | Err(_) => return Err(failed(format!("expected it to report itself ready, it said `{first}`"))),
        }
        let (requests, queue) = mpsc::unbounded_channel();
        let (gone_sender, gone) = watch::channel(false);
        let book = Arc::new(Mutex::new(Book::default()));
        tokio::spawn(write_requests(input, queue));
        tokio::spawn(read_events(lines, Arc::clone(&book), options.dir.clone(), gone_sender));
        let inner = Inner {
            dir: options.dir,
            program: options.program,
            pid,
            requests,
            next_id: AtomicU64::new(1),
            book,
            child: tokio::sync::Mutex::new(child),
            gone,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The directory that goes when the keeper goes.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The executable whose parts this keeper runs.
    pub fn program(&self) -> &Path {
        &self.inner.program
    }

    /// The keeper's process id: the ancestor of every process of the sandbox.
    pub fn pid(&self) -> i32 {
        self.inner.pid
    }

    /// Runs a program as a child of the keeper, in a session of its own.
    pub async fn spawn(&self, spec: ProcessSpec) -> Result<Process, KeeperError> {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let program = spec.program.clone();
        let (answer, answered) = oneshot::channel();
        let (ended_sender, ended) = watch::channel(None);
        {
            let mut book = lock(&self.inner.book);
            if book.gone {
                return Err(KeeperError::Gone);
            }
            book.starting.insert(id, Starting { answer, ended: ended_sender });
        }
        let request = Request::Spawn { id, spec: Box::new(spec) };
        self.inner.requests.send(request).map_err(|_| KeeperError::Gone)?;
        match answered.await {
            Ok(Ok(pid)) => Ok(Process { id, pid, requests: self.inner.requests.clone(), ended }),
            Ok(Err(why)) => Err(KeeperError::Spawn { program, why }),
            Err(_) => Err(KeeperError::Gone),
        }
    }

    /// Resolves when the keeper process has ended, whatever ended it. Everything it kept has then been killed.
    pub async fn gone(&self) {
        let mut gone = self.inner.gone.clone();
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// Ends everything and verifies that no process and no file is left.
    pub async fn stop(self) -> Result<Stopped, KeeperError> {
        let left_behind = |what: String| KeeperError::LeftBehind { what };
        let ended = descendants_of(self.inner.pid).len();
        let mut child = self.inner.child.lock().await;
        // SIGTERM, not the closing of the pipe: other clones of the handle and open `Process`es may hold that open.
        if let Some(pid) = Pid::from_raw(self.inner.pid)
            && !lock(&self.inner.book).gone
        {
            let _ = kill_process(pid, Signal::TERM);
        }
        let status = tokio::time::timeout(STOP_TIMEOUT, child.wait())
            .await
            .map_err(|_| left_behind(format!("the keeper (process {}) does not end", self.inner.pid)))?
            .map_err(|error| left_behind(format!("the keeper's end is not known: {error}")))?;
        if self.inner.dir.exists() {
            return Err(left_behind(format!("{} could not be removed", self.inner.dir.display())));
        }
        if !status.success() {
            return Err(left_behind(format!("the keeper ended with {status}")));
        }
        Ok(Stopped { ended })
    }
}

/// A process under the keeper. Dropping the handle does not end it.
#[derive(Debug, Clone)]
pub struct Process {
    id: u64,
    pid: i32,
    requests: mpsc::UnboundedSender<Request>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Process {
    /// Its process id, which is also its session's and its group's.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends a signal, unless the process has been reaped: an id never passes to a stranger unnoticed.
    pub fn signal(&self, signal: Signal, reach: Reach) {
        // A keeper that is gone has taken the process along.
        let _ = self.requests.send(Request::Signal { id: self.id, signal: signal.as_raw(), reach });
    }

    /// How it ended, or `None` while it runs.
    pub fn exit(&self) -> Option<Exit> {
        self.ended.borrow().map(|ended| ended.exit)
    }

    /// Waits for its end. Nothing of its session or working directory runs any more then.
    pub async fn wait(&self) -> Exit {
        self.wait_stamped().await.0
    }

    /// As [`Process::wait`], with the `CLOCK_BOOTTIME` at which it was reaped.
    pub async fn wait_stamped(&self) -> (Exit, u64) {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(found) => found.map_or((Exit::Lost, 0), |ended| (ended.exit, ended.reaped_ns)),
            Err(_) => (Exit::Lost, super::boottime_ns()),
        }
    }

    /// SIGTERM to the program, SIGKILL to the whole tree when it has not ended within `grace`.
    pub async fn stop(&self, grace: Duration) -> Exit {
        self.signal(Signal::TERM, Reach::Main);
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(exit) => exit,
            Err(_) => self.kill().await,
        }
    }

    /// SIGKILL to the whole tree, and its end.
    pub async fn kill(&self) -> Exit {
        self.signal(Signal::KILL, Reach::Tree);
        self.wait().await
    }
}

/// The book is plain data: a panic elsewhere leaves it usable.
fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write_requests(mut input: ChildStdin, mut queue: mpsc::UnboundedReceiver<Request>) {
    while let Some(request) = queue.recv().await {
        let Ok(mut line) = serde_json::to_vec(&request) else { continue };
        line.push(b'\n');
        if input.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn read_events(
    mut lines: tokio::io::Lines<BufReader<ChildStdout>>,
    book: Arc<Mutex<Book>>,
    dir: PathBuf,
    gone: watch::Sender<bool>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(event) => hear(&mut lock(&book), event),
            Err(error) => tracing::error!(%error, line, "the keeper said what its owner does not understand"),
        }
    }
    kill_survivors(&mut lock(&book), &dir);
    gone.send_replace(true);
}

fn hear(book: &mut Book, event: Event) {
    match event {
        Event::Spawned { id, pid } => {
            if let Some(Starting { answer, ended }) = book.starting.remove(&id) {
                book.running.insert(id, Running { pid, started: start_ticks(pid), ended });
                let _ = answer.send(Ok(pid));
            }
        }
        Event::NotSpawned { id, message } => {
            if let Some(starting) = book.starting.remove(&id) {
                let _ = starting.answer.send(Err(message));
            }
        }
        Event::Exited { id, exit, reaped_ns } => {
            if let Some(running) = book.running.remove(&id) {
                running.ended.send_replace(Some(Ended { exit, reaped_ns }));
            }
        }
        Event::Ready | Event::Failed { .. } => {}
    }
}

/// A keeper that was itself killed cannot clean up: then the owner does, by process id *and* start time. The leash may
/// have ended the main processes already, and with them the tree, so sessions and directories are gone by as well.
fn kill_survivors(book: &mut Book, dir: &Path) {
    book.gone = true;
    book.starting.clear();
    let running: Vec<Running> = book.running.drain().map(|(_, running)| running).collect();
    let same = |running: &&Running| start_ticks(running.pid).is_none_or(|now| running.started == Some(now));
    let mains: HashSet<i32> = running.iter().filter(same).map(|running| running.pid).collect();
    let below = mains.iter().flat_map(|&main| descendants_of(main)).collect::<Vec<_>>();
    for stat in below.into_iter().chain(remains_of(&mains, dir)) {
        if let Some(pid) = Pid::from_raw(stat.pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    for running in running {
        running.ended.send_replace(Some(Ended { exit: Exit::Lost, reaped_ns: super::boottime_ns() }));
    }
}
