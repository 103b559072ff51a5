//! The accuracy benchmark: outages made by another process, which records the truth, against what probes measure.
//!
//! `accuracy [--share 0.1] [--only web|database] [--loaded] [--json FILE]`; exit 1 when a truth is outside its interval.
//! Widths are held against their aims in the tables. The serving processes are this program again, told so by its first
//! argument; they share no code with the probes.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its result")]
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures of a benchmark, all small")]
#![expect(clippy::unwrap_used, reason = "what goes wrong in a benchmark ends it")]

mod database;
mod gate;
mod judge;
mod plan;
#[path = "../../tests/probes/support/postgres.rs"]
#[expect(dead_code, reason = "shared with the tests, which use the rest of it")]
mod postgres;
mod tables;
mod truth;
mod web;

use crate::judge::{Findings, judge};
use crate::tables::{Outcome, StreamFigures, kinds, quantile};
use crate::truth::{Down, Step};
use firedrill_core::sample::{Outcome as Answer, Sample};
use firedrill_probes::book::Batch;
use firedrill_probes::config::{ProbeConfig, Question};
use firedrill_probes::http::Http;
use firedrill_probes::ledger::{Entries, Evidence};
use firedrill_probes::pace::{Pace, Views};
use firedrill_probes::scalar::Span;
use firedrill_probes::set::ProbeSet;
use secrecy::SecretString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

const PERIOD: Span = Span::ms(10);
const TIMEOUT: Span = Span::ms(100);
/// The probes go on for this long after the last outage.
const CALM_AFTER: Span = Span::ms(1_000);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    match args.first().map(String::as_str) {
        Some("serve-web") => web::main(),
        Some("serve-database") => database::main(),
        Some("spin") => loop {
            std::hint::spin_loop();
        },
        _ => {
            let share = value("--share").map_or(1.0, |share| share.parse().expect("--share is a number"));
            let loaded = args.iter().any(|a| a == "--loaded");
            let text = |name| value(name).map(String::as_str);
            return bench(share, loaded, text("--only"), text("--json"));
        }
    }
    ExitCode::SUCCESS
}

