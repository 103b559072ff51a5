//! A sandbox whose process is killed, at several moments of its start and life, leaves nothing.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    place::{PROGRAM, Place, SOON},
    scene::{DEMO, Scene},
};

/// Processes that have anything to do with `dir`: an argument, an environment variable, or their working directory.
fn processes_of(dir: &Path) -> Vec<String> {
    let needle = dir.as_os_str().as_encoded_bytes();
    let holds = |bytes: Vec<u8>| bytes.windows(needle.len()).any(|window| window == needle);
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())))
        .filter(|entry| entry.file_name().to_str() != Some(&std::process::id().to_string()))
        .filter(|entry| {
            let path = entry.path();
            ["cmdline", "environ"].iter().any(|file| fs::read(path.join(file)).is_ok_and(holds))
                || fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir))
        })
        .map(|entry| fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default())
        .collect()
}

/// System V segments nobody is attached to.
fn orphaned_segments() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let orphan = |line: &&str| line.split_whitespace().nth(6) == Some("0");
    table.lines().skip(1).filter(orphan).filter_map(|line| Some(line.split_whitespace().nth(1)?.to_owned())).collect()
}

fn await_nothing_left(dir: &Path, segments_before: &BTreeSet<String>) {
    let begun = Instant::now();
    loop {
        let processes = processes_of(dir);
        let new: Vec<String> = orphaned_segments().difference(segments_before).cloned().collect();
        if processes.is_empty() && !dir.exists() && new.is_empty() {
            return;
        }
        assert!(begun.elapsed() < SOON, "left: {processes:?}, {}: {}, segments {new:?}", dir.display(), dir.exists());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn serve(dir: &Path) -> Child {
    Command::new(PROGRAM)
        .args(["sandbox-part", "serve"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_sandbox_killed_while_it_starts_leaves_nothing() {
    for (name, appears) in [("keeper", ""), ("api", "kubeconfig"), ("database", "volumes/postgresql-0/data/PG_VERSION")]
    {
        let place = Place::new(name);
        let segments = orphaned_segments();
        let dir = place.path().join("sandbox");
        let mut child = serve(&dir);
        let begun = Instant::now();
        while !dir.join(appears).exists() {
            assert!(begun.elapsed() < SOON, "{appears} did not appear");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        await_nothing_left(&dir, &segments);
    }
}

#[test]
fn a_sandbox_killed_while_it_runs_leaves_nothing() {
    let place = Place::new("running");
    let segments = orphaned_segments();
    let dir = place.path().join("sandbox");
    let mut child = serve(&dir);
    let mut line = String::new();
    // Held to the end: who prints into a closed pipe fails.
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "{", "the facts are printed once all is well");
    assert!(processes_of(&dir).iter().any(|one| one.contains("postgres")));
    child.kill().unwrap();
    child.wait().unwrap();
    await_nothing_left(&dir, &segments);
}

#[test]
fn a_sandbox_whose_input_ends_stops_in_order() {
    let place = Place::new("in-order");
    let segments = orphaned_segments();
    let dir = place.path().join("sandbox");
    let mut child = serve(&dir);
    let mut line = String::new();
    // Held to the end: who prints into a closed pipe fails.
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(!dir.exists());
    assert_eq!(processes_of(&dir), [""; 0]);
    await_nothing_left(&dir, &segments);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_that_is_dropped_leaves_nothing() {
    let segments = orphaned_segments();
    let scene = Scene::start("dropped", DEMO).await;
    let dir = scene.sandbox.dir().to_owned();
    assert!(processes_of(&dir).iter().any(|one| one.contains("postgres")));
    let place = scene.drop_sandbox();
    tokio::task::block_in_place(|| await_nothing_left(&dir, &segments));
    drop(place);
}
