//! The daemon as a process: it fires on time, is stopped and killed in the middle, and accounts for what it began.

use crate::support::scene::{LOOK_EVERY, SOON};
use crate::support::{files, left, runner::Runner, scene::Scene, scene::whole_shop};
use firedrill::store::{FiringRow, FiringState};
use firedrill_core::event::Event;
use firedrill_core::report::{Exercise, Report, Trigger, Verdict};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use rustix::process::Signal;
use tokio::process::Command;

/// A daemon's files: one experiment that is due soon, once.
fn serve(scene: &Scene, runner: &Runner, hold: &str) -> Command {
    write(scene, hold, 3);
    let config = "run: [ { experiments: experiments, estate: estate.yaml } ]\nout: filed\n";
    std::fs::write(scene.path("firedrill.yaml"), config).unwrap();
    again(scene, runner)
}

fn write(scene: &Scene, hold: &str, in_s: i64) {
    let due = Timestamp::now() + in_s.seconds();
    let at = due.strftime("%Y-%m-%d %H:%M:%S");
    let schedule = format!("schedule: {{ at: \"{at}\", timezone: UTC, missed: {{ run-once-within: 10m }} }}\n");
    let dir = scene.path("experiments");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("web.yaml"), files::scale_to_zero(hold, "storefront") + &schedule).unwrap();
}

/// The same daemon, once more.
fn again(scene: &Scene, runner: &Runner) -> Command {
    runner.command(&[&"daemon", &"--config", &scene.path("firedrill.yaml")])
}

/// Waits until the one firing has come to an end.
async fn told(runner: &Runner) -> FiringRow {
    let looks = async {
        loop {
            let rows = runner.journal().await.firings(9).await.unwrap();
            assert!(rows.len() < 2, "it was due once: {rows:?}");
            match rows.into_iter().next() {
                Some(row) if row.state != FiringState::Begun => return row,
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    };
    tokio::time::timeout(2 * SOON, looks).await.expect("the firing is accounted for")
}

async fn report(runner: &Runner, row: &FiringRow) -> Report {
    let drill = row.drill.as_deref().expect("it has a drill");
    let kept = runner.journal().await.report(drill).await.unwrap().expect("it is reported");
    Report::from_json(&kept).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_run_on_time_reported_and_accounted_for() {
    let scene = Scene::start().await;
    let runner = Runner::new(&scene, "one");
    let command = serve(&scene, &runner, "1s");
    // Its file comes while the daemon serves.
    std::fs::remove_file(scene.path("experiments").join("web.yaml")).unwrap();
    let mut daemon = runner.start(command);
    write(&scene, "1s", 10);
    daemon.until(|e| matches!(e, Event::Opened(_))).await;
    let second = runner.ended(again(&scene, &runner)).await;
    assert_eq!(second.code(), Some(5), "one daemon for each journal: {second:?}");
    let row = told(&runner).await;
    assert_eq!((row.state, row.why.as_str()), (FiringState::Executed, ""));
    let late = SignedDuration::from_nanos(row.decided_ns - row.due_ns);
    assert!(!late.is_negative(), "not before its time: {late:?}");
    let report = report(&runner, &row).await;
    assert_eq!(report.judgement.verdict, Verdict::Pass, "{:#?}", report.judgement);
    assert!(matches!(&report.identity.trigger, Trigger::Schedule(words) if words.contains("planned for")));
    let filed: Vec<_> = std::fs::read_dir(scene.path("filed")).unwrap().collect();
    assert_eq!(filed.len(), 1, "filed beside its configuration");
    daemon.signal(Signal::TERM);
    let ended = daemon.ended().await;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("begins") && ended.stderr.contains("PASS"), "{}", ended.stderr);
    left::assert_nothing(&scene, &runner).await;
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_stopped_or_killed_in_the_middle_leaves_nothing_and_loses_no_firing() {
    let scene = Scene::start().await;
    stopped_in_the_middle(&scene).await;
    killed_in_the_middle(&scene).await;
    scene.stop().await;
}

async fn stopped_in_the_middle(scene: &Scene) {
    let runner = Runner::new(scene, "stopped");
    let mut daemon = runner.start(serve(scene, &runner, "60s"));
    daemon.until(|e| *e == Event::LossSeen).await;
    daemon.signal(Signal::TERM);
    let ended = daemon.ended().await;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert_eq!(scene.counts().await, whole_shop());
    let row = told(&runner).await;
    assert_eq!(row.state, FiringState::Executed);
    assert_eq!(report(&runner, &row).await.judgement.verdict, Verdict::Aborted);
    left::assert_nothing(scene, &runner).await;
    scene.healthy().await;
}

async fn killed_in_the_middle(scene: &Scene) {
    let runner = Runner::new(scene, "killed");
    let mut daemon = runner.start(serve(scene, &runner, "60s"));
    daemon.until(|e| *e == Event::LossSeen).await;
    daemon.signal(Signal::KILL);
    drop(daemon.ended().await);
    let daemon = runner.start(again(scene, &runner));
    let row = told(&runner).await;
    assert_eq!(row.state, FiringState::Executed, "its drill was opened: it is undone and reported, and not run again");
    let report = report(&runner, &row).await;
    assert_eq!(report.identity.runners.len(), 2, "{:?}", report.identity);
    assert_eq!(report.exercised.status, Exercise::NotSustained, "it was not held for its time: {:?}", report.exercised);
    assert_eq!(scene.counts().await, whole_shop());
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0));
    assert_eq!(runner.journal().await.drills().await.unwrap().len(), 1);
    left::assert_nothing(scene, &runner).await;
    scene.healthy().await;
}
