//! Seen from outside, by strace: before every request that changes something is written to its socket, the sync of the
//! journal that holds its intent has completed.

use crate::support::{files, left, runner::Runner, scene::PROGRAM, scene::Scene};
use firedrill_core::report::Verdict;
use std::process::Stdio;
use tokio::process::Command;

/// One thing that the system calls show, in the order of their completion.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Something was written into the journal's log; the text of it.
    Written(String),
    /// What was written into the journal is on its disk.
    Synced,
    /// A request that changes something is being written; its text.
    Requested(String),
}

/// Reads a trace of several threads. What a thread began and another interrupted is written in two lines: a sync counts
/// when it has completed, a request and a write into the log when they begin.
fn read(trace: &str) -> Vec<Seen> {
    let mut syncing: Vec<&str> = Vec::new();
    let mut seen = Vec::new();
    for line in trace.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let sync =
            ["fdatasync(", "fsync("].iter().any(|name| call.starts_with(name)) && call.contains("journal.sqlite");
        if sync && call.ends_with("<unfinished ...>") {
            syncing.push(pid);
        } else if sync && call.ends_with("= 0") {
            seen.push(Seen::Synced);
        } else if call.starts_with("<... f") && call.contains("sync resumed") && call.ends_with("= 0") {
            if let Some(place) = syncing.iter().position(|one| *one == pid) {
                syncing.swap_remove(place);
                seen.push(Seen::Synced);
            }
        } else if call.starts_with("pwrite64(") && call.contains("journal.sqlite-wal") {
            seen.push(Seen::Written(call.replace('\\', "")));
        } else if ["PATCH /", "POST /", "PUT /", "DELETE /"].iter().any(|verb| call.contains(&format!("\"{verb}")))
            && !call.contains("accessreviews")
        {
            seen.push(Seen::Requested(call.replace('\\', "")));
        }
    }
    seen
}

/// The version that a request is conditional on.
fn version(request: &str) -> Option<&str> {
    let (_, rest) = request.split_once(r#""resourceVersion":""#)?;
    rest.split_once('"').map(|(version, _)| version)
}

#[test]
fn a_trace_is_read_by_completion() {
    let trace = r#"10 pwrite64(9</s/journal.sqlite-wal>, "{\"intended\":[]}", 4096, 32) = 4096
10 fdatasync(9</s/journal.sqlite-wal> <unfinished ...>
11 writev(12<socket:[5]>, [{iov_base="PATCH /apis/apps/v1/x HTTP/1.1\r\n", iov_len=9}], 1) = 9
11 fdatasync(7</s/other>) = 0
10 <... fdatasync resumed>) = 0
11 sendto(12, "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 9, 0, NULL, 0) = 9"#;
    let seen = read(trace);
    assert!(
        matches!(&seen[..], [Seen::Written(text), Seen::Requested(_), Seen::Synced] if text.contains("\"intended\"")),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_of_the_journal_completes_between_each_intent_and_its_request() {
    if !can_trace().await {
        return;
    }
    let scene = Scene::start().await;
    let runner = Runner::new(&scene, "traced");
    for (name, text) in
        [("scale", files::scale_to_zero("1s", "storefront")), ("kill", files::kill_primary("failover", "1s"))]
    {
        let trace = scene.path(&format!("{name}.strace"));
        let mut strace = Command::new("strace");
        strace.args([
            "-f",
            "-y",
            "-s",
            "9000",
            "-e",
            "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg",
            "-o",
        ]);
        strace.arg(&trace).arg(PROGRAM);
        let (experiment, estate) = (scene.write(&text), scene.path("estate.yaml"));
        let drill = runner.wrapped(strace, &[&"run", &experiment, &"--estate", &estate]);
        let ended = runner.ended(drill).await;
        let verdict = ended.report().judgement.verdict;
        assert!(matches!(verdict, Verdict::Pass | Verdict::Inconclusive), "{:#?}", ended.report().judgement);
        assert_order(&read(&String::from_utf8_lossy(&std::fs::read(trace).unwrap())));
        scene.healthy().await;
        left::assert_nothing(&scene, &runner).await;
    }
    scene.stop().await;
}

fn assert_order(seen: &[Seen]) {
    let requests: Vec<(usize, &String)> = seen
        .iter()
        .enumerate()
        .filter_map(|(at, one)| match one {
            Seen::Requested(text) => Some((at, text)),
            _ => None,
        })
        .collect();
    assert!(requests.len() >= 3, "the lock, the fault, the lock again: {requests:?}");
    for (at, request) in requests {
        let recorded = |text: &str| match version(request) {
            // The intent names the very version; a look before an undo is recorded without it.
            Some(version) if text.contains("\"intended\"") => text.contains(&format!("\"{version}\"")),
            _ => text.contains("\"intended\"") || text.contains("\"looked\""),
        };
        let intent = seen[..at].iter().rposition(|one| matches!(one, Seen::Written(text) if recorded(text)));
        let intent = intent.unwrap_or_else(|| panic!("no intent in the journal before {request}"));
        assert!(seen[intent..at].contains(&Seen::Synced), "not synced between intent and request: {request}");
    }
}

/// Whether this machine lets a process be traced. Where tests run unattended it must.
async fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-o", "/dev/null", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let can = command.status().await.is_ok_and(|status| status.success());
    assert!(
        can || std::env::var_os("CI").is_none(),
        "strace is missing or may not trace: install it (make test-packages)"
    );
    if !can {
        #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
        {
            eprintln!("LEFT OUT: strace is missing or may not trace here; install it with `make test-packages`");
        }
    }
    can
}
