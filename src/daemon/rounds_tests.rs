//! The rounds by a clock that leaps from one thing to the next: which firings begin, in which order, and what is written
//! down of the others.

use super::clock::Clock;
use super::drills::{Begin, Drills, Ended};
use super::rounds::Rounds;
use super::shelf::Shelf;
use crate::store::{FiringState, Journal};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const ESTATE: &str = "environment: lab\nallow: [scale-to-zero]\ntargets:\n  web: { deployments: { namespace: shop, select: \
                      all } }\nprobes:\n  front: { http: { url: \"http://127.0.0.1:1/\", status: 200 } }\n";

fn experiment(name: &str, schedule: &str) -> String {
    format!(
        "experiment: {name}\ntitle: A drill\nowner: tests@ultramarket.example\nobjectives: {{ rto: 2m }}\nprobes: [front]\n\
         method: [ {{ scale-to-zero: {{ target: web }} }} ]\nschedule: {schedule}\n"
    )
}

/// A directory of experiments with an estate beside it, and a journal.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("firedrill-rounds-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(dir.join("experiments")).unwrap();
        std::fs::write(dir.join("estate.yaml"), ESTATE).unwrap();
        Self { dir }
    }

    fn write(&self, name: &str, schedule: &str) {
        self.put(name, &experiment(name, schedule));
    }

    fn put(&self, name: &str, text: &str) {
        // By a rename, as editors and mounts do it: another file, whatever the clock of the file system is worth.
        let (new, path) = (self.dir.join("new"), self.dir.join("experiments").join(format!("{name}.yaml")));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(vec![(self.dir.join("experiments"), self.dir.join("estate.yaml"))])
    }

    async fn journal(&self) -> Arc<Journal> {
        Arc::new(Journal::open(&self.dir.join("state")).await.unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// It is at once as late as somebody waits for.
#[derive(Clone)]
struct Leaping(Arc<Mutex<Timestamp>>);

impl Leaping {
    fn at(text: &str) -> Self {
        Self(Arc::new(Mutex::new(text.parse().unwrap())))
    }

    fn leap(&self, to: &str) {
        *self.0.lock().unwrap() = to.parse().unwrap();
    }
}

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn until(&self, at: Timestamp) {
        // What is ready to happen now happens first.
        tokio::task::yield_now().await;
        let mut now = self.0.lock().unwrap();
        *now = (*now).max(at);
    }
}

/// Writes down what was begun and when. Each is over at once, or when it is let go.
#[derive(Debug, Default)]
struct Told {
    begun: Mutex<Vec<(String, String)>>,
    held: Option<Notify>,
}

impl Drills for Told {
    async fn run(&self, begin: Begin, abort: CancellationToken) -> Ended {
        self.begun.lock().unwrap().push((begin.sources[0].path.clone(), begin.trigger.words()));
        if let Some(held) = &self.held {
            tokio::select! { () = held.notified() => {}, () = abort.cancelled() => {} }
        }
        Ended::Closed("PASS".to_owned())
    }
}

impl Told {
    /// The experiments that were begun, with the planned time of each.
    fn begun(&self) -> Vec<(String, String)> {
        let begun = self.begun.lock().unwrap();
        let words = |(path, words): &(String, String)| {
            let name = Path::new(path).file_stem().unwrap().to_str().unwrap().to_owned();
            (name, words.rsplit_once("planned for ").unwrap().1.trim_end_matches(')').to_owned())
        };
        begun.iter().map(words).collect()
    }
}

type Under = Rounds<Leaping, Told>;

async fn rounds(place: &Place, clock: &Leaping, told: &Arc<Told>, at_once: usize) -> Under {
    let mut rounds = Rounds::new(place.journal().await, place.shelf(), clock.clone(), Arc::clone(told), at_once);
    rounds.begin().await.unwrap();
    rounds
}

/// Goes round until a time has come.
async fn go(rounds: &mut Under, clock: &Leaping, until: &str) {
    let (until, never) = (until.parse::<Timestamp>().unwrap(), CancellationToken::new());
    while clock.now() < until {
        rounds.round(&never).await;
    }
}

/// What the journal says of the firings, the oldest first.
async fn written(place: &Place) -> Vec<(String, FiringState, String)> {
    let mut rows = place.journal().await.firings(usize::MAX).await.unwrap();
    rows.reverse();
    rows.into_iter().map(|row| (time(row.planned_ns), row.state, row.why)).collect()
}

fn time(ns: i64) -> String {
    Timestamp::from_nanosecond(i128::from(ns)).unwrap().to_string()
}

#[tokio::test]
async fn ten_thousand_firings_begin_in_their_order_and_none_twice() {
    let place = Place::new();
    // Eleven that fire every minute in the first hour of each day, and one that fires each hour.
    for n in 0..11 {
        place.write(&format!("busy-{n:02}"), "{ cron: \"* 0 * * *\", timezone: UTC }");
    }
    place.write("hourly", "{ cron: \"30 * * * *\", timezone: UTC }");
    let (clock, told) = (Leaping::at("2026-11-30T23:59:30Z"), Arc::new(Told::default()));
    let mut rounds = rounds(&place, &clock, &told, 64).await;
    go(&mut rounds, &clock, "2026-12-15T23:59:30Z").await;
    rounds.end().await;

    let begun = told.begun();
    assert_eq!(begun.len(), 15 * (11 * 60 + 24), "{} of them", begun.len());
    assert!(begun.len() > 10_000 - 300);
    assert!(begun.windows(2).all(|pair| pair[0].1 <= pair[1].1), "in the order of their times");
    let each: BTreeSet<_> = begun.iter().collect();
    assert_eq!(each.len(), begun.len(), "none twice");
    let written = written(&place).await;
    assert_eq!(written.len(), begun.len());
    assert!(written.iter().all(|(_, state, _)| *state == FiringState::Executed));
}

#[tokio::test]
async fn a_drill_that_is_under_way_makes_the_next_firing_skipped_and_others_wait_for_room() {
    let place = Place::new();
    place.write("long", "{ cron: \"0 * * * *\", timezone: UTC }");
    place.write("other", "{ cron: \"30 9 * * *\", timezone: UTC }");
    let (clock, told) =
        (Leaping::at("2026-12-01T08:30:00Z"), Arc::new(Told { held: Some(Notify::new()), ..Told::default() }));
    let mut rounds = rounds(&place, &clock, &told, 1).await;
    go(&mut rounds, &clock, "2026-12-01T10:30:00Z").await;
    assert_eq!(told.begun(), [("long".to_owned(), "2026-12-01T09:00:00Z".to_owned())]);
    told.held.as_ref().unwrap().notify_one();
    go(&mut rounds, &clock, "2026-12-01T10:31:00Z").await;
    let second = ("other".to_owned(), "2026-12-01T09:30:00Z".to_owned());
    assert_eq!(told.begun()[1..], [second], "it waited for room, and kept its planned time");
    told.held.as_ref().unwrap().notify_one();
    rounds.end().await;

    let written = written(&place).await;
    let states: Vec<FiringState> = written.iter().map(|(_, state, _)| *state).collect();
    assert_eq!(states, [FiringState::Executed, FiringState::Executed, FiringState::Skipped], "{written:?}");
    assert!(written[2].2.contains("is still under way"), "{written:?}");
}

#[tokio::test]
async fn what_was_missed_is_written_down_and_the_newest_run_where_that_is_asked_for() {
    let place = Place::new();
    place.write("strict", "{ cron: \"0 * * * *\", timezone: UTC }");
    place.write("patient", "{ cron: \"0 * * * *\", timezone: UTC, missed: { run-once-within: 2h } }");
    let (clock, told) = (Leaping::at("2026-12-01T08:30:00Z"), Arc::new(Told::default()));
    drop(rounds(&place, &clock, &told, 2).await);
    // It has seen both, and is away until then.
    clock.leap("2026-12-01T11:20:00Z");
    let mut rounds = rounds(&place, &clock, &told, 2).await;
    go(&mut rounds, &clock, "2026-12-01T11:21:00Z").await;
    rounds.end().await;

    assert_eq!(told.begun(), [("patient".to_owned(), "2026-12-01T11:00:00Z".to_owned())]);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let written = written(&place).await;
    for (_, state, _) in &written {
        *counts.entry(state.word()).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("executed", 1), ("missed", 5)]), "{written:?}");
}

