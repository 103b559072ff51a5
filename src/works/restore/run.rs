//! The whole restore, phase by phase, into one record: what the runner calls.

use super::archive::Contents;
use super::fetch::{self, FetchError, FetchPlan};
use super::find::{self, FindPlan};
use super::load::{self, BadEnd, LoadPlan};
use super::phase::{Progress, Timer};
use super::program::ProgramError;
use super::stage::{self, Destination, StageError};
use super::stage_server::ReadyServer;
use super::validate::{self, ValidatePlan};
use super::verify::{self, VerifyPlan, schema_and_table};
use crate::faults::restore_backup::RestoreChecks;
use crate::scratch::Scratch;
use crate::scratch::binaries::Binaries;
use crate::spec::estate::Tuning;
use crate::targets::backups::{BackupStore, BackupsAccess};
use crate::targets::staging::application_name;
use firedrill_core::restore::{PhaseName, RestoreRecord, Stopped};
use firedrill_core::time::Known;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Where it goes.
#[derive(Clone, Debug)]
pub enum Into {
    /// A server in the scratch itself.
    Scratch {
        /// How it is set up.
        tuning: Tuning,
    },
    /// A server that is there already, behind every guard: they are asked again just before the first write. The scratch
    /// then holds only the download.
    Server(Box<ReadyServer>),
}

/// Everything a restore needs to know.
#[derive(Clone, Debug)]
pub struct RestoreJob {
    /// Where the backups are.
    pub access: BackupsAccess,
    /// Which one.
    pub find: FindPlan,
    /// How it is fetched.
    pub fetch: FetchPlan,
    /// Where it goes.
    pub into: Into,
    /// Where PostgreSQL's programs are, when the estate names it.
    pub binaries: Option<PathBuf>,
    /// How many jobs; the machine's cores when `None`.
    pub jobs: Option<u16>,
    /// What the copy must answer.
    pub checks: RestoreChecks,
    /// The drill, for names that others see.
    pub drill: String,
    /// When to give up.
    pub within: Option<Duration>,
}

/// Restores. Whatever happens, the record says how far it came, why it ended there, and how long each phase took.
///
/// The scratch stays as it is afterwards, for whoever made it to end.
pub async fn restore(
    job: &RestoreJob,
    scratch: &mut Scratch,
    progress: &Progress,
    cancel: &CancellationToken,
) -> RestoreRecord {
    let mut run = Run {
        job,
        scratch,
        progress,
        cancel,
        until: job.within.map(|within| Instant::now() + within),
        record: RestoreRecord::new(job.find.reference_wall_ns),
    };
    if let Err(stopped) = Box::pin(run.phases()).await {
        run.record.stopped = Some(stopped);
    }
    run.record
}

struct Run<'a> {
    job: &'a RestoreJob,
    scratch: &'a mut Scratch,
    progress: &'a Progress,
    cancel: &'a CancellationToken,
    until: Option<Instant>,
    record: RestoreRecord,
}

/// What may end a phase before its end.
struct Limits {
    timer: Timer,
    cancel: CancellationToken,
    left: Option<Duration>,
    late: Stopped,
}

impl Limits {
    /// Does the work of the phase, unless it is stopped or late. What it left running ends as its future is dropped.
    async fn hold<T>(&self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let deadline = async {
            match self.left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stopped::Cancelled),
            () = deadline => Err(self.late.clone()),
            outcome = work => outcome,
        }
    }
}

/// Bytes a phase moved, and what it did.
type Outcome<T> = Result<(T, Option<u64>, String), Stopped>;

