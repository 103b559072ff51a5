//! The daemon's rounds: what is due is written down first, and then begun or not.

use crate::daemon::WallClock;
use crate::daemon::clock::Clock;
use crate::daemon::drills::{Begin, Drills, Ended, Runner};
use crate::daemon::glance::{Glance, Scheduled};
use crate::daemon::shelf::{Change, Duty, Shelf};
use crate::halt::Halt;
use crate::runner::progress::Picture;
use crate::runner::{self, Left, RunError};
use crate::store::{FiringRow, FiringState, Journal, JournalError};
use firedrill_core::report::Trigger;
use firedrill_core::timetable::{Fate, Timetable};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const REFRESH_EVERY: SignedDuration = SignedDuration::from_secs(5);
/// How often what is owed is tried again, and late passes are looked for.
const TIDY_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// How far back missed firings are told one by one. Longer than any of them is still run late.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(8 * 24);
/// How long to wait before a journal that could not be written is tried again.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(1);

/// What a daemon does, by a clock, with a shelf of experiments and somebody who carries drills out.
#[derive(Debug)]
pub struct Rounds<C, D> {
    journal: Arc<Journal>,
    shelf: Shelf,
    clock: C,
    drills: Arc<D>,
    at_once: usize,
    /// When each key is next due, the soonest first.
    due: BTreeSet<(Timestamp, String)>,
    /// Until when the firings of each key were considered.
    until: BTreeMap<String, Timestamp>,
    waiting: VecDeque<FiringRow>,
    under_way: BTreeMap<String, FiringRow>,
    tasks: JoinSet<Ended>,
    /// Whose each task is.
    keys: HashMap<tokio::task::Id, String>,
    overdue: BTreeSet<String>,
    glances: watch::Sender<Glance>,
}

/// Serves until it is stopped: then what is under way is undone and reported first.
///
/// # Errors
/// When the journal cannot be read at the start.
pub async fn serve(
    journal: Arc<Journal>,
    shelf: Shelf,
    runner: Runner,
    at_once: usize,
    glances: watch::Sender<Glance>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let drills = Arc::new(runner);
    let mut rounds = Rounds::new(Arc::clone(&journal), shelf, WallClock, Arc::clone(&drills), at_once);
    rounds.glances = glances;
    tend(&drills, &stop).await?;
    rounds.begin().await?;
    let tending = tokio::spawn(tend_again_and_again(drills, stop.clone()));
    let (mut tidied, mut refreshed) = (rounds.clock.now(), rounds.clock.now());
    while !stop.is_cancelled() {
        rounds.round(&stop).await;
        if rounds.clock.now() >= refreshed + REFRESH_EVERY {
            refreshed = rounds.clock.now();
            if let Err(why) = rounds.refresh().await {
                tracing::error!(%why, "what changed cannot be written down");
            }
        }
        if rounds.clock.now() >= tidied + TIDY_EVERY {
            tidied = rounds.clock.now();
            if let Err(why) = rounds.tidy().await {
                tracing::error!(%why, "what was begun could not be looked at; it is tried again");
            }
        }
    }
    rounds.end().await;
    // It ends with the stop, after what it has in hand.
    let _ = tending.await;
    Ok(())
}

/// Beside the rounds: giving back may take long, and nothing is to begin late for it.
async fn tend_again_and_again(drills: Arc<Runner>, stop: CancellationToken) {
    let every = std::time::Duration::try_from(TIDY_EVERY).unwrap_or_default();
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        if let Err(why) = tend(&drills, &stop).await {
            tracing::error!(%why, "what is owed could not be looked at; it is tried again");
        }
    }
}

/// Deals with what dead runners left, also those of other processes of this machine.
async fn tend(drills: &Runner, stop: &CancellationToken) -> Result<(), RunError> {
    let (pictures, _shown) = watch::channel(Picture::default());
    let filers = |drill: &firedrill_core::drill::Drill| drills.filers(drill);
    for dealt in runner::deal_with_the_dead(&drills.journal, "the daemon's rounds", stop, &pictures, filers).await? {
        let (drill, experiment) = (&dealt.drill, &dealt.experiment);
        let verdict = dealt.reported.as_ref().map(|r| r.report.judgement.verdict.word());
        match (verdict, dealt.left, dealt.closed) {
            (Ok(verdict), Left::Open, true) => {
                tracing::warn!(drill, experiment, verdict, "left open by a runner that died: undone and reported");
            }
            (Ok(verdict), Left::Unreported, _) => tracing::info!(drill, experiment, verdict, "reported"),
            (Ok(_), Left::Open, false) => tracing::error!(drill, experiment, "something of it is still there"),
            (Err(why), ..) => tracing::error!(drill, experiment, %why, "could not be dealt with"),
        }
    }
    Ok(())
}

