//! All probes of a drill: started together, each stream on a thread of its own, stopped together.

use crate::ask::Ask;
use crate::book::{Batch, Book, Shown};
use crate::clock;
use crate::config::{ProbeConfig, ProbeError, Question, STREAMS_MAX};
use crate::http::HttpAsk;
use crate::ledger::LedgerAsk;
use crate::sampler::{self, Manner};
use crate::sql::SqlAsk;
use crate::summary::Summary;
use crate::tcp::TcpAsk;
use crate::timer::Timer;
use firedrill_core::sample::{Stream, StreamInfo, View};
use firedrill_core::time::{Mono, Nanos};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::{CancellationToken, DropGuard};

/// From the start of the threads to the first request.
const LEAD_TIME: Nanos = Nanos::from_ms(20);
/// The most connections of one stream to a web service.
const HTTP_SLOTS: usize = 64;
/// The most connections of one stream to a database: each is a process there, and a stalled database needs no more.
const POSTGRES_SLOTS: usize = 12;

/// Probes that are running.
#[derive(Debug)]
pub struct ProbeSet {
    infos: Vec<StreamInfo>,
    shown: Vec<Arc<Mutex<Shown>>>,
    threads: Vec<JoinHandle<()>>,
    stop: DropGuard,
}

/// A stream after its last sample.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What it was.
    pub info: StreamInfo,
    /// Its last summary.
    pub summary: Summary,
    /// The servers that answered; [`firedrill_core::sample::Outcome::Ok`] has an index into it. The first is nobody.
    pub nodes: Vec<String>,
}

/// A kind of probe, ready to ask.
enum Kind {
    Ledger(LedgerAsk),
    Sql(SqlAsk),
    Http(Box<HttpAsk>),
    Tcp(TcpAsk),
}

/// One stream, ready to run.
struct Part {
    info: StreamInfo,
    kind: Kind,
    manner: Manner,
}

impl ProbeSet {
    /// Starts every view of every probe. Finished samples come out of the receiver in batches, in the order of their
    /// numbers within each stream, without gaps; it ends after [`ProbeSet::stop`].
    ///
    /// # Errors
    /// When a probe is out of bounds or cannot be read, or the system gives no thread. Then none is running.
    pub fn start(probes: &[ProbeConfig]) -> Result<(Self, UnboundedReceiver<Batch>), ProbeError> {
        let parts = parts(probes)?;
        let (out, batches) = unbounded_channel();
        let token = CancellationToken::new();
        let mut set =
            Self { infos: Vec::new(), shown: Vec::new(), threads: Vec::new(), stop: token.clone().drop_guard() };
        for (index, part) in parts.into_iter().enumerate() {
            let shown = Arc::new(Mutex::new(Shown { nodes: vec![String::new()], ..Shown::default() }));
            let book = Book::new(index, out.clone(), Arc::clone(&shown));
            let probe = part.info.stream.probe.clone();
            let info = part.info.clone();
            let thread = spawn(part, book, token.clone()).map_err(|source| ProbeError::Thread { probe, source })?;
            set.infos.push(info);
            set.shown.push(shown);
            set.threads.push(thread);
        }
        Ok((set, batches))
    }

    /// What the streams of these probes would be, in the order in which they would run. Starts nothing.
    ///
    /// # Errors
    /// As [`ProbeSet::start`], as far as it can be told without starting.
    pub fn describe(probes: &[ProbeConfig]) -> Result<Vec<StreamInfo>, ProbeError> {
        Ok(parts(probes)?.into_iter().map(|part| part.info).collect())
    }

    /// What each stream is; their order is that of [`Batch::stream`].
    pub fn streams(&self) -> &[StreamInfo] {
        &self.infos
    }

    /// What each stream looks like now. It lags behind by what is under way, at most the timeout.
    pub fn summaries(&self) -> Vec<Summary> {
        self.shown.iter().map(|shown| read(shown, |s| s.summary.clone())).collect()
    }

    /// The servers that have answered in a stream. Entries are only ever added.
    pub fn nodes(&self, stream: usize) -> Vec<String> {
        self.shown.get(stream).map(|shown| read(shown, |s| s.nodes.clone())).unwrap_or_default()
    }

