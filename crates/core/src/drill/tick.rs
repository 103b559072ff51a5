//! What time and the probes make happen: baselines held, guards tripped, losses seen, holds over, stability, deadlines.

use super::{Drill, Phase};
use crate::effect::Reply;
use crate::event::{Event, Refusal};
use crate::plan::{Heal, Plan, Stage, Work};
use crate::sample::Stream;
use crate::sight::TargetView;
use crate::time::{Mono, Nanos};

/// What a stream looks like now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamNow {
    /// Which.
    pub stream: Stream,
    /// How many of its samples are known to have failed.
    pub failed: u64,
    /// How many were answered rightly.
    pub ok: u64,
    /// Since when every answer was right, counted by when they were sent; `None` while the last one failed, or before any.
    pub ok_since: Option<Mono>,
    /// When the last right answer that belongs to that run was sent.
    pub ok_until: Option<Mono>,
    /// Since when every answer failed.
    pub down_since: Option<Mono>,
}

impl Drill {
    /// What the passing of time makes happen, one event at a time: call again until there is none.
    pub fn tick(&self, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        if self.closed || self.suspended || self.opening.is_none() {
            return None;
        }
        if let Some(event) = self.tick_end() {
            return Some(event);
        }
        let plan = self.plan.as_ref()?;
        if self.undoing.is_some() {
            return self.tick_recovery(plan, now, streams).or_else(|| self.tick_suspend());
        }
        if self.abort.is_some() || self.guard.is_some() || self.refused.is_some() {
            return Some(Event::UndoBegan("the drill was stopped".to_owned()));
        }
        if !self.baseline_held {
            return self.tick_baseline(plan, now, streams);
        }
        if let Some(guard) = self.tick_guards(now, streams) {
            return Some(guard);
        }
        if plan.heal == Heal::Work {
            return self.tick_work(now);
        }
        self.injected?;
        self.tick_injected(plan, now, streams)
    }

    /// The drill ends when nothing is owed and nothing runs.
    fn tick_end(&self) -> Option<Event> {
        let over = match &self.plan {
            None => self.refused.is_some() || self.abort.is_some() || self.undoing.is_some(),
            Some(_) => {
                self.undoing.is_some()
                    && self.fenced
                    && self.outstanding().next().is_none()
                    && self.measured()
                    && self.reading_wanted().is_none()
            }
        };
        (over && self.probing_since.is_none()).then_some(Event::Closed)
    }

    /// Everything that can still be settled is settled first; then what is left is said.
    fn tick_suspend(&self) -> Option<Event> {
        let stuck = if self.owes(Stage::Inject) || !self.fenced {
            self.undo_next(Stage::Inject).is_empty()
                && (self.fenced || self.undo_next(Stage::Arm).is_empty())
                && (!self.fenced || (self.measured() && self.reading_wanted().is_none()))
        } else {
            self.undo_next(Stage::Arm).is_empty()
        };
        let owed: Vec<_> = self.outstanding().collect();
        (stuck && !owed.is_empty() && self.probing_since.is_none()).then_some(Event::Suspended { owed })
    }

    fn tick_baseline(&self, plan: &Plan, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        let armed =
            plan.stage(Stage::Arm).all(|id| self.steps[usize::from(id.0)].phase == Phase::Replied(Reply::Applied));
        if !armed {
            return None;
        }
        let began = match self.probing_since {
            None => return None,
            Some(_) if self.streams.is_empty() => return Some(Event::BaselineHeld),
            Some(began) => began,
        };
        let settings = self.settings();
        let name = |s: &StreamNow| format!("{} ({})", s.stream.probe, s.stream.view.word());
        if let Some(bad) = streams.iter().find(|s| s.failed > u64::from(settings.tolerate)) {
            let why = format!(
                "the probe {} failed {} of {} times before anything was done (at most {} allowed)",
                name(bad),
                bad.failed,
                bad.failed + bad.ok,
                settings.tolerate
            );
            let help = "A drill needs a healthy start. Mend the service or the probe, or raise `baseline.tolerate`.";
            return Some(Event::Refused(Refusal::new(why, help)));
        }
        if now < began.plus(settings.baseline_ns) {
            return None;
        }
        match streams.iter().find(|s| s.ok == 0) {
            None if streams.len() >= self.streams.len() => Some(Event::BaselineHeld),
            _ if now < began.plus(Nanos(settings.baseline_ns.0 * 2)).plus(Nanos::from_secs(5)) => None,
            Some(mute) => {
                let why = format!("the probe {} had no answer at all during the baseline", name(mute));
                Some(Event::Refused(Refusal::new(why, "See whether the probe can reach the service.")))
            }
            None => {
                let why = format!("only {} of {} probe streams started", streams.len(), self.streams.len());
                Some(Event::Refused(Refusal::new(why, "See whether the probes can reach the service.")))
            }
        }
    }

    fn tick_guards(&self, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        self.settings().abort_when.iter().find_map(|rule| {
            let down = streams.iter().find(|s| {
                s.stream.probe == rule.probe && s.down_since.is_some_and(|since| now.since(since) >= rule.down_ns)
            })?;
            Some(Event::GuardTripped(format!(
                "{} ({}) was down for {:.1} s, the limit of its guard",
                rule.probe,
                down.stream.view.word(),
                rule.down_ns.as_secs_f64()
            )))
        })
    }

    /// A drill whose recovery is work: it is over when the work is, or the deadline passed.
    fn tick_work(&self, now: Mono) -> Option<Event> {
        if self.works.get(&Work::Restore) == Some(&super::WorkState::Ended) {
            return Some(Event::UndoBegan("the restore is over".to_owned()));
        }
        let late = self.work_since.is_some_and(|since| now >= since.plus(self.settings().deadline_ns));
        if late && !self.deadline_passed {
            return Some(Event::DeadlinePassed);
        }
        self.deadline_passed.then(|| Event::UndoBegan("the restore was not over by its deadline".to_owned()))
    }