fn at(text: &str) -> i64 {
    i64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap()
}

#[tokio::test]
async fn a_year_without_a_daemon_is_one_line_and_its_last_days_in_full() {
    let place = Place::new();
    place.write("daily", "{ cron: \"0 10 * * *\", timezone: UTC }");
    place.journal().await.consider("daily in lab", at("2025-12-01T00:00:00Z"), Vec::new()).await.unwrap();
    let (clock, told) = (Leaping::at("2026-12-01T00:00:00Z"), Arc::new(Told::default()));
    let mut rounds = rounds(&place, &clock, &told, 1).await;
    go(&mut rounds, &clock, "2026-12-01T00:00:10Z").await;
    let written = written(&place).await;
    assert_eq!(written.len(), 9, "{written:?}");
    assert!(written[0].2.contains("2025-12-01T00:00:00Z to 2026-11-23T00:00:00Z"), "{written:?}");
    assert!(written.iter().all(|(_, state, _)| *state == FiringState::Missed));
    assert!(told.begun().is_empty());
}

#[tokio::test]
async fn a_firing_that_was_begun_by_a_daemon_that_died_begins_again_or_is_told_as_missed() {
    let place = Place::new();
    place.write("patient", "{ cron: \"0 * * * *\", timezone: UTC, missed: { run-once-within: 2h } }");
    place.write("strict", "{ cron: \"0 * * * *\", timezone: UTC }");
    let (clock, told) =
        (Leaping::at("2026-12-01T08:59:59Z"), Arc::new(Told { held: Some(Notify::new()), ..Told::default() }));
    let mut first = rounds(&place, &clock, &told, 2).await;
    go(&mut first, &clock, "2026-12-01T09:00:01Z").await;
    assert_eq!(told.begun().len(), 2);
    // It dies: neither drill was opened, and nobody heard of their ends.
    drop(first);
    clock.leap("2026-12-01T09:10:00Z");
    let told = Arc::new(Told::default());
    let mut second = rounds(&place, &clock, &told, 2).await;
    go(&mut second, &clock, "2026-12-01T09:11:00Z").await;
    second.end().await;
    assert_eq!(told.begun(), [("patient".to_owned(), "2026-12-01T09:00:00Z".to_owned())]);
    let written = written(&place).await;
    let of = |state| written.iter().filter(|(_, s, _)| *s == state).count();
    assert_eq!((of(FiringState::Executed), of(FiringState::Missed), written.len()), (1, 1, 2), "{written:?}");
}

