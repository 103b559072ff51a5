//! What the probes can do, and what they cost: HTTP operations a second on one core, ledger commits a second, and how
//! late requests are sent.
//!
//! `throughput [--seconds 5] [--json FILE]`; exit 1 when a figure misses its aim.

#![expect(clippy::print_stdout, reason = "a benchmark prints its result")]
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures of a benchmark, all small")]
#![expect(clippy::unwrap_used, reason = "what goes wrong in a benchmark ends it")]

#[path = "../tests/probes/support/postgres.rs"]
#[expect(dead_code, reason = "shared with the tests, which use the rest of it")]
mod postgres;

use bytes::Bytes;
use firedrill_core::sample::{Outcome, Sample};
use firedrill_probes::config::{ProbeConfig, Question};
use firedrill_probes::http::Http;
use firedrill_probes::ledger::{Entries, Evidence};
use firedrill_probes::ledger_table;
use firedrill_probes::pace::{Pace, Views};
use firedrill_probes::scalar::Span;
use firedrill_probes::set::ProbeSet;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use postgres::Postgres;
use rustix::thread::{CpuSet, sched_setaffinity};
use secrecy::SecretString;
use serde::Serialize;
use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The aims, from the product's promises.
const HTTP_PER_S: f64 = 10_000.0;
const COMMITS_PER_S: f64 = 1_000.0;
const LATENESS_P99_MS: f64 = 2.0;

/// One measurement.
#[derive(Serialize)]
struct Figures {
    what: &'static str,
    streams: usize,
    ok_per_s: f64,
    failed: u64,
    not_asked: u64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    lateness_p99_ms: f64,
    lateness_max_ms: f64,
    /// Of one core, by this process.
    cpu_percent: f64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let seconds = value("--seconds").map_or(5, |s| s.parse().expect("--seconds is a number"));
    match args.first().map(String::as_str) {
        Some("serve") => {
            serve();
            ExitCode::SUCCESS
        }
        Some("one-core") => {
            pin(0);
            let address = value("--address").expect("an address");
            let figures = measure("HTTP over kept connections, one core", &web(address, 10, 1), seconds);
            println!("{}", serde_json::to_string(&figures).unwrap());
            ExitCode::SUCCESS
        }
        _ => bench(seconds, value("--json").map(String::as_str)),
    }
}

