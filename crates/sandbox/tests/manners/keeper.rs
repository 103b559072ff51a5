//! The keeper: whatever way the owner ends, nothing of the sandbox is left.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use firedrill_sandbox::process::{Exit, Keeper, KeeperOptions, ProcessSpec, Reach, descendants_of, start_ticks};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{PROGRAM, eventually, fresh_dir, runs, written};

/// A shell that starts a child in its session, one in a session of its own that ignores SIGTERM, and says all pids.
const FAMILY: &str = "sleep 1000 & a=$!; setsid sh -c 'trap \"\" TERM; echo $$ >family; exec sleep 1001' & \
                      while [ ! -s family ]; do :; done; echo $a >>family; echo ready >>family; wait";

async fn keeper(name: &str) -> Keeper {
    let options = KeeperOptions { dir: fresh_dir(name), program: PROGRAM.into() };
    Keeper::start(options).await.expect("a keeper starts")
}

fn shell(keeper: &Keeper, script: &str) -> ProcessSpec {
    ProcessSpec::new("sh", keeper.dir(), keeper.dir().join("log")).arg("-c").arg(script)
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("the process is there");
}

/// An owner that does not outlive a test that failed.
struct Owner(Child);

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that holds a sandbox with the family in it, and everyone's pid and start time.
fn owner(name: &str) -> (Owner, std::path::PathBuf, Vec<(i32, Option<u64>)>) {
    let dir = fresh_dir(name);
    // A run in the background of a shell ignores SIGINT, and children inherit that: the owner hears it whoever runs the test.
    let mut owner = Command::new("env")
        .arg("--default-signal=INT")
        .arg(PROGRAM)
        .arg("hold")
        .arg(&dir)
        .args(["sh", "-c", FAMILY])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the owner starts");
    let mut line = String::new();
    let output = owner.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("the owner says who runs");
    let family = dir.join("family");
    eventually("the family is complete", || {
        std::fs::read_to_string(&family).is_ok_and(|text| text.ends_with("ready\n"))
    });
    let text = std::fs::read_to_string(&family).expect("just read");
    let pids = line.split_whitespace().chain(text.split_whitespace()).filter_map(|word| word.parse().ok());
    let known: Vec<_> = pids.map(|pid| (pid, start_ticks(pid))).collect();
    assert_eq!(known.len(), 4, "keeper, shell and its two children: {line} {text}");
    assert!(known.iter().all(|&(pid, started)| runs(pid, started)));
    (Owner(owner), dir, known)
}

fn assert_nothing_left(dir: &std::path::Path, known: &[(i32, Option<u64>)]) {
    eventually("every process has ended", || known.iter().all(|&(pid, started)| !runs(pid, started)));
    eventually("the directory is gone", || !dir.exists());
}

#[test]
fn sigkill_of_the_owner_leaves_no_process_and_no_directory() {
    let (mut owner, dir, known) = owner("owner-kill");
    owner.0.kill().expect("SIGKILL");
    owner.0.wait().expect("reaped");
    assert_nothing_left(&dir, &known);
}

#[test]
fn the_owner_ended_by_sigint_leaves_nothing_either() {
    let (mut owner, dir, known) = owner("owner-int");
    signal(i32::try_from(owner.0.id()).expect("pid"), Signal::INT);
    owner.0.wait().expect("reaped");
    assert_nothing_left(&dir, &known);
}

#[test]
fn sigkill_of_the_keeper_makes_the_owner_kill_what_it_kept() {
    let (mut owner, dir, known) = owner("keeper-kill");
    signal(known[0].0, Signal::KILL);
    // The program and the child that stayed its descendant; nobody is left to remove the directory.
    eventually("the family has ended", || known[1..].iter().all(|&(pid, started)| !runs(pid, started)));
    owner.0.kill().expect("SIGKILL");
    owner.0.wait().expect("reaped");
    std::fs::remove_dir_all(dir).expect("left by a murdered keeper");
}