#[tokio::test]
async fn files_are_read_again_when_they_change_and_of_a_bad_one_the_last_good_version_stays() {
    let place = Place::new();
    place.write("drill", "{ cron: \"0 10 * * *\", timezone: UTC }");
    let (clock, told) = (Leaping::at("2026-12-01T09:00:00Z"), Arc::new(Told::default()));
    let mut rounds = rounds(&place, &clock, &told, 1).await;
    place.write("drill", "{ cron: \"61 10 * * *\", timezone: UTC }");
    rounds.refresh().await.unwrap();
    go(&mut rounds, &clock, "2026-12-01T10:00:10Z").await;
    assert_eq!(told.begun().len(), 1, "the last good version");
    place.write("drill", "{ cron: \"30 10 * * *\", timezone: UTC }");
    rounds.refresh().await.unwrap();
    go(&mut rounds, &clock, "2026-12-01T10:30:10Z").await;
    assert_eq!(told.begun()[1].1, "2026-12-01T10:30:00Z");
    place.put("twin", &experiment("drill", "{ cron: \"45 10 * * *\", timezone: UTC }"));
    rounds.refresh().await.unwrap();
    std::fs::remove_file(place.dir.join("experiments/drill.yaml")).unwrap();
    rounds.refresh().await.unwrap();
    go(&mut rounds, &clock, "2026-12-02T12:00:00Z").await;
    rounds.end().await;
    assert_eq!(told.begun().len(), 2, "a second one of the same name is not run, and what is gone neither");
}

#[tokio::test]
async fn a_schedule_that_is_changed_counts_from_then_on() {
    let place = Place::new();
    place.write("drill", "{ cron: \"0 9 * * *\", timezone: UTC, missed: { run-once-within: 6h } }");
    let (clock, told) = (Leaping::at("2026-12-01T10:00:00Z"), Arc::new(Told::default()));
    let mut first = rounds(&place, &clock, &told, 1).await;
    // The new time of today is over already.
    place.write("drill", "{ cron: \"30 8 * * *\", timezone: UTC, missed: { run-once-within: 6h } }");
    first.refresh().await.unwrap();
    go(&mut first, &clock, "2026-12-01T10:01:00Z").await;
    drop(first);
    let mut again = rounds(&place, &clock, &told, 1).await;
    go(&mut again, &clock, "2026-12-01T10:02:00Z").await;
    assert_eq!(told.begun(), [], "neither then nor after another start");
    go(&mut again, &clock, "2026-12-02T08:30:01Z").await;
    again.end().await;
    assert_eq!(told.begun(), [("drill".to_owned(), "2026-12-02T08:30:00Z".to_owned())]);
}

#[tokio::test]
async fn the_time_between_rounds_is_never_longer_than_until_the_next_firing() {
    let place = Place::new();
    place.write("drill", "{ cron: \"0 10 * * *\", timezone: UTC, jitter: 10m }");
    let (clock, told) = (Leaping::at("2026-12-01T09:00:00Z"), Arc::new(Told::default()));
    let mut rounds = rounds(&place, &clock, &told, 1).await;
    go(&mut rounds, &clock, "2026-12-01T12:00:00Z").await;
    rounds.end().await;
    let rows = place.journal().await.firings(10).await.unwrap();
    let [row] = &rows[..] else { panic!("{rows:?}") };
    let late = SignedDuration::from_nanos(row.decided_ns - row.due_ns);
    assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_millis(1), "{late:?}");
    assert!(row.due_ns > row.planned_ns, "it is put off");
}
