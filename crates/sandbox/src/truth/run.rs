//! The truth process: one thread, one `poll` over every connection, every postmaster and the bell of the watch.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    time::{ClockId, clock_gettime},
};

use super::{
    conversation::Question,
    http::HttpQuestion,
    postgres::PostgresQuestion,
    process::Postmasters,
    record::{Record, ViewKind},
    settings::{Protocol, ServiceSettings, TruthSettings},
    topology,
    view::{Density, Pace, Sign, View},
};
use crate::process::boottime_ns;

/// How often new postmasters are looked for.
const LOOK_EVERY_NS: u64 = 100_000_000;
/// A turn that began this much late is recorded: we did not run.
const STARVED_NS: u64 = 20_000_000;

/// Runs `truth SETTINGS.json` until SIGTERM.
pub fn truth_main(args: &[OsString]) -> ExitCode {
    let [settings] = args else { return ExitCode::from(2) };
    match run(Path::new(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The process's log is its standard error.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Path) -> io::Result<()> {
    let settings: TruthSettings = serde_json::from_slice(&fs::read(settings)?)?;
    let mut truth = Truth::new(settings)?;
    let end = end_on_sigterm()?;
    while !end.load(Ordering::Relaxed) {
        truth.turn()?;
    }
    truth.close()
}

/// SIGTERM is heard by a runtime on a thread of its own, which sets a flag.
fn end_on_sigterm() -> io::Result<Arc<AtomicBool>> {
    let end = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&end);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut terminate = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?
    };
    std::thread::spawn(move || {
        runtime.block_on(terminate.recv());
        flag.store(true, Ordering::Relaxed);
    });
    Ok(end)
}

/// The state of the process.
struct Truth {
    settings: TruthSettings,
    out: File,
    views: Vec<View>,
    postmasters: Postmasters,
    changes: Receiver<Record>,
    bell: UnixStream,
    /// Held open: a bell whose other end is closed would ring for ever.
    _ringer: UnixStream,
    dense_until_ns: u64,
    look_at_ns: u64,
    polled_ns: u64,
}

/// Whose turn it is when a descriptor is ready.
#[derive(Debug, Clone, Copy)]
enum Source {
    Bell,
    Postmaster(i32),
    Slot { view: usize, slot: usize },
}

impl Truth {
    fn new(settings: TruthSettings) -> io::Result<Self> {
        let mut out = OpenOptions::new().create(true).append(true).open(&settings.file)?;
        let now_ns = boottime_ns();
        let begun = Record::Begun {
            at_ns: now_ns,
            wall_clock: jiff::Timestamp::now().to_string(),
            timeout_ns: settings.timeout_ms * 1_000_000,
        };
        write_line(&mut out, &begun)?;
        let mut views = Vec::new();
        for service in &settings.services {
            views.push(view(&settings, service, ViewKind::Kept)?);
            views.push(view(&settings, service, ViewKind::Fresh)?);
        }
        let (sender, changes) = channel();
        let (bell, ringer) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        if let Some(kubeconfig) = settings.kubeconfig.clone() {
            topology::watch(kubeconfig, settings.namespace.clone(), sender, ringer.try_clone()?);
        }
        let postmasters = Postmasters::new(settings.control.clone());
        Ok(Self {
            settings,
            out,
            views,
            postmasters,
            changes,
            bell,
            _ringer: ringer,
            dense_until_ns: 0,
            look_at_ns: 0,
            polled_ns: now_ns,
        })
    }

    /// Waits for the next thing, and does it.
    fn turn(&mut self) -> io::Result<()> {
        let asked_ns = boottime_ns();
        let next_ns = self.views.iter().map(View::next_ns).chain([self.look_at_ns]).min().unwrap_or(asked_ns);
        let ready = self.poll_until(next_ns)?;
        let now_ns = boottime_ns();
        if now_ns > next_ns.max(asked_ns) + STARVED_NS {
            self.write(&Record::Starved { between: [next_ns.max(asked_ns), now_ns] })?;
        }
        let mut sign = Sign::None;
        for source in ready {
            let here = match source {
                Source::Bell => self.hear_bell(),
                Source::Postmaster(pid) => {
                    if let Some(record) = self.postmasters.ended(pid, [self.polled_ns, now_ns]) {
                        self.write(&record)?;
                    }
                    Sign::Trouble
                }
                Source::Slot { view, slot } => self.views[view].hear(slot, boottime_ns),
            };
            if here == Sign::Trouble {
                sign = Sign::Trouble;
            }
        }
        self.polled_ns = now_ns;
        if now_ns >= self.look_at_ns {
            self.postmasters.look();
            self.look_at_ns = now_ns + LOOK_EVERY_NS;
        }
        self.alarm(sign, now_ns);
        let density = if now_ns < self.dense_until_ns { Density::Dense } else { Density::Calm };
        let mut records: Vec<Record> = self.changes.try_iter().collect();
        let mut sign = if records.is_empty() { Sign::None } else { Sign::Trouble };
        for view in &mut self.views {
            if view.tick(now_ns, density, boottime_ns) == Sign::Trouble {
                sign = Sign::Trouble;
            }
            records.extend(view.settle());
        }
        self.alarm(sign, now_ns);
        records.iter().try_for_each(|record| self.write(record))
    }