#[tokio::test]
async fn stop_ends_all_and_says_how_many_there_were() {
    let keeper = keeper("stop").await;
    let dir = keeper.dir().to_owned();
    let pid = keeper.pid();
    keeper.spawn(shell(&keeper, FAMILY)).await.expect("spawned");
    let family = dir.join("family");
    eventually("the family is complete", || {
        std::fs::read_to_string(&family).is_ok_and(|text| text.ends_with("ready\n"))
    });
    let stopped = keeper.stop().await.expect("nothing is left");
    assert!(stopped.ended >= 3, "{stopped:?}");
    assert!(!dir.exists());
    assert!(descendants_of(pid).is_empty());
}

#[tokio::test]
async fn the_end_of_the_main_process_ends_those_it_left_in_other_sessions() {
    let keeper = keeper("stragglers").await;
    let process = keeper.spawn(shell(&keeper, FAMILY)).await.expect("spawned");
    let family = keeper.dir().join("family");
    eventually("the family is complete", || {
        std::fs::read_to_string(&family).is_ok_and(|text| text.ends_with("ready\n"))
    });
    signal(process.pid(), Signal::KILL);
    assert_eq!(process.wait().await, Exit::Signal(9));
    assert!(descendants_of(keeper.pid()).is_empty(), "the end is reported only when all of it is over");
    keeper.stop().await.expect("stopped");
}

#[tokio::test]
async fn grace_is_given_and_then_ends() {
    let keeper = keeper("grace").await;
    let polite = keeper.spawn(shell(&keeper, "trap 'exit 3' TERM; echo up >polite; while :; do sleep 0.01; done"));
    let polite = polite.await.expect("spawned");
    written(&keeper.dir().join("polite")).await;
    assert_eq!(polite.stop(Duration::from_secs(20)).await, Exit::Code(3));
    let deaf = keeper.spawn(shell(&keeper, "trap '' TERM; echo up >deaf; while :; do sleep 0.01; done"));
    let deaf = deaf.await.expect("spawned");
    written(&keeper.dir().join("deaf")).await;
    assert_eq!(deaf.stop(Duration::from_millis(100)).await, Exit::Signal(9));
    deaf.signal(Signal::KILL, Reach::Tree);
    keeper.stop().await.expect("a signal to a reaped process does nothing");
}

#[tokio::test]
async fn a_program_that_does_not_exist_ends_as_in_a_container_and_says_why() {
    let keeper = keeper("missing").await;
    let spec = ProcessSpec::new("no-such-program", keeper.dir(), keeper.dir().join("log"));
    let process = keeper.spawn(spec).await.expect("the wrapper starts");
    assert_eq!(process.wait().await, Exit::Code(127));
    let log = std::fs::read_to_string(keeper.dir().join("log")).expect("a log");
    assert!(log.contains("no-such-program"), "{log}");
    keeper.stop().await.expect("stopped");
}

#[tokio::test]
async fn the_owners_environment_does_not_reach_the_estate() {
    let keeper = keeper("env").await;
    let spec = shell(&keeper, "env; :").env("POD_NAME", "web-0");
    keeper.spawn(spec).await.expect("spawned").wait().await;
    let log = std::fs::read_to_string(keeper.dir().join("log")).expect("a log");
    assert!(log.contains("POD_NAME=web-0"), "{log}");
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok() && !log.contains("CARGO_MANIFEST_DIR"), "{log}");
    keeper.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_directory_with_something_in_it_is_not_taken() {
    let dir = fresh_dir("full");
    std::fs::create_dir_all(dir.join("precious")).expect("made");
    let refused = Keeper::start(KeeperOptions { dir: dir.clone(), program: PROGRAM.into() }).await;
    let message = refused.expect_err("refused").to_string();
    assert!(message.contains("is not empty"), "{message}");
    assert!(dir.join("precious").exists());
    std::fs::remove_dir_all(dir).expect("ours");
}