fn bench(seconds: u64, json: Option<&str>) -> ExitCode {
    let me = std::env::current_exe().unwrap();
    let mut server = Command::new(&me).arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim();

    let idle = measure("HTTP every 10 ms", &web(address, 1, 10), seconds);
    let asked = Command::new(&me).args(["one-core", "--address", address, "--seconds", &seconds.to_string()]).output();
    let http: serde_json::Value = serde_json::from_slice(&asked.unwrap().stdout).unwrap();
    drop(server.stdin.take());
    server.wait().unwrap();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(async {
        let database = Postgres::start().await;
        ledger_table::create(&mut database.admin().await).await.unwrap();
        database
    });
    let commits = measure("ledger commits by 16 writers", &ledger(&database.admin_url()), seconds);
    drop(database);

    let number = |key: &str| http[key].as_f64().unwrap();
    let met = number("ok_per_s") >= HTTP_PER_S * 0.999
        && commits.ok_per_s >= COMMITS_PER_S * 0.999
        && idle.lateness_p99_ms <= LATENESS_P99_MS;
    let all = [serde_json::to_value(&idle).unwrap(), http, serde_json::to_value(&commits).unwrap()];
    println!(
        "| what | streams | correct answers a second | failed | not asked | latency p50 | p99 | lateness p99 | max | CPU of one core |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for row in &all {
        let f = |key: &str| row[key].as_f64().unwrap();
        println!(
            "| {} | {} | {:.0} | {} | {} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms | {:.0} % |",
            row["what"].as_str().unwrap(),
            row["streams"],
            f("ok_per_s"),
            row["failed"],
            row["not_asked"],
            f("latency_p50_ms"),
            f("latency_p99_ms"),
            f("lateness_p99_ms"),
            f("lateness_max_ms"),
            f("cpu_percent")
        );
    }
    if let Some(file) = json {
        std::fs::write(file, serde_json::to_string_pretty(&all).unwrap()).unwrap();
    }
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the probes for a while, after half a second to open their connections.
fn measure(what: &'static str, probes: &[ProbeConfig], seconds: u64) -> Figures {
    let (set, mut batches) = ProbeSet::start(probes).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let (from, cpu_from) = (firedrill_probes::clock::now(), cpu());
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(seconds));
    let (until, cpu_until) = (firedrill_probes::clock::now(), cpu());
    let elapsed = begun.elapsed().as_secs_f64();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(set.stop());
    let mut samples: Vec<Sample> = Vec::new();
    while let Some(batch) = batches.blocking_recv() {
        samples.extend(batch.samples.iter().filter(|s| s.due_ns >= from && s.due_ns < until));
    }
    let count = |f: fn(&Outcome) -> bool| samples.iter().filter(|s| f(&s.outcome)).count();
    let ok = || samples.iter().filter(|s| matches!(s.outcome, Outcome::Ok { .. }));
    let latency = quantiles(ok().map(|s| s.done_ns.since(s.sent_ns).as_ms_f64()).collect());
    let asked = samples.iter().filter(|s| s.outcome != Outcome::Unknown);
    let lateness = quantiles(asked.map(|s| s.sent_ns.since(s.due_ns).as_ms_f64()).collect());
    Figures {
        what,
        streams: probes.len(),
        ok_per_s: ok().count() as f64 / elapsed,
        failed: count(|o| matches!(o, Outcome::Failed(_))) as u64,
        not_asked: count(|o| *o == Outcome::Unknown) as u64,
        latency_p50_ms: latency(0.5),
        latency_p99_ms: latency(0.99),
        lateness_p99_ms: lateness(0.99),
        lateness_max_ms: lateness(1.0),
        cpu_percent: cpu_until.saturating_sub(cpu_from).as_secs_f64() / elapsed * 100.0,
    }
}

/// By nearest rank.
fn quantiles(mut values: Vec<f64>) -> impl Fn(f64) -> f64 {
    values.sort_by(f64::total_cmp);
    move |share| {
        let rank = (values.len() as f64 * share).ceil() as usize;
        values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

/// The time this process has spent on a core so far.
fn cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec.cast_unsigned(), t.tv_nsec as u32)
}

fn web(address: &str, streams: usize, every_ms: u64) -> Vec<ProbeConfig> {
    let probe = |i: usize| {
        let http = Http {
            url: format!("http://{address}/"),
            status: None,
            json: std::collections::BTreeMap::default(),
            body: None,
            latency: None,
            every: None,
            fresh_every: None,
            timeout: None,
        };
        probe(format!("web-{i}"), Question::Http(http), every_ms)
    };
    (0..streams).map(probe).collect()
}

fn ledger(url: &str) -> Vec<ProbeConfig> {
    let drill = uuid::Uuid::now_v7();
    let probe = |i: usize| {
        let entries = Entries { url: SecretString::from(url), drill, first_stream: 0, evidence: Evidence::Full };
        probe(format!("ledger-{i}"), Question::Ledger(entries), 16)
    };
    (0..16).map(probe).collect()
}

fn probe(name: String, question: Question, every_ms: u64) -> ProbeConfig {
    let pace =
        Pace { every: Span::ms(every_ms), fresh_every: None, timeout: Span::ms(500), views: Views::KeptAndFresh };
    ProbeConfig { name, question, pace, excluded: None, detour: None }
}

/// Keeps this process on one core, so that the server has the others.
fn pin(core: usize) {
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one).unwrap();
}

/// A service that answers at once, on another core where there is one; until its standard input ends.
fn serve() {
    if std::thread::available_parallelism().map_or(1, usize::from) > 1 {
        pin(1);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    runtime.block_on(async {
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().lock().read_line(&mut String::new()));
        let accept = async {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let service = service_fn(|_| async {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{\"status\":\"ok\"}"))))
                });
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serving);
            }
        };
        tokio::select! {
            _ = ended => {}
            () = accept => {}
        }
    });
}
