//! Runners that are killed without a warning, at the boundaries of their journal and of their effects: after the next
//! start nothing of the fault is left, the drill is closed and reported, and nothing was injected again.
//!
//! An ordinary run takes a part of the points that changes with the day; `FIREDRILL_CRASH_MATRIX=full` takes all of them
//! and writes `docs/crash-matrix.md`.

use crate::support::points::{At, Struck, strike};
use crate::support::{files, left, runner::Runner, scene::Scene, scene::whole_shop};
use firedrill::targets::cluster::USER_AGENT;
use firedrill_core::event::Event;
use firedrill_core::report::{ResidueState, Verdict};
use firedrill_sandbox::audit::Entry;
use firedrill_sandbox::faults::{Fault, Rule, Selection};
use firedrill_sandbox::process::boottime_ns;
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// One fault or operation whose runner is killed.
struct Case {
    word: &'static str,
    experiment: PathBuf,
}

impl Case {
    fn kill_primary(scene: &Scene) -> Self {
        Self { word: "kill-primary", experiment: scene.write(&files::kill_primary("failover", "1s")) }
    }

    fn scale_to_zero(scene: &Scene) -> Self {
        Self { word: "scale-to-zero", experiment: scene.write(&files::scale_to_zero("1s", "storefront")) }
    }

    fn restore_backup(scene: &Scene) -> Self {
        Self { word: "restore-backup", experiment: scene.write(&files::restore("backups")) }
    }
}

/// How many points of each case an ordinary run takes.
const POINTS: usize = 3;

fn is_full() -> bool {
    std::env::var("FIREDRILL_CRASH_MATRIX").is_ok_and(|v| v == "full")
}

fn day_of_year() -> usize {
    usize::try_from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).day_of_year()).unwrap()
}

/// Runs a drill of a case in a journal of its own, to be killed at a point.
async fn killed(scene: &Scene, case: &Case, name: &str, at: At<'_>) -> (Runner, Struck) {
    let runner = Runner::new(scene, name);
    let struck = strike(&runner, runner.drill(&case.experiment), scene.path(&format!("{name}.points")), Some(at)).await;
    (runner, struck)
}

/// The same, and then the next start after it.
async fn killed_and_recovered(scene: &Scene, case: &Case, name: &str, at: At<'_>) -> Struck {
    let (runner, struck) = killed(scene, case, name, at).await;
    let what = format!("{} at {at:?}, {:?}", case.word, struck.points.last());
    let began_ns = boottime_ns();
    let undone = runner.undo().await;
    assert_eq!(undone.code(), Some(0), "{what}: {undone:?}");
    assert_clean(scene, &runner, &what, began_ns).await;
    struck
}

/// What a request would be called if it injected something.
fn injects(entry: &Entry) -> bool {
    let zero = entry.body.pointer("/spec/replicas") == Some(&json!(0));
    match (entry.verb.as_str(), entry.resource.as_str()) {
        ("patch", "deployments") => zero,
        ("delete", "pods") | ("create", _) => true,
        _ => false,
    }
}

/// Everything is back, the drill is closed and reported, and nothing was injected since.
async fn assert_clean(scene: &Scene, runner: &Runner, what: &str, since_ns: u64) {
    scene.healthy().await;
    assert_eq!(scene.counts().await, whole_shop(), "{what}");
    left::assert_nothing(scene, runner).await;
    let injected: Vec<Entry> = scene.changes().into_iter().filter(|e| e.arrived_ns >= since_ns && injects(e)).collect();
    assert_eq!(injected, Vec::new(), "{what}: injected after the take-over");
}

/// Whether a drill went through all of its phases. How well it could be measured on a busy machine is not the question.
fn is_whole(struck: &Struck) -> bool {
    matches!(struck.ended.code(), Some(0 | 3))
}

