//! Runners: the program itself, in processes of their own, as a person starts them.

use firedrill::store::Journal;
use firedrill_core::event::{Event, Record};
use firedrill_core::report::{Report, Verdict};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_firedrill");
/// Far more than anything here takes, on any machine.
pub const SOON: Duration = Duration::from_mins(1);
/// From one look to the next where nothing announces what is awaited.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A command of firedrill with a journal of its own.
#[derive(Clone, Debug)]
pub struct Runner {
    dir: PathBuf,
    estate: PathBuf,
}

/// What came of a command.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The report that `--json` prints.
    pub fn report(&self) -> Report {
        Report::from_json(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The report, which must be of this verdict and exit code.
    pub fn verdict(&self, verdict: Verdict, code: i32) -> Report {
        let report = self.report();
        let judged = (report.judgement.verdict, self.code());
        assert_eq!(judged, (verdict, Some(code)), "{:#?}\n{}", report.judgement, self.stderr);
        report
    }
}

/// A command that is under way.
#[derive(Debug)]
pub struct Running {
    child: Child,
    state: PathBuf,
}

impl Runner {
    /// With a journal called `name` beside the files in `place`: another name is another laptop.
    pub fn new(place: &impl AsRef<Path>, name: &str) -> Self {
        let place = place.as_ref();
        Self { dir: place.join(name), estate: place.join("estate.yaml") }
    }

    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Where reports are filed.
    pub fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    pub fn command(&self, args: &[&dyn AsRef<OsStr>]) -> Command {
        self.wrapped(Command::new(PROGRAM), args)
    }

    /// The same, as arguments of another program.
    pub fn wrapped(&self, mut command: Command, args: &[&dyn AsRef<OsStr>]) -> Command {
        command.args(args.iter().map(AsRef::as_ref)).arg("--state").arg(self.state()).arg("--json");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// The command of a drill, not yet started.
    pub fn drill(&self, experiment: &Path) -> Command {
        self.command(&[&"run", &experiment, &"--estate", &self.estate, &"--out", &self.out()])
    }

    pub fn start(&self, mut command: Command) -> Running {
        Running { child: command.spawn().unwrap(), state: self.state() }
    }

    pub async fn ended(&self, command: Command) -> Ended {
        self.start(command).ended().await
    }

    pub async fn run(&self, experiment: &Path) -> Ended {
        self.ended(self.drill(experiment)).await
    }

    pub async fn undo(&self) -> Ended {
        self.ended(self.command(&[&"undo", &"--out", &self.out()])).await
    }

    pub async fn status(&self) -> Ended {
        self.ended(self.command(&[&"status"])).await
    }

    pub async fn plan(&self, experiment: &Path) -> Ended {
        self.ended(self.command(&[&"plan", &experiment, &"--estate", &self.estate])).await
    }

    pub async fn journal(&self) -> Journal {
        Journal::open(&self.state()).await.unwrap()
    }
}

impl Running {
    pub async fn ended(self) -> Ended {
        let Ok(output) = tokio::time::timeout(2 * SOON, self.child.wait_with_output()).await else {
            panic!("it does not end: {:#?}", newest(&self.state).await.iter().map(|r| &r.event).collect::<Vec<_>>());
        };
        let output = output.unwrap();
        Ended {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Waits until the newest drill of its journal has written down what is asked for; its records.
    pub async fn until(&mut self, told: impl Fn(&Event) -> bool) -> Vec<Record> {
        let looks = async {
            loop {
                let records = newest(&self.state).await;
                if records.iter().any(|r| told(&r.event)) {
                    return records;
                }
                if let Some(status) = self.child.try_wait().unwrap() {
                    let mut said = String::new();
                    self.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
                    let events: Vec<&Event> = records.iter().map(|r| &r.event).collect();
                    panic!("it ended ({status}) before it came to that: {said}\n{events:#?}");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let Ok(records) = tokio::time::timeout(SOON, looks).await else {
            panic!(
                "it does not come to that: {:#?}",
                newest(&self.state).await.iter().map(|r| &r.event).collect::<Vec<_>>()
            );
        };
        records
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().expect("it runs")).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

/// The records of the newest drill of a journal; none while there is none.
async fn newest(state: &Path) -> Vec<Record> {
    // The journal is made by its runner, not by who looks.
    if !state.join("journal.sqlite").exists() {
        return Vec::new();
    }
    let Ok(journal) = Journal::open(state).await else { return Vec::new() };
    let Ok(drills) = journal.drills().await else { return Vec::new() };
    match drills.first() {
        Some(row) => journal.records(&row.drill).await.map(|(records, _)| records).unwrap_or_default(),
        None => Vec::new(),
    }
}
