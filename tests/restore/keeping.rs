//! The keeper: whatever happens to the runner, nothing of a scratch is left.

use crate::support::bench::{DRILL, keeper};
use crate::support::directory::Directory;
use firedrill::effects;
use firedrill::scratch::Scratch;
use firedrill::scratch::account::Account;
use firedrill::scratch::binaries::Binaries;
use firedrill::scratch::handle::{ScratchError, ServerPlan};
use firedrill::scratch::layout::Layout;
use firedrill::scratch::process::{ProcessId, servers_inside};
use firedrill::works::restore::program::{self, Program};
use firedrill_core::effect::{Holding, Reply};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

fn server_plan() -> ServerPlan {
    let binaries = Binaries::find(None, None).unwrap();
    let settings = vec![("listen_addresses".to_owned(), String::new()), ("fsync".to_owned(), "off".to_owned())];
    ServerPlan { binaries: binaries.directory, encoding: "UTF8".to_owned(), settings }
}

/// There is no event of another process's children that one could wait for.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(40);
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within 40 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn nothing_left(directory: &Path) -> bool {
    let layout = Layout::new(directory);
    !directory.exists()
        && !layout.making().exists()
        && !layout.socket_directory().exists()
        && servers_inside(directory).is_empty()
}

fn shared_memory_exists(id: &str) -> bool {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    table.lines().any(|line| line.split_whitespace().nth(1) == Some(id))
}

fn shared_memory_of(directory: &Path) -> String {
    let text = std::fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    text.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_scratch_is_made_and_ends_and_a_password_is_needed() {
    let parent = Directory::new("keep");
    let directory = parent.join("scratch");
    assert_eq!(effects::scratch::look(&directory, DRILL), Holding::Gone);
    let mut scratch = effects::scratch::apply(&directory, DRILL, &keeper()).await.unwrap();
    assert_eq!(effects::scratch::look(&directory, DRILL), Holding::Ours);
    assert!(matches!(effects::scratch::look(&directory, "another"), Holding::Other(_)));
    assert!(matches!(effects::scratch::undo(&directory, "another"), Reply::Rejected(_)));
    let server = scratch.start_server(&server_plan()).await.unwrap();
    let mode = std::fs::metadata(server.socket_directory()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "only its owner reaches the socket");
    let login = server.login("firedrill_admin", server.superuser_password(), "postgres");
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect_with(&login).await.unwrap();
    let tcp: String = sqlx::query_scalar("show listen_addresses").fetch_one(&mut connection).await.unwrap();
    assert_eq!(tcp, "");
    let wrong = server.login("firedrill_admin", &"wrong".to_owned().into(), "postgres");
    assert!(<sqlx::PgConnection as sqlx::Connection>::connect_with(&wrong).await.is_err());
    assert!(!parent.join("scratch/password").exists());
    let memory = shared_memory_of(&directory);
    assert!(shared_memory_exists(&memory));
    scratch.end().await.unwrap();
    assert!(nothing_left(&directory) && !shared_memory_exists(&memory));
    assert_eq!(effects::scratch::look(&directory, DRILL), Holding::Gone);
    assert_eq!(effects::scratch::undo(&directory, DRILL), Reply::Applied, "undoing twice changes nothing");
}

#[tokio::test]
async fn postgres_never_runs_as_root() {
    let parent = Directory::new("root");
    let directory = parent.join("scratch");
    let mut scratch = Scratch::make(&directory, DRILL, &keeper()).await.unwrap();
    scratch.start_server(&server_plan()).await.unwrap();
    let servers = servers_inside(&directory);
    assert!(!servers.is_empty());
    for ProcessId { pid, .. } in servers {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let uids = status.lines().find_map(|l| l.strip_prefix("Uid:")).unwrap_or("1");
        assert!(uids.split_whitespace().all(|uid| uid != "0"), "{pid}: {uids}");
    }
    scratch.end().await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_not_ours_is_never_touched() {
    let parent = Directory::new("other");
    let directory = parent.join("scratch");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("precious"), b"x").unwrap();
    let refused = effects::scratch::apply(&directory, DRILL, &keeper()).await;
    assert!(matches!(refused, Err(Reply::Rejected(_))));
    assert!(matches!(effects::scratch::look(&directory, DRILL), Holding::Other(_)));
    assert!(matches!(effects::scratch::undo(&directory, DRILL), Reply::Rejected(_)));
    // A copy of a scratch's directory somewhere else is nobody's either.
    let original = parent.join("original");
    let scratch = Scratch::make(&original, DRILL, &keeper()).await.unwrap();
    std::fs::copy(original.join("firedrill-scratch.json"), directory.join("firedrill-scratch.json")).unwrap();
    assert!(matches!(effects::scratch::undo(&directory, DRILL), Reply::Rejected(_)));
    scratch.end().await.unwrap();
    assert!(directory.join("precious").exists());
}

#[test]
fn a_runner_killed_while_it_makes_the_directory_leaves_something_that_is_known() {
    let parent = Directory::new("making");
    let layout = Layout::new(parent.join("scratch"));
    std::fs::create_dir(layout.making()).unwrap();
    assert_eq!(effects::scratch::look(layout.directory(), DRILL), Holding::Ours);
    assert_eq!(effects::scratch::undo(layout.directory(), DRILL), Reply::Applied);
    assert!(nothing_left(layout.directory()));
}

#[tokio::test]
async fn a_keeper_that_does_not_come_up_is_an_error_and_leaves_nothing() {
    let parent = Directory::new("nokeeper");
    let directory = parent.join("scratch");
    let program = firedrill::scratch::handle::KeeperProgram { path: PathBuf::from("/bin/true"), args: vec![] };
    let error = Scratch::make(&directory, DRILL, &program).await.unwrap_err();
    assert!(matches!(error, ScratchError::Keeper { .. }), "{error}");
    assert!(nothing_left(&directory));
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let parent = Directory::new("noserver");
    let directory = parent.join("scratch");
    let mut scratch = Scratch::make(&directory, DRILL, &keeper()).await.unwrap();
    let mut plan = server_plan();
    plan.settings.push(("shared_buffers".to_owned(), "a lot".to_owned()));
    let error = scratch.start_server(&plan).await.unwrap_err();
    assert!(error.to_string().contains("shared_buffers"), "{error}");
    scratch.end().await.unwrap();
    assert!(nothing_left(&directory));
}

#[tokio::test]
async fn a_directory_with_a_long_name_works_too() {
    let parent = Directory::new("long");
    let directory = parent.join(&"x".repeat(120));
    let mut scratch = Scratch::make(&directory, DRILL, &keeper()).await.unwrap();
    let server = scratch.start_server(&server_plan()).await.unwrap();
    assert!(server.socket_directory().starts_with("/tmp"));
    scratch.end().await.unwrap();
    assert!(nothing_left(&directory));
}

/// How far the owner has come when it is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    Kept,
    InInitdb,
    Ready,
    /// A program of a restore is running.
    Running,
}

