//! The demo, stopped: whenever that happens, nothing is left once it has ended, and no drill begins any more.

use crate::support::place::Place;
use crate::support::scene::{PROGRAM, SOON};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

/// Runs the demo until it says `line`, sends it (and no other process) a SIGTERM, and says what it wrote on its way out.
async fn stopped_at(line: &str, place: &Place) -> String {
    let temporary = place.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["demo", "--out"]).arg(place.path().join("out")).env("TMPDIR", &temporary).kill_on_drop(true);
    let mut demo = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut aside = BufReader::new(demo.stderr.take().unwrap()).lines();
    let ended = async {
        while !said.next_line().await.unwrap().expect("it goes on").contains(line) {}
        let pid = Pid::from_raw(demo.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let status = demo.wait().await.unwrap();
        assert_eq!(status.code(), Some(4), "it was stopped");
        assert_empty(&temporary);
        let mut text = String::new();
        while let Some(line) = said.next_line().await.unwrap() {
            text += &line;
        }
        while let Some(line) = aside.next_line().await.unwrap() {
            text += &line;
        }
        text
    };
    tokio::time::timeout(SOON, ended).await.expect("it ends")
}

/// Not a directory, nor a process that has one of its files as an argument.
fn assert_empty(temporary: &Path) {
    let left: Vec<_> = std::fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
    let ours = temporary.display().to_string();
    for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        assert!(!command.contains(&ours), "{} still runs: {command}", entry.path().display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_stopped_while_its_estate_starts_leaves_nothing() {
    let place = Place::new();
    let said = stopped_at("starting an estate", &place).await;
    assert!(said.contains("is gone"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_stopped_in_a_drill_undoes_it_and_begins_no_other() {
    let place = Place::new();
    let said = stopped_at("1 of 4", &place).await;
    assert!(said.contains("is gone") && !said.contains("2 of 4"), "{said}");
}