    /// Sends nothing more, waits for what is under way (at most the longest timeout), and ends the threads. The last
    /// batches are in the receiver afterwards.
    ///
    /// # Panics
    /// When a stream's thread panicked: that is a bug, and must not pass for an outage.
    pub async fn stop(self) -> Vec<Finished> {
        let Self { infos, shown, threads, stop } = self;
        stop.disarm().cancel();
        let join = move || threads.into_iter().map(JoinHandle::join).collect::<Result<Vec<()>, _>>();
        match tokio::task::spawn_blocking(join).await {
            Ok(Ok(_)) => {}
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        let finished = |(info, shown): (StreamInfo, Arc<Mutex<Shown>>)| {
            read(&shown, |s| Finished { info, summary: s.summary.clone(), nodes: s.nodes.clone() })
        };
        infos.into_iter().zip(shown).map(finished).collect()
    }
}

fn read<T>(shown: &Mutex<Shown>, take: impl FnOnce(&Shown) -> T) -> T {
    take(&shown.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Every stream of every probe, checked, with its first due time: streams are spread over their periods, so that they
/// do not all ask at the same moment.
fn parts(probes: &[ProbeConfig]) -> Result<Vec<Part>, ProbeError> {
    let count = probes.iter().map(|p| p.pace.streams().len()).sum();
    if count > STREAMS_MAX {
        return Err(ProbeError::TooMany { found: count });
    }
    let first = clock::now().plus(LEAD_TIME);
    let mut parts = Vec::with_capacity(count);
    for probe in probes {
        probe.check()?;
        for (view, every) in probe.pace.streams() {
            let offset = Nanos(every.0.0 / count as u64 * parts.len() as u64);
            parts.push(part(probe, view, every.0, first.plus(offset), parts.len())?);
        }
    }
    Ok(parts)
}

fn part(probe: &ProbeConfig, view: View, period: Nanos, first: Mono, index: usize) -> Result<Part, ProbeError> {
    let unreadable = |reason| ProbeError::Unreadable { probe: probe.name.clone(), reason };
    let (kind, latency, slots_cap) = match &probe.question {
        Question::Ledger(entries) => {
            let ask = LedgerAsk::new(&probe.name, entries, index).map_err(unreadable)?;
            (Kind::Ledger(ask), None, POSTGRES_SLOTS)
        }
        Question::Sql { url, spec } => {
            (Kind::Sql(SqlAsk::new(&probe.name, url, spec).map_err(unreadable)?), None, POSTGRES_SLOTS)
        }
        Question::Http(http) => {
            let ask = HttpAsk::new(&probe.name, http).map_err(unreadable)?;
            (Kind::Http(Box::new(ask)), http.latency.map(|span| span.0), HTTP_SLOTS)
        }
        Question::Tcp(tcp) => (Kind::Tcp(TcpAsk::new(tcp).map_err(unreadable)?), None, HTTP_SLOTS),
    };
    let timeout = probe.pace.timeout.0;
    Ok(Part {
        info: StreamInfo {
            stream: Stream { probe: probe.name.clone(), view },
            kind: probe.word().to_owned(),
            period_ns: period,
            timeout_ns: timeout,
            asks: probe.asks(),
            excluded: probe.excluded.clone(),
        },
        kind,
        manner: Manner { view, period, timeout, latency, slots_cap, first, detour: probe.detour.clone() },
    })
}

/// Starts the thread of one stream, and returns when it is ready or could not be made so.
fn spawn(part: Part, book: Book, stop: CancellationToken) -> io::Result<JoinHandle<()>> {
    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    let name: String = format!("probe-{}", part.info.stream.probe).chars().take(15).collect();
    let thread = Builder::new().name(name).spawn(move || {
        go_first();
        let prepared = sampler::runtime().and_then(|runtime| {
            let timer = runtime.block_on(async { Timer::new() })?;
            Ok((runtime, timer))
        });
        match prepared {
            Err(error) => {
                let _ = ready.send(Err(error));
            }
            Ok((runtime, timer)) => {
                let _ = ready.send(Ok(()));
                let manner = part.manner;
                match part.kind {
                    Kind::Ledger(ask) => run(&runtime, ask, manner, timer, book, stop),
                    Kind::Sql(ask) => run(&runtime, ask, manner, timer, book, stop),
                    Kind::Http(ask) => run(&runtime, *ask, manner, timer, book, stop),
                    Kind::Tcp(ask) => run(&runtime, ask, manner, timer, book, stop),
                }
                // A resolver that hangs is left behind; nobody waits for it.
                runtime.shutdown_background();
            }
        }
    })?;
    match is_ready.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the thread ended before it was ready")),
    }
}

/// Asks for a better place in the line for a core, which the system grants to root and to `CAP_SYS_NICE`: a probe that comes
/// late blurs what it measures. It does little each time, and keeps nobody waiting. Where it is not granted, the lateness
/// is measured and told all the same.
fn go_first() {
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), -10);
}

fn run<A: Ask>(
    runtime: &tokio::runtime::Runtime,
    ask: A,
    manner: Manner,
    timer: Timer,
    book: Book,
    stop: CancellationToken,
) {
    sampler::run(runtime, sampler::sample(ask, manner, timer, book, stop));
}
