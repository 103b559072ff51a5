//! The command line: words in, exit code out. The only place that prints.

mod check;
mod daemon;
mod dead_man;
mod demo;
mod doctor;
mod exit;
mod file;
mod halt;
mod live;
mod logging;
mod next;
mod out;
mod plan;
mod records;
mod run;
mod signals;
mod undo;

use clap::{CommandFactory, Parser, Subcommand};
use exit::Exit;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Disaster-recovery drills that prove what they showed.
///
/// Exit codes: 0 PASS, 1 FAIL, 2 usage or an invalid file, 3 INCONCLUSIVE, 4 ABORTED, 5 REFUSED,
/// 6 something of a fault is still there (over all others), 70 a bug.
#[derive(Debug, Parser)]
#[command(name = "firedrill", version, arg_required_else_help = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
    /// Where the journal is kept [default: `$XDG_STATE_HOME/firedrill`, or `~/.local/state/firedrill`]
    #[arg(long, global = true, env = "FIREDRILL_STATE", value_name = "DIR")]
    state: Option<PathBuf>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Four drills against an estate of its own on this machine: PostgreSQL, S3, a small Kubernetes API
    Demo(demo::Demo),
    /// Are these files right? Experiments, estates, or directories of them
    Check(check::Check),
    /// What would be changed, before and after. Touches nothing
    Plan(plan::Plan),
    /// Is everything there that the drills need? Touches nothing
    Doctor(doctor::Doctor),
    /// Run the drill of an experiment
    Run(run::Run),
    /// Run drills on time, for years
    Daemon(daemon::Daemon),
    /// When drills are due
    Next(next::Next),
    /// No injection anywhere until resumed; what is under way is undone
    Halt(halt::Halt),
    /// Lift the halt
    Resume(halt::Resume),
    /// Put back what is still owed of drills whose runner died, and report them
    Undo(undo::Undo),
    /// What is under way, and what is owed
    Status(records::Status),
    /// The drills of this journal
    History(records::History),
    /// The report of a drill, again
    Report(records::Report),
    /// The JSON Schemas of estates, experiments and reports
    Schema(check::Schema),
    /// Completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    #[command(name = "dead-man", hide = true)]
    DeadMan(dead_man::DeadMan),
    #[command(name = "scratch-keeper", hide = true)]
    ScratchKeeper {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    #[command(name = "node-agent", hide = true)]
    NodeAgent(crate::agent::NodeAgent),
    #[command(name = "sandbox-part", hide = true)]
    SandboxPart {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// What every command may need to know.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) state: Option<PathBuf>,
    pub(crate) form: Form,
}

/// For whom output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Setting {
    /// The state directory.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.state.clone().unwrap_or_else(|| {
            let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| ".".into())).join(".local/state");
            std::env::var_os("XDG_STATE_HOME").map_or_else(home, PathBuf::from).join("firedrill")
        })
    }
}

/// What the command line takes, for documentation and its tests.
pub fn command() -> clap::Command {
    Line::command()
}

/// Does what a command line says.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match Line::try_parse_from(args) {
        Ok(line) => line,
        Err(e) => {
            let code = if e.use_stderr() { Exit::Usage } else { Exit::Pass };
            // A closed pipe is not our error.
            let _ = e.print();
            return code.into();
        }
    };
    let form = if line.json { Form::Json } else { Form::Text };
    let setting = Setting { state: line.state, form };
    match line.command {
        Command::SandboxPart { args } => return firedrill_sandbox::part_main(args),
        Command::ScratchKeeper { args } => return crate::scratch::scratch_keeper_main(args),
        Command::NodeAgent(agent) => runtime(|| node_agent(agent)),
        Command::Check(c) => c.go(&setting),
        Command::Schema(c) => c.go(),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Line::command(), "firedrill", &mut text);
            out::text(&String::from_utf8_lossy(&text));
            Exit::Pass
        }
        Command::DeadMan(c) => runtime(|| c.go()),
        Command::Demo(c) => runtime(|| c.go(&setting)),
        Command::Plan(c) => runtime(|| c.go(&setting)),
        Command::Doctor(c) => runtime(|| c.go(&setting)),
        Command::Run(c) => runtime(|| c.go(&setting)),
        Command::Daemon(c) => serving(|| c.go(&setting)),
        Command::Next(c) => c.go(&setting),
        Command::Halt(c) => c.go(&setting),
        Command::Resume(_) => halt::Resume::go(&setting),
        Command::Undo(c) => runtime(|| c.go(&setting)),
        Command::Status(c) => runtime(|| c.go(&setting)),
        Command::History(c) => runtime(|| c.go(&setting)),
        Command::Report(c) => runtime(|| c.go(&setting)),
    }
    .into()
}

async fn node_agent(agent: crate::agent::NodeAgent) -> Exit {
    let mut stops = signals::Stops::hear("the agent only ends when its time is over");
    match agent.serve(stops.next()).await {
        Ok(()) => Exit::Pass,
        Err(why) => {
            out::error(&why);
            Exit::Refused
        }
    }
}

fn runtime<F: Future<Output = Exit>>(command: impl FnOnce() -> F) -> Exit {
    logging::begin(logging::QUIET);
    on_threads(command)
}

/// The same, for what runs for years and is followed by its log.
fn serving<F: Future<Output = Exit>>(command: impl FnOnce() -> F) -> Exit {
    logging::begin(logging::FOLLOWED);
    on_threads(command)
}

fn on_threads<F: Future<Output = Exit>>(command: impl FnOnce() -> F) -> Exit {
    signals::die_with_parent();
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(command()),
        Err(e) => {
            out::error(&format!("the system gives no threads: {e}"));
            Exit::Refused
        }
    }
}