fn bench(share: f64, loaded: bool, only: Option<&str>, json: Option<&str>) -> ExitCode {
    let plan = plan::plan(share);
    let load = if loaded { std::thread::available_parallelism().map_or(2, usize::from) } else { 0 };
    let spinning: Vec<Spinning> = (0..load).map(|_| Spinning(again("spin").spawn().unwrap())).collect();
    let mut outcome = Outcome {
        schema: 1,
        machine: if loaded { "with every core loaded" } else { tables::IDLE },
        period_ms: PERIOD.0.as_ms_f64(),
        timeout_ms: TIMEOUT.0.as_ms_f64(),
        streams: Vec::new(),
        kinds: Vec::new(),
        invented: Vec::new(),
        outages: Vec::new(),
    };
    if only != Some("database") {
        watch("serve-web", &plan.web, storefront, &mut outcome);
    }
    if only != Some("web") {
        watch("serve-database", &plan.database, orders, &mut outcome);
    }
    drop(spinning);
    outcome.kinds = kinds(&outcome.outages, outcome.period_ms, outcome.timeout_ms);
    println!("{}", outcome.markdown());
    if let Some(file) = json {
        std::fs::write(file, serde_json::to_string_pretty(&outcome).unwrap()).unwrap();
    }
    // With every core loaded the service itself stalls, and the truth does not know of it.
    let invented = !loaded && !outcome.invented.is_empty();
    if outcome.wrong() > 0 || invented {
        eprintln!("{} outages outside, {} invented", outcome.wrong(), outcome.invented.len());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A process that keeps a core busy; it ends with the benchmark.
struct Spinning(Child);

impl Drop for Spinning {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This program, in another role.
fn again(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(role);
    command
}

/// The process that serves and records the truth. It ends when its standard input does.
struct Server {
    child: Child,
    tell: Option<ChildStdin>,
    hear: BufReader<ChildStdout>,
}

impl Server {
    fn start(role: &str) -> Self {
        let mut child = again(role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let tell = child.stdin.take();
        let hear = BufReader::new(child.stdout.take().unwrap());
        Self { child, tell, hear }
    }

    fn hear<T: for<'de> serde::Deserialize<'de>>(&mut self) -> T {
        let mut line = String::new();
        self.hear.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn tell(&mut self, steps: &[Step]) {
        let tell = self.tell.as_mut().unwrap();
        writeln!(tell, "{}", serde_json::to_string(steps).unwrap()).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.tell.take());
        let _ = self.child.wait();
    }
}

/// Lets one service go through its steps while its probes look on, and judges.
fn watch(role: &str, steps: &[Step], probe: fn(&str) -> ProbeConfig, outcome: &mut Outcome) {
    let mut server = Server::start(role);
    let address: String = server.hear();
    let (set, mut batches) = ProbeSet::start(&[probe(&address)]).unwrap();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); set.streams().len()];
    let take = |batch: Batch, samples: &mut Vec<Vec<Sample>>| samples[batch.stream].extend(batch.samples);
    // A baseline, as a drill has one.
    while samples.iter().any(|s| s.iter().filter(|s| matches!(s.outcome, Answer::Ok { .. })).count() < 20) {
        take(batches.blocking_recv().unwrap(), &mut samples);
    }
    server.tell(steps);
    let truth: Vec<Down> = server.hear();
    let calm_ns = truth.last().map_or(0, |down| down.up.by_ns) + CALM_AFTER.0.0;
    while samples.iter().any(|s| s.last().is_none_or(|s| s.due_ns.0 < calm_ns)) {
        take(batches.blocking_recv().unwrap(), &mut samples);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let finished = runtime.block_on(set.stop());
    while let Some(batch) = batches.blocking_recv() {
        take(batch, &mut samples);
    }
    drop(server);
    for (done, samples) in finished.into_iter().zip(samples) {
        let Findings { judged, invented, unknown } = judge(&done.info, &samples, &truth);
        let stream = format!("{} {}", done.info.stream.probe, done.info.stream.view.word());
        outcome.outages.extend(judged);
        outcome.invented.extend(invented.into_iter().map(|told| format!("{stream}: {told}")));
        let late =
            || samples.iter().filter(|s| s.outcome != Answer::Unknown).map(|s| s.sent_ns.since(s.due_ns).as_ms_f64());
        outcome.streams.push(StreamFigures {
            stream,
            samples: samples.len(),
            unknown,
            lateness_p99_ms: quantile(late().collect(), 0.99),
            lateness_max_ms: quantile(late().collect(), 1.0),
        });
    }
}

fn storefront(address: &str) -> ProbeConfig {
    let http = Http {
        url: format!("http://{address}/"),
        status: None,
        json: std::collections::BTreeMap::default(),
        body: Some("ok".to_owned()),
        latency: None,
        every: None,
        fresh_every: None,
        timeout: None,
    };
    let pace = Pace { every: PERIOD, fresh_every: Some(PERIOD), timeout: TIMEOUT, views: Views::KeptAndFresh };
    ProbeConfig { name: "storefront".to_owned(), question: Question::Http(http), pace, excluded: None, detour: None }
}

fn orders(url: &str) -> ProbeConfig {
    let entries = Entries {
        url: SecretString::from(url),
        drill: uuid::Uuid::now_v7(),
        first_stream: 0,
        evidence: Evidence::Full,
    };
    let pace = Pace { every: PERIOD, fresh_every: None, timeout: TIMEOUT, views: Views::KeptAndFresh };
    ProbeConfig {
        name: "orders-write".to_owned(),
        question: Question::Ledger(entries),
        pace,
        excluded: None,
        detour: None,
    }
}