impl<C: Clock, D: Drills> Rounds<C, D> {
    /// Rounds that have not begun.
    pub fn new(journal: Arc<Journal>, shelf: Shelf, clock: C, drills: Arc<D>, at_once: usize) -> Self {
        Self {
            journal,
            shelf,
            clock,
            drills,
            at_once,
            due: BTreeSet::new(),
            until: BTreeMap::new(),
            waiting: VecDeque::new(),
            under_way: BTreeMap::new(),
            tasks: JoinSet::new(),
            keys: HashMap::new(),
            overdue: BTreeSet::new(),
            glances: watch::Sender::default(),
        }
    }

    /// Reads the files that changed. A schedule that is new or another counts from now on, never for the time before.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub async fn refresh(&mut self) -> Result<(), JournalError> {
        self.take_in(&BTreeMap::new()).await
    }

    /// Reads the files that changed; what is `known` from before counts from where it was left.
    async fn take_in(&mut self, known: &BTreeMap<String, Timestamp>) -> Result<(), JournalError> {
        let changes = self.shelf.refresh();
        if changes.is_empty() {
            return Ok(());
        }
        for change in &changes {
            match change {
                Change::Loaded { key, schedule, before } => {
                    tracing::info!(key, schedule, "loaded");
                    match (known.get(key), before) {
                        (Some(until), _) => drop(self.until.insert(key.clone(), *until)),
                        // What was due until now is settled as it was planned then.
                        (None, Some(before)) => self.consider_by(key, before).await?,
                        (None, None) => {
                            let now = self.clock.now();
                            self.journal.consider(key, nanoseconds(now), Vec::new()).await?;
                            self.until.insert(key.clone(), now);
                        }
                    }
                }
                Change::Gone(key) => tracing::warn!(key, "gone: it is not run any more"),
                Change::Bad { file, why } => {
                    tracing::error!(file = %file.display(), "{why}\nits last good version stays, if there was one");
                }
            }
        }
        self.plan();
        Ok(())
    }

    /// Takes up what an earlier daemon knew: until when firings were considered, and those that it had begun.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub async fn begin(&mut self) -> Result<(), JournalError> {
        let considered = self.journal.considered().await?;
        let read = |ns: i64| Timestamp::from_nanosecond(i128::from(ns)).ok();
        let known = considered.into_iter().filter_map(|(key, ns)| Some((key, read(ns)?))).collect();
        self.take_in(&known).await?;
        self.tidy().await
    }

    /// Notes when each experiment is next due. One that is new is due from now on.
    fn plan(&mut self) {
        let now = self.clock.now();
        self.due.clear();
        for (key, duty) in self.shelf.duties() {
            let after = *self.until.entry(key.clone()).or_insert(now);
            self.due.extend(duty.timetable.next(after).map(|firing| (firing.due, key.clone())));
        }
    }

    /// One round: waits for the next thing that happens, and does what follows.
    pub async fn round(&mut self, stop: &CancellationToken) {
        let now = self.clock.now();
        let refresh = now + REFRESH_EVERY;
        let next = self.due.first().map_or(refresh, |(at, _)| (*at).min(refresh));
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.clock.until(next) => {}
            Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
        }
        while let Some((at, key)) = self.due.first().cloned().filter(|(at, _)| *at <= self.clock.now()) {
            self.due.remove(&(at, key.clone()));
            if let Err(why) = self.consider(&key).await {
                tracing::error!(key, %why, "nothing begins: what is due cannot be written down. It is tried again");
                self.due.insert((self.clock.now() + AGAIN_AFTER, key));
                break;
            }
        }
        self.begin_waiting(stop);
        self.show();
    }

    /// Shows where the daemon is to who looks.
    fn show(&self) {
        if self.glances.receiver_count() == 0 {
            return;
        }
        let due: BTreeMap<&String, Timestamp> = self.due.iter().rev().map(|(at, key)| (key, *at)).collect();
        let scheduled = |(key, duty): (&String, &Duty)| {
            let scheduled = Scheduled {
                experiment: duty.experiment.clone(),
                environment: duty.environment.clone(),
                schedule: duty.schedule.clone(),
                next: due.get(key).copied(),
                pass_every: duty.pass_every,
            };
            (key.clone(), scheduled)
        };
        self.glances.send_replace(Glance {
            at: Some(self.clock.now()),
            experiments: self.shelf.duties().iter().map(scheduled).collect(),
            under_way: self
                .under_way
                .iter()
                .map(|(k, row)| (k.clone(), row.drill.clone().unwrap_or_default()))
                .collect(),
            waiting: self.waiting.len(),
            bad: self.shelf.bad().clone(),
            halted: Halt::stands(self.journal.dir()),
        });
    }

    /// Decides what becomes of the firings of a key that are due, writes that down, and only then lets them begin.
    async fn consider(&mut self, key: &str) -> Result<(), JournalError> {
        let Some(duty) = self.shelf.duties().get(key) else { return Ok(()) };
        let timetable = Arc::clone(&duty.timetable);
        self.consider_by(key, &timetable).await?;
        let after = self.until.get(key).copied().unwrap_or_else(|| self.clock.now());
        self.due.extend(timetable.next(after).map(|firing| (firing.due, key.to_owned())));
        Ok(())
    }

    /// The same, by a timetable that may not be the newest.
    async fn consider_by(&mut self, key: &str, timetable: &Timetable) -> Result<(), JournalError> {
        let Some(duty) = self.shelf.duties().get(key).cloned() else { return Ok(()) };
        let now = self.clock.now();
        let since = self.until.get(key).copied().unwrap_or(now);
        let from = since.max(now - LOOK_BACK);
        let mut rows = Vec::new();
        if from > since && timetable.next(since).is_some_and(|firing| firing.due <= from) {
            let why = format!("nobody was there from {since} to {from}: the firings of that time are not listed");
            rows.push(row(&duty, key, since, since, now, FiringState::Missed, why));
        }
        for (firing, fate) in timetable.settle(from, now) {
            let (state, why) = match fate {
                Fate::Begin => self.place(key),
                Fate::Missed(why) => (FiringState::Missed, why),
                Fate::Skipped(why) => (FiringState::Skipped, why),
            };
            rows.push(row(&duty, key, firing.planned, firing.due, now, state, why));
        }
        let fresh = self.journal.consider(key, nanoseconds(now), rows).await?;
        self.until.insert(key.to_owned(), now);
        for row in fresh {
            let (planned, why) = (time(row.planned_ns), &row.why);
            match row.state {
                FiringState::Begun => self.waiting.push_back(row),
                state => tracing::warn!(key, %planned, why, "{}", state.word()),
            }
        }
        Ok(())
    }

    /// Whether a firing may begin: nothing halts, and the place of its key is free.
    fn place(&self, key: &str) -> (FiringState, String) {
        if let Some(halted) = Halt::stands(self.journal.dir()) {
            return (FiringState::Skipped, halted);
        }
        let there = self.under_way.get(key).or_else(|| self.waiting.iter().find(|row| row.key == key));
        match there {
            None => (FiringState::Begun, String::new()),
            Some(row) => {
                let drill = row.drill.as_deref().unwrap_or_default();
                (FiringState::Skipped, format!("the drill before it, {drill}, is still under way"))
            }
        }
    }

    /// Begins what waits, as far as there is room.
    fn begin_waiting(&mut self, stop: &CancellationToken) {
        while self.under_way.len() < self.at_once
            && let Some(row) = self.waiting.pop_front()
        {
            let Some(duty) = self.shelf.duties().get(&row.key) else {
                tracing::warn!(
                    key = row.key,
                    "its file is gone: it does not begin, and is told as missed at the next tidying"
                );
                continue;
            };
            let (Some(drill), planned) = (row.drill.clone(), time(row.planned_ns)) else { continue };
            let late_ms = self.clock.now().duration_since(time(row.due_ns)).as_millis();
            tracing::info!(key = row.key, drill, %planned, late_ms, "begins");
            let trigger = Trigger::Schedule(format!("{}, planned for {planned}", duty.schedule));
            let begin = Begin { drill, sources: duty.sources.clone(), trigger };
            let (drills, key) = (Arc::clone(&self.drills), row.key.clone());
            let abort = stop.child_token();
            self.under_way.insert(key.clone(), row);
            let task = self.tasks.spawn(async move { drills.run(begin, abort).await });
            self.keys.insert(task.id(), key);
        }
    }

    /// A drill is over.
    async fn ended(&mut self, ended: Result<(tokio::task::Id, Ended), tokio::task::JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, ended),
            Err(e) => {
                tracing::error!(why = %e, "a drill broke: a bug of firedrill. What it left is put back in a minute");
                (e.id(), Ended::Owed)
            }
        };
        let Some(key) = self.keys.remove(&id) else { return };
        let Some(row) = self.under_way.remove(&key) else { return };
        let (state, why) = match ended {
            Ended::Closed(verdict) => {
                tracing::info!(key, drill = row.drill, verdict, "over");
                (FiringState::Executed, String::new())
            }
            Ended::Owed => {
                tracing::error!(key, drill = row.drill, "something of it is still there; it is tried again");
                return;
            }
            Ended::Failed(why) => {
                tracing::error!(key, why, "could not be opened");
                (FiringState::Failed, why)
            }
        };
        if let Err(why) = self.journal.end_firing(&row.key, row.planned_ns, state, &why).await {
            tracing::error!(key, %why, "the end of a firing could not be written down; it is tried again");
        }
    }

    /// Settles the firings that were begun and that nobody here carries out: those of a daemon that died.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub async fn tidy(&mut self) -> Result<(), JournalError> {
        for row in self.journal.begun_firings().await? {
            let here = |other: &FiringRow| other.key == row.key && other.planned_ns == row.planned_ns;
            if self.under_way.values().chain(&self.waiting).any(here) {
                continue;
            }
            let drill = match &row.drill {
                Some(id) => self.journal.drill(id).await?,
                None => None,
            };
            let (state, why) = match drill {
                Some(drill) if drill.closed && drill.verdict.is_some() => (FiringState::Executed, String::new()),
                Some(_) => continue,
                None => match self.again(&row) {
                    Ok(()) => {
                        self.waiting.push_back(row);
                        continue;
                    }
                    Err(why) => (FiringState::Missed, why),
                },
            };
            self.journal.end_firing(&row.key, row.planned_ns, state, &why).await?;
        }
        self.tell_overdue().await
    }

    /// Whether a firing whose drill was never opened may still begin.
    fn again(&self, row: &FiringRow) -> Result<(), String> {
        let died = "the daemon ended before its drill was opened";
        let duty = self.shelf.duties().get(&row.key).ok_or_else(|| format!("{died}, and its file is gone"))?;
        let (due, planned) = (time(row.due_ns), time(row.planned_ns));
        let fates = duty.timetable.settle(due - SignedDuration::from_nanos(1), self.clock.now());
        match fates.into_iter().find(|(firing, _)| firing.planned == planned).map(|(_, fate)| fate) {
            Some(Fate::Begin) if self.place(&row.key).0 == FiringState::Begun => Ok(()),
            Some(Fate::Missed(why) | Fate::Skipped(why)) => Err(format!("{died}: {why}")),
            Some(Fate::Begin) | None => Err(died.to_owned()),
        }
    }

    /// Says which experiments have not passed for too long, once for each time that it comes to that.
    async fn tell_overdue(&mut self) -> Result<(), JournalError> {
        let passes = self.journal.last_passes().await?;
        let now = self.clock.now();
        for (key, duty) in self.shelf.duties() {
            let Some(every) = duty.pass_every else { continue };
            let last = passes.get(&duty.experiment).map(|ns| time(*ns));
            if last.is_some_and(|last| now.duration_since(last) <= every.signed()) {
                self.overdue.remove(key);
            } else if self.overdue.insert(key.clone()) {
                let last = last.map_or_else(|| "never".to_owned(), |last| last.to_string());
                tracing::error!(key, last, "has not passed in the time that `pass-every` gives it");
            }
        }
        Ok(())
    }

    /// Waits until what is under way is over.
    pub async fn end(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended).await;
        }
    }
}

fn row(
    duty: &Duty,
    key: &str,
    planned: Timestamp,
    due: Timestamp,
    now: Timestamp,
    state: FiringState,
    why: String,
) -> FiringRow {
    FiringRow {
        key: key.to_owned(),
        planned_ns: nanoseconds(planned),
        due_ns: nanoseconds(due),
        experiment: duty.experiment.clone(),
        environment: duty.environment.clone(),
        state,
        why,
        drill: (state == FiringState::Begun).then(runner::new_drill),
        decided_ns: nanoseconds(now),
    }
}

/// UTC, nanoseconds since 1970: enough until the year 2262.
fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}

fn time(ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::UNIX_EPOCH)
}
