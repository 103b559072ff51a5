//! What time and the probes make happen: baselines held, guards tripped, losses seen, holds over, stability, deadlines.

use super::Drill;
use crate::effect::StepId;
use crate::event::{Event, Refusal};
use crate::plan::{Heal, Plan, Stage, Work};
use crate::rule::{Rule, weakened};
use crate::sample::Stream;
use crate::sight::TargetView;
use crate::time::{Mono, Nanos};
use std::ops::ControlFlow;

/// How much longer than twice its time a baseline may take.
const BASELINE_SPARE: Nanos = Nanos::from_secs(5);

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
            return self.tick_baseline(now, streams);
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
                    && (self.outstanding().next().is_none() || weakened(Rule::CloseOnlyClean))
                    && self.measured()
                    && self.reading_wanted().is_none()
            }
        };
        (over && self.probing_since.is_none()).then_some(Event::Closed)
    }

    /// Everything that can still be settled is settled first, and the fence is made; then what is left is said.
    fn tick_suspend(&self) -> Option<Event> {
        let arms_wait = self.owes(Stage::Inject) || self.undo_next(Stage::Arm).is_empty();
        let stuck = self.fenced
            && self.probing_since.is_none()
            && self.undo_next(Stage::Inject).is_empty()
            && self.measured()
            && self.reading_wanted().is_none()
            && arms_wait;
        let owed: Vec<_> = self.outstanding().collect();
        (stuck && !owed.is_empty()).then_some(Event::Suspended { owed })
    }

    fn tick_baseline(&self, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        if !self.armed() {
            return None;
        }
        let began = self.probing_since?;
        let settings = self.settings();
        let unseen = self.unseen();
        if self.streams.is_empty() && unseen.is_none() {
            return Some(Event::BaselineHeld);
        }
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
        let refused = |why: String, help: &str| Some(Event::Refused(Refusal::new(why, help)));
        match (streams.iter().find(|s| s.ok == 0), unseen) {
            (None, None) if streams.len() >= self.streams.len() => Some(Event::BaselineHeld),
            _ if now < began.plus(Nanos(settings.baseline_ns.0 * 2)).plus(BASELINE_SPARE) => None,
            (Some(mute), _) => {
                let why = format!("the probe {} had no answer at all during the baseline", name(mute));
                refused(why, "See whether the probe can reach the service.")
            }
            (None, Some(target)) => {
                let why = format!("{target} was not seen whole during the baseline");
                refused(
                    why,
                    "What happens to it could not be told. See whether the runner reaches its members, and how busy it is.",
                )
            }
            (None, None) => {
                let why = format!("only {} of {} probe streams started", streams.len(), self.streams.len());
                refused(why, "See whether the probes can reach the service.")
            }
        }
    }

    /// A watched target that was not seen yet, a database with its primary: what became of it could never be told.
    fn unseen(&self) -> Option<&str> {
        let plan = self.plan.as_ref()?;
        let seen = |target: &String| match self.sights.get(target).map(|s| &s.view) {
            Some(TargetView::Postgres(view)) => view.primaries().next().is_some(),
            Some(TargetView::Deployments(_)) => true,
            None => false,
        };
        plan.watch.iter().find(|target| !seen(target)).map(String::as_str)
    }

    /// A guard judges what probes say now: not what they said last before they were stopped.
    fn tick_guards(&self, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        if self.probing_since.is_none() || !self.probing_wanted() {
            return None;
        }
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
            // Hundreds of deployments go one after the other: as long as some still do, it is landing.
            let moved = self.last_move().max(injected_to);
            let over = now >= moved.plus(landing_ns) || now >= injected_to.plus(self.settings().deadline_ns);
            return over.then(|| Event::NotLanded(self.what_did_not_land(landing_ns)));
        };
        if let Heal::Promotion { .. } = &plan.heal
            && self.promoted.is_none()
            && let Some(by) = self.successor(plan)
        {
            return Some(Event::PromotionSeen { by: by.to_owned() });
        }
        // A held fault's recovery is counted from when it is let go.
        let counted_from = match (&plan.heal, self.heal_began) {
            (Heal::Undo { hold_ns, .. } | Heal::Afterwards { hold_ns, .. }, None) => {
                injected_from.plus(*hold_ns).plus(Nanos(2 * landing_ns.0))
            }
            (_, began) => began.unwrap_or(injected_from),
        };
        let late = !self.recovered() && now >= counted_from.plus(self.settings().deadline_ns);
        if let Some(event) = late.then(|| self.deadline(streams)).flatten() {
            return Some(event);
        }
        if self.measured() {
            return (self.reading_wanted().is_none() || self.deadline_passed)
                .then(|| Event::UndoBegan("the drill is over".to_owned()));
        }
        if let Heal::Afterwards { release, hold_ns } = &plan.heal
            && let ControlFlow::Break(event) =
                self.tick_afterwards(release, self.held_since().map(|since| since.plus(*hold_ns)), now)
        {
            return event;
        }
        if let Heal::Undo { waves, hold_ns } = &plan.heal {
            if let Some(event) = self.tick_hold(landed, *hold_ns, now, streams) {
                return Some(event);
            }
            self.heal_began?;
            if usize::from(self.waves_ready) < waves.len() {
                let wave = &waves[usize::from(self.waves_ready)];
                if wave.iter().any(|id| self.owed(*id) && self.hopeless(*id)) {
                    // The later waves do not wait for what cannot be put back now.
                    return Some(Event::UndoBegan(format!("wave {} could not be put back", self.waves_ready + 1)));
                }
                return self.wave_is_ready(wave).then_some(Event::WaveReady(self.waves_ready));
            }
        }
        self.tick_recovery(plan, now, streams)
    }

    /// What was waited for in vain: pods that stay, or anything at all.
    fn what_did_not_land(&self, landing_ns: Nanos) -> String {
        let waited = format!("{:.0} s", landing_ns.as_secs_f64());
        let staying: Vec<String> = self
            .sights
            .values()
            .filter_map(|s| match &s.view {
                TargetView::Deployments(view) => Some(&view.deployments),
                TargetView::Postgres(_) => None,
            })
            .flatten()
            .filter(|d| d.replicas == 0 && d.existing > 0)
            .map(|d| format!("{} still has {} {}", d.name, d.existing, if d.existing == 1 { "pod" } else { "pods" }))
            .collect();
        match staying.as_slice() {
            [] => format!("nothing of it was seen within {waited}"),
            [one] => format!("{one} after {waited} without a change; a finalizer, or a long grace period, keeps it"),
            [one, rest @ ..] => format!(
                "{one} after {waited} without a change, and {} more have some; a finalizer, or a long grace period, keeps them",
                rest.len()
            ),
        }
    }

    /// Since when a fault that is let go afterwards is held: since it was seen, which may be long after it was answered, as
    /// when the answer was lost and the request still came through.
    pub(crate) fn held_since(&self) -> Option<Mono> {
        let (_, answered) = self.injected?;
        Some(answered.max(self.landed?))
    }

    /// What is held until a time, and then let go, before anything counts as recovery.
    fn tick_afterwards(&self, release: &[StepId], until: Option<Mono>, now: Mono) -> ControlFlow<Option<Event>> {
        if self.heal_began.is_none() && (until.is_some_and(|until| now >= until) || weakened(Rule::HoldAtLeast)) {
            return ControlFlow::Break(Some(Event::HealBegan));
        }
        if release.iter().any(|id| self.owed(*id) && self.hopeless(*id)) {
            return ControlFlow::Break(Some(Event::UndoBegan("what was held could not be let go".to_owned())));
        }
        let held = self.heal_began.is_none() || release.iter().any(|id| self.owed(*id));
        if held && !weakened(Rule::BackOnlyAfterwards) { ControlFlow::Break(None) } else { ControlFlow::Continue(()) }
    }

    /// When a watched deployment was last seen to change.
    fn last_move(&self) -> Mono {
        let deployments = self.sights.values().filter(|s| matches!(s.view, TargetView::Deployments(_)));
        deployments.map(|s| s.to_ns).max().unwrap_or_default()
    }

    /// A held fault: its loss must be seen with users' eyes, and then last as declared.
    fn tick_hold(&self, landed: Mono, hold_ns: Nanos, now: Mono, streams: &[StreamNow]) -> Option<Event> {
        if self.heal_began.is_some() {
            return None;
        }
        match self.loss_seen {
            _ if weakened(Rule::HoldAtLeast) => Some(Event::HealBegan),
            Some(seen) => (now >= seen.plus(hold_ns)).then_some(Event::HealBegan),
            None if self.counted(streams).any(|s| s.down_since.is_some()) => Some(Event::LossSeen),
            None if self.streams.is_empty() => Some(Event::LossSeen),
            None => (now >= landed.plus(self.settings().landing_ns))
                .then(|| Event::NotLanded("everything was at zero, and no probe noticed".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::{Phase, StepState};
    use crate::effect::Reply;
    use crate::sample::{StreamInfo, View};
    use crate::sight::{DeploymentView, DeploymentsView, PostgresView, Sight};
    use crate::simulation::Scenario;
    use std::sync::Arc;

    #[test]
    fn nothing_is_done_to_what_was_not_seen_before() {
        let (opening, mut plan) = Scenario::killed().parts();
        plan.steps.clear();
        let mut drill = Drill {
            opening: Some(Arc::new(opening)),
            plan: Some(Arc::new(plan)),
            probing_since: Some(Mono(0)),
            streams: vec![StreamInfo {
                stream: Stream { probe: "shop".to_owned(), view: View::Kept },
                kind: "http".to_owned(),
                period_ns: Nanos(1),
                timeout_ns: Nanos(1),
                asks: "shop".to_owned(),
                excluded: None,
            }],
            ..Drill::default()
        };
        let well = [StreamNow {
            stream: drill.streams[0].stream.clone(),
            failed: 0,
            ok: 9,
            ok_since: Some(Mono(1)),
            ok_until: Some(Mono(2)),
            down_since: None,
        }];
        let settings = drill.settings();
        let (soon, late) = (settings.baseline_ns.0 + 1, settings.baseline_ns.0 * 2 + BASELINE_SPARE.0 + 1);
        assert_eq!(drill.tick_baseline(Mono(soon), &well), None);
        let Some(Event::Refused(refusal)) = drill.tick_baseline(Mono(late), &well) else { panic!("it is refused") };
        assert!(refusal.why.starts_with("target was not seen whole"), "{refusal:?}");
        let blind = TargetView::Postgres(PostgresView::default());
        let mut sight = Sight { target: "target".to_owned(), from_ns: Mono(1), to_ns: Mono(2), view: blind };
        drill.sights.insert("target".to_owned(), sight.clone());
        assert_eq!(drill.tick_baseline(Mono(soon), &well), None, "its members did not answer");
        sight.view = TargetView::Deployments(DeploymentsView::default());
        drill.sights.insert("target".to_owned(), sight);
        assert_eq!(drill.tick_baseline(Mono(soon), &well), Some(Event::BaselineHeld));
    }

    #[test]
    fn what_landed_late_is_held_as_long_as_what_landed_at_once() {
        let (opening, plan) = Scenario::unmanaged().parts();
        let Heal::Afterwards { hold_ns, .. } = plan.heal else { panic!("{:?}", plan.heal) };
        // Its answer was lost, and it arrived later.
        let (answered, landed) = (Mono(10), Mono(10 + hold_ns.0 / 2));
        let lost = StepState {
            phase: Phase::Replied(Reply::Unknown("no answer".to_owned())),
            intended_in: 1,
            conflicts: 0,
            seen_ours: false,
            failures: 0,
            failed_at: Mono(0),
        };
        let drill = Drill {
            steps: vec![lost; plan.steps.len()],
            opening: Some(Arc::new(opening)),
            plan: Some(Arc::new(plan)),
            baseline_held: true,
            injected: Some((Mono(1), answered)),
            landed: Some(landed),
            ..Drill::default()
        };
        assert_eq!(drill.tick(answered.plus(hold_ns), &[]), None);
        assert_eq!(drill.tick(landed.plus(hold_ns), &[]), Some(Event::HealBegan));
    }

    #[test]
    fn pods_that_stay_are_named_when_a_fault_does_not_land() {
        let still_has = |deployments: &[(&str, i32)]| {
            let view = |(name, existing): &(&str, i32)| DeploymentView {
                name: (*name).to_owned(),
                uid: "1".to_owned(),
                replicas: 0,
                existing: *existing,
                ready: 0,
                observed: true,
                drill: None,
                trouble: None,
            };
            let view = TargetView::Deployments(DeploymentsView {
                deployments: deployments.iter().map(view).map(Arc::new).collect(),
            });
            let sight = Sight { target: "web".to_owned(), from_ns: Mono(1), to_ns: Mono(2), view };
            let drill = Drill { sights: [("web".to_owned(), sight)].into(), ..Drill::default() };
            drill.what_did_not_land(Nanos::from_secs(10))
        };
        assert_eq!(still_has(&[("cart", 0)]), "nothing of it was seen within 10 s");
        let one = still_has(&[("cart", 0), ("web", 1)]);
        assert!(one.starts_with("web still has 1 pod after 10 s"), "{one}");
        let more = still_has(&[("cart", 2), ("web", 1)]);
        assert!(more.starts_with("cart still has 2 pods after 10 s") && more.contains("1 more"), "{more}");
    }
}