/// Every point that a whole drill of a case comes to.
async fn traced(scene: &Scene, case: &Case) -> Vec<String> {
    let runner = Runner::new(scene, &format!("{}-traced", case.word));
    let trace = scene.path(&format!("{}.points", case.word));
    let struck = strike(&runner, runner.drill(&case.experiment), trace, None).await;
    assert!(is_whole(&struck), "{:?}", struck.ended);
    scene.healthy().await;
    left::assert_nothing(scene, &runner).await;
    struck.points
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_primary_killed_at_any_point_leaves_nothing_after_the_next_start() {
    killed_at_any_point(Case::kill_primary).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scale_to_zero_killed_at_any_point_leaves_nothing_after_the_next_start() {
    killed_at_any_point(Case::scale_to_zero).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_backup_killed_at_any_point_leaves_nothing_after_the_next_start() {
    killed_at_any_point(Case::restore_backup).await;
}

#[expect(clippy::print_stderr, reason = "what `--nocapture` shows of a long run")]
async fn killed_at_any_point(case: fn(&Scene) -> Case) {
    let scene = Scene::start().await;
    let case = &case(&scene);
    let points = traced(&scene, case).await;
    let kinds: BTreeSet<&str> = points.iter().map(String::as_str).collect();
    eprintln!("{}: {} points of {} kinds", case.word, points.len(), kinds.len());
    for needed in ["before effect", "after effect", "before undo", "after undo", "before append of closed"] {
        let found = kinds.iter().any(|k| k.starts_with(needed));
        assert!(found, "{}: no point `{needed}` in {kinds:?}", case.word);
    }
    if is_full() {
        let rows = matrix(&scene, case, &points).await;
        record(case.word, &rows);
    } else {
        let kinds: Vec<&str> = kinds.into_iter().collect();
        for turn in 0..POINTS {
            let kind = kinds[(day_of_year() + turn * kinds.len() / POINTS) % kinds.len()];
            killed_and_recovered(&scene, case, &format!("{}-{turn}", case.word), At::Named(kind)).await;
        }
    }
    scene.stop().await;
}

/// Every point from the first to the last, until a runner lives through its number; then those that were traced and had
/// another name this time, by their names.
async fn matrix(scene: &Scene, case: &Case, traced: &[String]) -> String {
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    let mut number = 0;
    let mut unlucky = 0;
    loop {
        let name = format!("{}-{number}-{unlucky}", case.word);
        let struck = killed_and_recovered(scene, case, &name, At::Number(number)).await;
        if struck.killed {
            *ran.entry(struck.points[number].clone()).or_default() += 1;
            (number, unlucky) = (number + 1, 0);
        } else if is_whole(&struck) {
            break;
        } else {
            // On a busy machine a drill may be refused, because a probe was late: that one has fewer points.
            unlucky += 1;
            assert!(unlucky < 5, "{}: no whole drill to be killed at {number}: {:?}", case.word, struck.ended);
        }
    }
    assert!(number * 2 > traced.len(), "{}: {number} points, and {} were traced", case.word, traced.len());
    let traced: BTreeSet<&String> = traced.iter().collect();
    for (turn, point) in traced.iter().enumerate().flat_map(|one| [one; 3]) {
        if !ran.contains_key(point.as_str()) {
            let name = format!("{}-named-{turn}-{}", case.word, uuid::Uuid::now_v7());
            if killed_and_recovered(scene, case, &name, At::Named(point)).await.killed {
                ran.insert((*point).clone(), 1);
            }
        }
    }
    let missed: Vec<_> = traced.iter().filter(|point| !ran.contains_key(point.as_str())).collect();
    assert!(missed.is_empty(), "{}: traced, and nobody was killed there: {missed:?}", case.word);
    let mut rows = String::new();
    for (point, times) in &ran {
        let _ = writeln!(rows, "| {point} | {times} |");
    }
    let _ = writeln!(rows, "| **all** | **{}** |", ran.values().sum::<usize>());
    rows
}

/// Writes a case's section of `docs/crash-matrix.md` anew; those of the others stay.
fn record(word: &str, rows: &str) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/crash-matrix.md");
    let before = std::fs::read_to_string(page).unwrap_or_default();
    let mut sections: BTreeMap<&str, &str> =
        before.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let section = format!(
        "\nThe result of {USER_AGENT} on {date}: every row held.\n\n| point | runners killed there |\n|---|---|\n{rows}",
        date = jiff::Timestamp::now().strftime("%Y-%m-%d"),
    );
    sections.insert(word, &section);
    let mut text = MATRIX_HEAD.to_owned();
    for (word, section) in sections {
        let _ = write!(text, "\n## {word}\n{}\n", section.trim_end().trim_start_matches(' '));
    }
    std::fs::write(page, text).unwrap();
}

const MATRIX_HEAD: &str = "# The crash matrix

A runner is killed with SIGKILL at every boundary of its journal and before and after each effect, for each fault and
operation, on a fresh journal each time. After the next start nothing of the fault is left, the drill is closed and
reported, and the cluster's audit log holds no injection by the runner that took over. The points at which runners were
killed are those that a whole drill was traced to have; how often differs a little from run to run, because probes write
as many chunks as a drill is long.

Repeat it with `make crash-matrix`.
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_whose_runner_died_before_its_report_is_reported_by_the_next() {
    let scene = Scene::start().await;
    let scale = Case::scale_to_zero(&scene);
    for point in ["before report", "before keeping the report"] {
        let name = point.replace(' ', "-");
        let (runner, struck) = killed(&scene, &scale, &name, At::Named(point)).await;
        assert!(struck.killed, "{struck:?}");
        let file = runner.out().join("scale-to-zero/report.json");
        let _ = std::fs::remove_file(&file);
        let undone = runner.undo().await;
        assert_eq!(undone.code(), Some(0), "{undone:?}");
        assert!(file.exists(), "filed by the next start");
        left::assert_nothing(&scene, &runner).await;
        scene.healthy().await;
    }
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_that_is_killed_itself_is_finished_by_the_next_one() {
    let scene = Scene::start().await;
    let scale = Case::scale_to_zero(&scene);
    let points = traced(&scene, &scale).await;
    let effects: Vec<usize> = (0..points.len()).filter(|i| points[*i].starts_with("after effect")).collect();
    let pairs = if is_full() { 12 } else { 2 };
    for pair in 0..pairs {
        // Somewhere from the first effect on: before it there is nothing to recover.
        let at = effects[0] + (day_of_year() + pair * 7) % (points.len() - effects[0] - 2);
        let name = format!("pair-{pair}");
        let (runner, struck) = killed(&scene, &scale, &name, At::Number(at)).await;
        let undo = || runner.command(&[&"undo"]);
        let began_ns = boottime_ns();
        let second = 2 + (day_of_year() + pair * 5) % 12;
        let again = strike(&runner, undo(), scene.path(&format!("{name}.undo")), Some(At::Number(second))).await;
        let what = format!("{:?} then {:?} ({})", struck.points.get(at), again.points.get(second), again.killed);
        let undone = runner.undo().await;
        assert_eq!(undone.code(), Some(0), "{what}: {undone:?}");
        assert_clean(&scene, &runner, &what, began_ns).await;
    }
    scene.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_a_dead_runner_that_lands_late_finds_the_object_moved_on() {
    let scene = Scene::start().await;
    let runner = Runner::new(&scene, "late");
    let on = Selection { user_agent: Some(USER_AGENT.to_owned()), ..Selection::of("patch", "deployments") };
    let faults = scene.sandbox.cluster().faults();
    let late = faults.add(Rule { on, skip: 0, times: Some(3), fault: Fault::Late { delay_ms: 3_000 } });
    let mut drill = runner.start(runner.drill(&scene.write(&files::scale_to_zero("1s", "storefront"))));
    drill.until(|e| matches!(e, Event::Intended(intents) if intents.len() == 3)).await;
    while faults.struck(late) < 3 {
        tokio::time::sleep(crate::support::scene::LOOK_EVERY).await;
    }
    drill.signal(Signal::KILL);
    drill.ended().await;
    let undone = runner.undo().await;
    assert_eq!(undone.code(), Some(0), "{undone:?}");
    let zeroed = || {
        let zero = |e: &Entry| e.body.pointer("/spec/replicas") == Some(&json!(0));
        scene.changes().into_iter().filter(zero).map(|e| e.code).collect::<Vec<_>>()
    };
    let landed = async {
        while zeroed().len() < 3 {
            tokio::time::sleep(crate::support::scene::LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), landed).await.expect("the late requests are executed");
    assert_eq!(zeroed(), [Some(409); 3], "each finds a conflict");
    assert_eq!(scene.counts().await, whole_shop());
    left::assert_nothing(&scene, &runner).await;
    scene.stop().await;
}

/// Where the making of the ledger's table is serialised, as the product has it.
const CREATE_LOCK: i64 = 0x6669_7265_6472_696c;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_a_dead_runner_was_making_is_waited_for_and_dropped() {
    let scene = Scene::start().await;
    let runner = Runner::new(&scene, "making");
    let mut session = scene.database().await.unwrap();
    sqlx::query("select pg_advisory_lock($1)").bind(CREATE_LOCK).execute(&mut session).await.unwrap();
    let mut drill = runner.start(runner.drill(&scene.write(&files::kill_primary("failover", "1s"))));
    drill.until(|e| matches!(e, Event::Intended(_))).await;
    await_waiting(&mut session, 1).await;
    drill.signal(Signal::KILL);
    drill.ended().await;
    let undo = runner.start(runner.command(&[&"undo"]));
    // The dead runner's session, and the next one's look.
    await_waiting(&mut session, 2).await;
    sqlx::query("select pg_advisory_unlock_all()").execute(&mut session).await.unwrap();
    let undone = undo.ended().await;
    assert_eq!(undone.code(), Some(0), "{undone:?}");
    left::assert_nothing(&scene, &runner).await;
    scene.stop().await;
}

/// Waits until so many sessions wait for the lock that this one holds.
async fn await_waiting(session: &mut PgConnection, sessions: i64) {
    let waiting = async {
        let sql = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *session).await.unwrap() < sessions {
            tokio::time::sleep(crate::support::scene::LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(crate::support::scene::SOON, waiting).await.expect("sessions that wait for the lock");
}

fn requests(verb: &str, resource: &str) -> Selection {
    Selection { user_agent: Some(USER_AGENT.to_owned()), ..Selection::of(verb, resource) }
}

/// What goes wrong with the API in one drill, and how the drill must end.
struct Weather {
    name: &'static str,
    experiment: String,
    rules: Vec<Rule>,
    verdict: (Verdict, i32),
}

/// The first three patches of deployments inject, those after them undo.
const UNDOING: u32 = 3;

fn weathers() -> Vec<Weather> {
    let scale = || files::scale_to_zero("1s", "storefront");
    let patches = || requests("patch", "deployments");
    let later = |skip, fault| Rule { on: patches(), skip, times: Some(1), fault };
    let silent = Fault::AnswerLost { hold_ms: None };
    vec![
        Weather {
            name: "answers lost after the effect, of injection and undo",
            experiment: scale(),
            rules: vec![
                later(0, silent.clone()),
                later(UNDOING, silent.clone()),
                Rule::once(requests("delete", "leases"), silent.clone()),
            ],
            verdict: (Verdict::Pass, 0),
        },
        Weather {
            name: "conflicts, then a server that fails while undoing",
            experiment: scale(),
            rules: vec![
                later(0, Fault::Conflict),
                later(UNDOING + 1, Fault::Conflict),
                later(UNDOING + 2, Fault::ServerError),
            ],
            verdict: (Verdict::Pass, 0),
        },
        Weather {
            name: "too many requests, while injecting and while undoing",
            experiment: scale(),
            rules: vec![
                later(1, Fault::TooManyRequests { retry_after_s: 1 }),
                later(UNDOING + 1, Fault::TooManyRequests { retry_after_s: 1 }),
            ],
            verdict: (Verdict::Pass, 0),
        },
        Weather {
            name: "a slow API",
            experiment: scale(),
            rules: vec![Rule::always(patches(), Fault::Slow { delay_ms: 700 })],
            verdict: (Verdict::Pass, 0),
        },
        Weather {
            name: "the lock's answer lost",
            experiment: scale(),
            rules: vec![Rule::once(requests("create", "leases"), silent.clone())],
            verdict: (Verdict::Refused, 5),
        },
        Weather {
            name: "the kill's answer lost",
            experiment: files::kill_primary("failover", "1s"),
            rules: vec![Rule::once(requests("delete", "pods"), silent)],
            verdict: (Verdict::Pass, 0),
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_api_does_the_fault_is_undone_and_the_drill_is_closed() {
    let scene = Scene::start().await;
    let mut wrong: Vec<Value> = Vec::new();
    for (number, weather) in weathers().into_iter().enumerate() {
        let runner = Runner::new(&scene, &format!("weather-{number}"));
        let faults = scene.sandbox.cluster().faults();
        let ids: Vec<u64> = weather.rules.into_iter().map(|rule| faults.add(rule)).collect();
        let ended = runner.run(&scene.write(&weather.experiment)).await;
        let struck: Vec<u32> = ids.into_iter().filter_map(|id| faults.remove(id)).collect();
        assert!(struck.iter().all(|times| *times > 0), "{}: not everything was struck: {struck:?}", weather.name);
        let report = ended.report();
        let found = (report.judgement.verdict, ended.code().unwrap());
        assert_eq!(report.residue.state, ResidueState::Clean, "{}: {:#?}", weather.name, report.residue);
        // Whether a busy machine could ask in time is not the question here.
        let unmeasured = weather.verdict.0 == Verdict::Pass && found == (Verdict::Inconclusive, 3);
        if found != weather.verdict && !unmeasured {
            wrong.push(json!({ "weather": weather.name, "code": ended.code(), "judgement": report.judgement }));
        }
        assert_eq!(scene.counts().await, whole_shop(), "{}", weather.name);
        scene.healthy().await;
        left::assert_nothing(&scene, &runner).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    scene.stop().await;
}