/// An owner in a process of its own: this very test program, running [`owner`].
fn spawn_owner(directory: &Path, point: Point) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "keeping::owner", "--ignored", "--nocapture"]);
    command.env("FIREDRILL_TEST_SCRATCH", directory).env("FIREDRILL_TEST_POINT", format!("{point:?}"));
    let mut owner = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("reached")), "the owner ended before {point:?}");
    if point == Point::InInitdb {
        eventually("initdb runs", || directory.join("data/PG_VERSION").exists());
    }
    owner
}

/// Not a test: the owner that the tests below kill.
#[tokio::test]
#[ignore = "run by the tests of this file, in a process of its own"]
async fn owner() {
    let directory = PathBuf::from(std::env::var_os("FIREDRILL_TEST_SCRATCH").unwrap());
    let point = std::env::var("FIREDRILL_TEST_POINT").unwrap();
    let reached = || {
        use std::io::Write;
        writeln!(std::io::stdout(), "reached").unwrap();
    };
    if point == "Running" {
        reached();
        let script = format!("echo $$ > {}.pid; exec sleep 1000", directory.display());
        let sleep = Program::new(PathBuf::from("/bin/sh"), &[&"-c", &script], &Account::Own, Path::new("/"));
        program::run(sleep, None, &CancellationToken::new(), |_| {}).await.unwrap();
    }
    let mut scratch = Scratch::make(&directory, DRILL, &keeper()).await.unwrap();
    if point != "Ready" {
        reached();
    }
    if point != "Kept" {
        let _server = scratch.start_server(&server_plan()).await.unwrap();
    }
    if point == "Ready" {
        reached();
    }
    std::future::pending::<()>().await;
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn sigkill_of_the_owner_leaves_nothing_whenever_it_comes() {
    for point in [Point::Kept, Point::InInitdb, Point::Ready] {
        let parent = Directory::new("killed");
        let directory = parent.join("scratch");
        let owner = spawn_owner(&directory, point);
        let memory = (point == Point::Ready).then(|| shared_memory_of(&directory));
        let keeper = keeper_of(&directory);
        kill(owner);
        eventually(&format!("killed at {point:?}: nothing is left"), || nothing_left(&directory));
        assert!(keeper.wait_gone(Duration::from_secs(20)), "the keeper ends too");
        assert!(memory.is_none_or(|id| !shared_memory_exists(&id)));
    }
}

fn keeper_of(directory: &Path) -> ProcessId {
    serde_json::from_slice(&std::fs::read(directory.join("keeper.json")).unwrap()).unwrap()
}

/// A `pg_restore` into a server elsewhere must not go on when its runner is killed.
#[test]
fn a_program_ends_with_its_runner() {
    let parent = Directory::new("leash");
    let owner = spawn_owner(&parent.join("unused"), Point::Running);
    let file = parent.join("unused.pid");
    eventually("the program runs", || std::fs::read_to_string(&file).is_ok_and(|pid| pid.ends_with('\n')));
    let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    let program = ProcessId::of(pid).unwrap();
    kill(owner);
    assert!(program.wait_gone(Duration::from_secs(20)), "process {pid} goes on without its runner");
}

/// As after a power cut of half the machine: the keeper cannot clean up. The next start does.
#[test]
fn sigkill_of_owner_and_keeper_is_undone_by_the_next_start() {
    let parent = Directory::new("both");
    let directory = parent.join("scratch");
    let owner = spawn_owner(&directory, Point::Ready);
    let memory = shared_memory_of(&directory);
    let keeper = keeper_of(&directory);
    keeper.signal(Signal::KILL);
    kill(owner);
    assert!(keeper.wait_gone(Duration::from_secs(10)));
    assert!(directory.exists(), "nobody is left to remove it");
    assert_eq!(effects::scratch::look(&directory, DRILL), Holding::Ours);
    assert_eq!(effects::scratch::undo(&directory, DRILL), Reply::Applied);
    assert!(nothing_left(&directory) && !shared_memory_exists(&memory));
}

#[test]
fn a_keeper_told_to_end_ends_everything() {
    let parent = Directory::new("term");
    let directory = parent.join("scratch");
    let owner = spawn_owner(&directory, Point::Ready);
    keeper_of(&directory).signal(Signal::TERM);
    eventually("nothing is left", || nothing_left(&directory));
    kill(owner);
}