impl Run<'_> {
    async fn phases(&mut self) -> Result<(), Stopped> {
        let store = BackupStore::open(self.job.access.clone()).await;
        let limits = self.begin(PhaseName::Find);
        let outcome = limits.hold(Box::pin(self.find(&store))).await;
        self.end(limits, outcome)?;
        let limits = self.begin(PhaseName::Fetch);
        let outcome = limits.hold(Box::pin(self.fetch(&store))).await;
        let file = self.end(limits, outcome)?;
        let limits = self.begin(PhaseName::Validate);
        let outcome = limits.hold(Box::pin(self.validate(&file))).await;
        let (contents, data_bytes) = self.end(limits, outcome)?;
        let binaries = Binaries::find(self.job.binaries.as_deref(), contents.major_needed())
            .map_err(|e| Stopped::Cannot(e.to_string()))?;
        let limits = self.begin(PhaseName::Stage);
        let outcome = limits.hold(Box::pin(self.stage(&contents, &binaries, data_bytes))).await;
        let destination = self.end(limits, outcome)?;
        let limits = self.begin(PhaseName::Restore);
        let outcome = limits.hold(Box::pin(self.load(&file, &destination, &binaries))).await;
        self.end(limits, outcome)?;
        let limits = self.begin(PhaseName::Verify);
        let outcome = limits.hold(Box::pin(self.verify(&destination, &binaries))).await;
        self.end(limits, outcome)
    }

    /// A phase begins: its clock runs, and what may end it is known.
    fn begin(&self, name: PhaseName) -> Limits {
        Limits { timer: Timer::begin(name), cancel: self.cancel.clone(), left: self.left(), late: self.deadline(name) }
    }

    /// A phase is over, and goes into the record.
    fn end<T>(&mut self, limits: Limits, outcome: Outcome<T>) -> Result<T, Stopped> {
        match outcome {
            Ok((value, bytes, detail)) => {
                self.record.phases.push(limits.timer.done(bytes, detail));
                Ok(value)
            }
            Err(stopped) => {
                self.record.phases.push(limits.timer.failed(None, why(&stopped)));
                Err(stopped)
            }
        }
    }

    fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    fn deadline(&self, name: PhaseName) -> Stopped {
        let within = humantime::format_duration(self.job.within.unwrap_or_default());
        Stopped::Deadline(format!("the restore was not done after {within}: it was in its phase {}", name.word()))
    }

    fn jobs(&self) -> u16 {
        let cores = || std::thread::available_parallelism().map_or(1, |n| u16::try_from(n.get()).unwrap_or(u16::MAX));
        self.job.jobs.unwrap_or_else(cores).max(1)
    }

    async fn find(&mut self, store: &BackupStore) -> Outcome<()> {
        self.progress.tell(PhaseName::Find, 0, None, format!("s3://{}/{}", store.bucket(), store.prefix()));
        let found = find::find(store, &self.job.find).await.map_err(|error| {
            if error.is_proof() { Stopped::Defect(error.to_string()) } else { Stopped::Cannot(error.to_string()) }
        })?;
        let detail = format!("{}, {}", found.object.key, found.chosen_by);
        self.record.found = Some(found);
        Ok(((), None, detail))
    }

    async fn fetch(&mut self, store: &BackupStore) -> Outcome<PathBuf> {
        let Some(found) = &self.record.found else {
            return Err(Stopped::Cannot("no backup was chosen".to_owned()));
        };
        let file = self.scratch.work_directory().join("backup.dump");
        let object = found.object.clone();
        let fetched = fetch::fetch(store, &object, &file, &self.job.fetch, self.progress, self.cancel).await;
        let fetched = fetched.map_err(|error| match error {
            FetchError::Cancelled => Stopped::Cancelled,
            other => Stopped::Cannot(other.to_string()),
        })?;
        let (size, note) = (fetched.size_bytes, fetched.checksum_note.clone());
        let detail = format!("{} ranges over {} connections; {note}", fetched.ranges, fetched.connections);
        let matches = fetched.checksum_matches.clone();
        self.record.fetched = Some(fetched);
        if matches == Known::Known(false) {
            return Err(Stopped::Defect(note));
        }
        self.scratch.account().own(&file).map_err(|e| Stopped::Cannot(format!("{}: {e}", file.display())))?;
        Ok((file, Some(size), detail))
    }

    /// The contents, and an estimate of how much room the restored data take.
    async fn validate(&mut self, file: &std::path::Path) -> Outcome<(Contents, u64)> {
        let size = self.record.fetched.as_ref().map_or(0, |f| f.size_bytes);
        let plan = ValidatePlan {
            // Any version that is here can read a dump or says that it cannot: the newest is tried.
            binaries: Binaries::find(self.job.binaries.as_deref(), None).map_err(|e| e.to_string()),
            account: self.scratch.account().clone(),
            tables: self.job.checks.rows.keys().map(|name| schema_and_table(name)).collect(),
            within: self.left(),
        };
        let examined = validate::validate(file, &plan, self.progress, self.cancel).await;
        let examined = examined.map_err(|error| self.of_program(PhaseName::Validate, &error))?;
        let defect = examined.validated.defects.first().map(|d| d.sentence.clone());
        let unread = examined.validated.data_blocks.clone();
        let read = examined.validated.read_through_bytes.known().copied();
        let blocks = examined.validated.data_blocks.known().copied().unwrap_or(0);
        let tables = examined.validated.tables.known().copied().unwrap_or(0);
        self.record.validated = Some(examined.validated);
        if let Some(sentence) = defect {
            return Err(Stopped::Defect(sentence));
        }
        let Some(contents) = examined.contents else {
            let Known::Unknown(why) = unread else { return Err(Stopped::Cannot("no table of contents".to_owned())) };
            return Err(Stopped::Cannot(why));
        };
        let detail = format!("{tables} tables, {blocks} data blocks, every byte read");
        Ok(((contents, read.unwrap_or_else(|| size.saturating_mul(4))), Some(size), detail))
    }

    async fn stage(&mut self, contents: &Contents, binaries: &Binaries, data_bytes: u64) -> Outcome<Destination> {
        self.progress.tell(PhaseName::Stage, 0, None, "making staging ready");
        let (destination, staged) = match &self.job.into {
            Into::Scratch { tuning } => {
                let made = stage::scratch(self.scratch, binaries, *tuning, contents, data_bytes).await;
                made.map_err(|error: StageError| Stopped::Cannot(error.to_string()))?
            }
            Into::Server(server) => server.stage(contents).await.map_err(Stopped::Refused)?,
        };
        let detail = format!("PostgreSQL {}, {}", staged.server_version, staged.what);
        self.record.staged = Some(staged);
        Ok((destination, None, detail))
    }

    async fn load(&mut self, file: &std::path::Path, destination: &Destination, binaries: &Binaries) -> Outcome<()> {
        let plan = LoadPlan {
            binaries: binaries.clone(),
            account: self.scratch.account().clone(),
            jobs: self.jobs(),
            within: self.left(),
            application_name: application_name(&self.job.drill),
        };
        let ended = load::load(file, destination, &plan, self.progress, self.cancel).await;
        let (loaded, bad) = ended.map_err(|error| self.of_program(PhaseName::Restore, &error))?;
        let detail = format!("pg_restore, {} jobs, {} entries", loaded.jobs, destination.selection.entries);
        self.record.loaded = Some(loaded);
        let dumped = self.record.validated.as_ref().and_then(|v| v.server_version.known());
        let staging = self.record.staged.as_ref().map(|s| s.server_version.as_str());
        match bad.map(|bad| bad.unless_older(staging.unwrap_or_default(), dumped.map_or("", String::as_str))) {
            None => Ok(((), self.record.fetched.as_ref().map(|f| f.size_bytes), detail)),
            Some(BadEnd::Backup(why)) => Err(Stopped::Defect(why)),
            Some(BadEnd::Staging(why)) => Err(Stopped::Cannot(why)),
        }
    }

    async fn verify(&mut self, destination: &Destination, binaries: &Binaries) -> Outcome<()> {
        let Some(found) = self.record.found.clone() else {
            return Err(Stopped::Cannot("no backup was chosen".to_owned()));
        };
        let plan = VerifyPlan {
            checks: self.job.checks.clone(),
            binaries: binaries.clone(),
            account: self.scratch.account().clone(),
            directory: self.scratch.work_directory(),
            jobs: self.jobs(),
            within: self.left().unwrap_or(Duration::from_mins(10)),
            reference_wall_ns: self.record.reference_wall_ns,
        };
        let verified = verify::verify(destination, &found, &plan, self.progress, self.cancel).await;
        let (verified, first_answer_ns) = verified.map_err(Stopped::Cannot)?;
        let held = verified.checks.iter().filter(|c| c.ok == Known::Known(true)).count();
        let detail = format!("{held} of {} checks hold", verified.checks.len());
        self.record.verified = Some(verified);
        self.record.first_answer_ns = Known::Known(first_answer_ns);
        Ok(((), None, detail))
    }

    fn of_program(&self, name: PhaseName, error: &ProgramError) -> Stopped {
        match error {
            ProgramError::Cancelled { .. } => Stopped::Cancelled,
            ProgramError::Deadline { .. } => self.deadline(name),
            ProgramError::Start { .. } => Stopped::Cannot(error.to_string()),
        }
    }
}

fn why(stopped: &Stopped) -> String {
    match stopped {
        Stopped::Defect(why) | Stopped::Cannot(why) | Stopped::Refused(why) | Stopped::Deadline(why) => why.clone(),
        Stopped::Cancelled => "it was stopped".to_owned(),
    }
}