    /// From a sign of trouble on every view asks densely, at once.
    fn alarm(&mut self, sign: Sign, now_ns: u64) {
        if sign == Sign::None {
            return;
        }
        if now_ns >= self.dense_until_ns {
            for view in &mut self.views {
                view.hurry(now_ns);
            }
        }
        self.dense_until_ns = now_ns + self.settings.dense_for_ms * 1_000_000;
    }

    fn hear_bell(&mut self) -> Sign {
        let mut bytes = [0_u8; 64];
        let _ = self.bell.read(&mut bytes);
        Sign::Trouble
    }

    /// Waits until something is ready or the time has come.
    fn poll_until(&self, next_ns: u64) -> io::Result<Vec<Source>> {
        let mut sources = vec![Source::Bell];
        let mut descriptors = vec![PollFd::new(&self.bell, PollFlags::IN)];
        for postmaster in self.postmasters.watched.values() {
            sources.push(Source::Postmaster(postmaster.pid));
            descriptors.push(PollFd::from_borrowed_fd(postmaster.handle.as_fd(), PollFlags::IN));
        }
        for (at, view) in self.views.iter().enumerate() {
            for (slot, conversation) in view.slots.iter().enumerate() {
                if let Some(open) = &conversation.conversation {
                    sources.push(Source::Slot { view: at, slot });
                    descriptors.push(PollFd::new(open.stream(), PollFlags::IN));
                }
            }
        }
        let wait_ns = next_ns.saturating_sub(boottime_ns());
        let timeout = Timespec {
            tv_sec: i64::try_from(wait_ns / 1_000_000_000).unwrap_or(1),
            tv_nsec: i64::try_from(wait_ns % 1_000_000_000).unwrap_or(0),
        };
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |descriptor: &PollFd<'_>| !descriptor.revents().is_empty();
        Ok(sources.into_iter().zip(&descriptors).filter(|(_, one)| is_ready(one)).map(|(source, _)| source).collect())
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        write_line(&mut self.out, record)
    }

    fn close(mut self) -> io::Result<()> {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let cpu_ns = u64::try_from(used.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(used.tv_nsec).unwrap_or(0);
        let samples = self.views.iter().map(|view| view.samples).sum();
        self.write(&Record::Ended { at_ns: boottime_ns(), samples, cpu_ns })
    }
}

/// One write a line: a reader never sees half of one that is followed by another.
fn write_line(out: &mut File, record: &Record) -> io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    out.write_all(&line)
}

fn view(settings: &TruthSettings, service: &ServiceSettings, kind: ViewKind) -> io::Result<View> {
    let told = match kind {
        ViewKind::Kept => service.kept,
        ViewKind::Fresh => service.fresh,
    };
    let pace = Pace {
        calm_ns: told.calm_us * 1000,
        dense_ns: told.dense_us * 1000,
        timeout_ns: settings.timeout_ms * 1_000_000,
    };
    // Each slot of each view writes a row of its own: a wait for a row lock would look like a stall.
    let first_row = match kind {
        ViewKind::Kept => 0,
        ViewKind::Fresh => service.kept.slots,
    };
    let questions: io::Result<Vec<Question>> =
        (0..told.slots).map(|slot| question(service, first_row + slot)).collect();
    Ok(View::new(&service.name, kind, service.address, pace, questions?))
}

fn question(service: &ServiceSettings, row: usize) -> io::Result<Question> {
    Ok(match &service.protocol {
        Protocol::Http { path, status, contains } => {
            Question::Http(HttpQuestion::new(&service.address.to_string(), path, *status, contains))
        }
        Protocol::PostgresWrite { database, role, password_file } => {
            let password = fs::read_to_string(password_file)?;
            Question::Postgres(PostgresQuestion::new(database, role, password.trim(), row))
        }
    })
}