    fn tick_injected(&self, plan: &Plan, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        let (injected_from, injected_to) = self.injected?;
        if let Some(by) = &self.unsustained {
            return Some(Event::UndoBegan(format!("the fault was undone by {by}")));
        }
        if self.not_landed.is_some() {
            return Some(Event::UndoBegan("the fault did not land".to_owned()));
        }
        let landing_ns = self.settings().landing_ns;
        let Some(landed) = self.landed else {
            return (now >= injected_to.plus(landing_ns))
                .then(|| Event::NotLanded(format!("nothing of it was seen within {:.0} s", landing_ns.as_secs_f64())));
        };
        // A held fault's recovery is counted from when it is let go.
        let counted_from = match (&plan.heal, self.heal_began) {
            (Heal::Undo { hold_ns, .. }, None) => injected_from.plus(*hold_ns).plus(Nanos(2 * landing_ns.0)),
            (_, began) => began.unwrap_or(injected_from),
        };
        if !self.deadline_passed && !self.recovered() && now >= counted_from.plus(self.settings().deadline_ns) {
            return Some(Event::DeadlinePassed);
        }
        if self.measured() {
            return (self.reading_wanted().is_none() || self.deadline_passed)
                .then(|| Event::UndoBegan("the drill is over".to_owned()));
        }
        if let Heal::Undo { waves, hold_ns } = &plan.heal {
            if let Some(event) = self.tick_hold(landed, *hold_ns, now, streams) {
                return Some(event);
            }
            self.heal_began?;
            if usize::from(self.waves_ready) < waves.len() {
                let wave = &waves[usize::from(self.waves_ready)];
                return self.wave_is_ready(wave, plan).then_some(Event::WaveReady(self.waves_ready));
            }
        }
        self.tick_recovery(plan, now, streams)
    }

    /// A held fault: its loss must be seen with users' eyes, and then last as declared.
    fn tick_hold(&self, landed: Mono, hold_ns: Nanos, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        if self.heal_began.is_some() {
            return None;
        }
        match self.loss_seen {
            Some(seen) => (now >= seen.plus(hold_ns)).then_some(Event::HealBegan),
            None if self.counted(streams).any(|s| s.down_since.is_some()) => Some(Event::LossSeen),
            None if self.streams.is_empty() => Some(Event::LossSeen),
            None => (now >= landed.plus(self.settings().landing_ns))
                .then(|| Event::NotLanded("everything was at zero, and no probe noticed".to_owned())),
        }
    }

    fn counted<'a>(&'a self, streams: &'a [StreamNow]) -> impl Iterator<Item = &'a StreamNow> {
        streams.iter().filter(|s| !self.settings().excluded.iter().any(|(probe, _)| *probe == s.stream.probe))
    }

    fn wave_is_ready(&self, wave: &[crate::effect::StepId], plan: &Plan) -> bool {
        let settled = wave.iter().all(|id| matches!(self.steps[usize::from(id.0)].phase, Phase::Undone(_)));
        settled
            && self.scaled_are_up(|name| {
                wave.iter().any(|id| plan.step(*id).effect.object().ends_with(&format!("/{name}")))
            })
    }

    fn scaled_are_up(&self, of_interest: impl Fn(&str) -> bool) -> bool {
        let views = || {
            self.sights.values().filter_map(|s| match &s.view {
                TargetView::Deployments(d) => Some(&d.deployments),
                TargetView::Postgres(_) => None,
            })
        };
        self.scaled()
            .filter(|(name, _)| of_interest(name))
            .all(|(name, was)| views().flatten().any(|d| d.name == name && d.replicas >= was && d.up()))
    }

    /// Stability and redundancy, and the end of the time for them.
    fn tick_recovery(&self, plan: &Plan, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        if !self.injection_begun() || self.measured() {
            return None;
        }
        if self.undoing.is_some() && (!self.fenced || !self.undo_next(Stage::Inject).is_empty()) {
            return self.tick_late(now);
        }
        if self.redundant.is_none() && self.is_redundant(plan) {
            return Some(Event::Redundant);
        }
        if self.stable.is_none() && self.is_stable(streams) {
            return Some(Event::Stable);
        }
        self.tick_late(now)
    }

    /// While undoing, the time for recovery is counted from when this runner began.
    fn tick_late(&self, now: Mono) -> Option<Event> {
        let since = self.took_over.or(self.undoing)?;
        (!self.deadline_passed && now >= since.plus(self.settings().deadline_ns)).then_some(Event::DeadlinePassed)
    }

    fn is_redundant(&self, plan: &Plan) -> bool {
        let floor = self.recovery_floor();
        plan.watch.iter().all(|target| {
            self.sights.get(target).is_some_and(|sight| match &sight.view {
                TargetView::Postgres(view) => sight.to_ns >= floor && view.redundant(usize::from(plan.members)),
                TargetView::Deployments(_) => self.scaled_are_up(|_| true),
            })
        })
    }

    fn is_stable(&self, streams: &[StreamNow]) -> bool {
        if self.streams.is_empty() {
            return true;
        }
        if self.probing_since.is_none() {
            return false;
        }
        let floor = self.recovery_floor();
        let k = self.settings().stable_ns;
        let mut counted = self.counted(streams).peekable();
        let mut all = counted.peek().is_some();
        for s in counted {
            let run = s.ok_since.zip(s.ok_until).map(|(since, until)| until.since(since.max(floor)));
            all &= run.is_some_and(|run| run >= k);
        }
        all
    }
}
