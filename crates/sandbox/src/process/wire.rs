//! What owner and keeper say to each other: one JSON object a line, requests down, events up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The user and group a program runs as, when it must not run as we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric primary group id; supplementary groups are dropped.
    pub gid: u32,
}

/// A program to run under the keeper, in a session of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// A path, or a name looked up in `PATH`.
    pub program: String,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// The whole environment besides `PATH`, `HOME`, `LANG` and `TZ`, which the keeper passes on: what happens to be set
    /// in the owner's shell (`PGHOST`, `KUBECONFIG`) must not steer the estate.
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub dir: PathBuf,
    /// Directories that are this program's own: processes that left its session are recognised as its by working there,
    /// and end with it.
    pub owns: Vec<PathBuf>,
    /// Standard output and error are appended here.
    pub log: PathBuf,
    /// Drop to this user and group before the program starts.
    pub identity: Option<Identity>,
}

impl ProcessSpec {
    /// A program without arguments, running in `dir`, which is its own, and logging to `log`.
    pub fn new(program: impl Into<String>, dir: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            owns: vec![dir.clone()],
            dir,
            log: log.into(),
            identity: None,
        }
    }

    /// The part `name` of the executable `program`: `program sandbox-part name`.
    pub fn part(program: impl Into<String>, name: &str, dir: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self::new(program, dir, log).arg("sandbox-part").arg(name)
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets one variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Drops to `identity` before the program starts.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }
}

/// Whom a signal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The program itself, as a container runtime signals process 1 of a container.
    Main,
    /// The program and everything descended from it, whatever session it moved to.
    Tree,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The keeper went away before it could say; the process was killed.
    Lost,
}

impl Exit {
    /// The code a shell or a container runtime reports: 128 + the signal's number for a signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
            Self::Lost => 255,
        }
    }
}

/// A request of the owner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Fork and exec.
    Spawn {
        /// The owner's name for the process.
        id: u64,
        /// What to run.
        spec: Box<ProcessSpec>,
    },
    /// Send a signal; silently nothing when the process has been reaped.
    Signal {
        /// The owner's name for the process.
        id: u64,
        /// The signal's number.
        signal: i32,
        /// Whom it reaches.
        reach: Reach,
    },
}

/// What the keeper reports.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    /// The directory exists and the keeper is listening.
    Ready,
    /// The keeper could not start; it has ended.
    Failed {
        /// Why, for a person.
        message: String,
    },
    /// A process runs.
    Spawned {
        /// The owner's name for it.
        id: u64,
        /// Its process id, which is also its session's and its group's.
        pid: i32,
    },
    /// A process could not be started.
    NotSpawned {
        /// The owner's name for it.
        id: u64,
        /// Why, for a person.
        message: String,
    },
    /// A process was reaped, and nothing of its session or working directory is left running.
    Exited {
        /// The owner's name for it.
        id: u64,
        /// How it ended.
        exit: Exit,
        /// When the keeper reaped it, `CLOCK_BOOTTIME`.
        reaped_ns: u64,
    },
}
