//! What was recorded of a drill, gathered: its state, its streams over all epochs, its looks at targets.

use super::Material;
use crate::chunk;
use crate::drill::Drill;
use crate::effect::{Effect, ObjectRef};
use crate::event::{Event, LedgerReading, Opening, Record, WorkResult};
use crate::plan::{Plan, Work};
use crate::report::{Clock, Moment};
use crate::restore::RestoreRecord;
use crate::sample::{Sample, StreamInfo};
use crate::sight::{DeploymentView, PostgresView, Sight, TargetView};
use crate::time::{Mono, Stamp};

/// Numbers of samples of later epochs are moved up by this much each, so that the gap between two runners is a gap in the
/// numbers too, and reads as time nobody watched.
const EPOCH_SHIFT: u32 = 40;

/// One stream over all epochs.
#[derive(Debug)]
pub(super) struct CaseStream {
    pub(super) info: StreamInfo,
    pub(super) samples: Vec<Sample>,
    /// By epoch: the stream's position, and the servers that answered.
    pub(super) lives: Vec<Life>,
    pub(super) bytes: u64,
    pub(super) sealed: Vec<String>,
}

/// A stream in one epoch.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) epoch: u64,
    pub(super) position: u16,
    pub(super) nodes: Vec<String>,
    /// Its samples, with their own numbers.
    pub(super) samples: Vec<Sample>,
}

/// A drill, as its records and samples tell it.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) records: &'a [Record],
    pub(super) drill: Drill,
    pub(super) opening: &'a Opening,
    pub(super) clock: Clock,
    pub(super) streams: Vec<CaseStream>,
    /// All looks, in order, each of them whole.
    sights: Vec<Sight>,
    /// Chunks that could not be read.
    pub(super) unreadable: Vec<String>,
}

impl<'a> Case<'a> {
    pub(super) fn of(material: &Material<'a>) -> Self {
        let records = material.records;
        let first = records.first().expect("a report is made of at least one record");
        let Event::Opened(opening) = &first.event else { panic!("the first record is the opening") };
        let drill = Drill::replay(records).expect("the journal's records were applied when they were written");
        let mut clock = Clock::new(first.at.clone(), Moment(0));
        clock.closed_ns = records.last().map_or(Moment(0), |last| clock.moment_of(&last.at));
        clock.steps = records
            .iter()
            .filter_map(|r| match r.event {
                Event::ClockStepped { by_ns } => {
                    Some(crate::report::ClockStep { at_ns: clock.moment_of(&r.at), by_ns })
                }
                _ => None,
            })
            .collect();
        let (streams, unreadable) = streams(material);
        Self { records, drill, opening, clock, streams, sights: sights(records), unreadable }
    }

    pub(super) fn plan(&self) -> Option<&Plan> {
        self.drill.plan.as_deref()
    }

    /// The first event that a test picks something out of, with its record.
    pub(super) fn find<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> Option<(&Record, T)> {
        self.records.iter().find_map(|r| pick(&r.event).map(|t| (r, t)))
    }

    /// When an event was recorded first.
    pub(super) fn stamp_of(&self, is: impl Fn(&Event) -> bool) -> Option<&Stamp> {
        self.records.iter().find(|r| is(&r.event)).map(|r| &r.at)
    }

    /// All looks, in order.
    pub(super) fn sights(&self) -> impl Iterator<Item = &Sight> {
        self.sights.iter()
    }

    /// The looks at database clusters, in order.
    pub(super) fn postgres_sights(&self) -> impl Iterator<Item = (&Sight, &PostgresView)> {
        self.sights().filter_map(|s| match &s.view {
            TargetView::Postgres(view) => Some((s, view)),
            TargetView::Deployments(_) => None,
        })
    }

    /// The deployments that were scaled, with their captured counts.
    pub(super) fn scaled(&self) -> impl Iterator<Item = (&ObjectRef, i32)> {
        self.plan().into_iter().flat_map(|plan| &plan.steps).filter_map(|step| match &step.effect {
            Effect::Scale { object, was, .. } => Some((object, *was)),
            _ => None,
        })
    }

    /// What was seen last of a deployment.
    pub(super) fn last_seen(&self, deployment: &str) -> Option<&DeploymentView> {
        self.sights.iter().rev().find_map(|sight| match &sight.view {
            TargetView::Deployments(view) => view.of(deployment),
            TargetView::Postgres(_) => None,
        })
    }

    /// The injection, between its first request and its last answer. A runner that died between the intent and the answer
    /// leaves the time of the take-over as the answer's bound.
    pub(super) fn injection(&self) -> Option<(Mono, Mono)> {
        let plan = self.plan()?;
        let intended = self.records.iter().position(|r| match &r.event {
            Event::Intended(intents) => intents.iter().any(|i| plan.step(i.step).stage == crate::plan::Stage::Inject),
            _ => false,
        })?;
        let answered = self.records.iter().skip(intended).any(|r| match &r.event {
            Event::Replied(a) => plan.step(a.step).stage == crate::plan::Stage::Inject,
            _ => false,
        });
        match self.drill.injected {
            Some(injected) => Some(injected),
            None if answered => None,
            None => {
                let from = self.records[intended].at.mono_ns;
                Some((from, self.drill.took_over.unwrap_or(from).max(from)))
            }
        }
    }

    /// When firedrill began to bring the service back: the beginning of healing, or of an undo before it.
    pub(super) fn heal_began(&self) -> Option<Mono> {
        self.drill.heal_began.or(self.drill.undoing)
    }

    /// The readings of the ledger, one list a pass; and why one failed.
    pub(super) fn readings(&self) -> (Vec<(&Record, &LedgerReading)>, Option<String>) {
        let mut failed = None;
        let mut readings = Vec::new();
        for record in self.records {
            if let Event::WorkEnded(end) = &record.event
                && matches!(end.work, Work::ReadLedger { .. })
            {
                match &end.result {
                    WorkResult::Ledger(all) => readings.extend(all.iter().map(|r| (record, r))),
                    WorkResult::Failed(why) => failed = Some(why.clone()),
                    WorkResult::Restore(_) => {}
                }
            }
        }
        (readings, failed)
    }

    /// The restore, or why it could not be done.
    pub(super) fn restore(&self) -> Option<Result<&RestoreRecord, &str>> {
        self.records.iter().find_map(|r| match &r.event {
            Event::WorkEnded(end) if end.work == Work::Restore => match &end.result {
                WorkResult::Restore(record) => Some(Ok(&**record)),
                WorkResult::Failed(why) => Some(Err(why.as_str())),
                WorkResult::Ledger(_) => None,
            },
            _ => None,
        })
    }
}

/// Every look as it saw its target, also where only what had changed was written down.
fn sights(records: &[Record]) -> Vec<Sight> {
    let mut sights: Vec<Sight> = Vec::new();
    for record in records {
        match &record.event {
            Event::Sighted(sight) => sights.push(sight.clone()),
            Event::Changed(change) => {
                let before = sights.iter().rfind(|s| s.target == change.target);
                let mut sight = before.expect("the journal's records were applied when they were written").clone();
                change.onto(&mut sight).expect("the journal's records were applied when they were written");
                sights.push(sight);
            }
            _ => {}
        }
    }
    sights
}

/// Every stream, its samples of all epochs in one record.
fn streams(material: &Material<'_>) -> (Vec<CaseStream>, Vec<String>) {
    let mut streams: Vec<CaseStream> = Vec::new();
    let mut unreadable = Vec::new();
    // By epoch and position: which stream.
    let mut places: Vec<(u64, u16, usize)> = Vec::new();
    for record in material.records {
        let epoch = record.epoch.0;
        match &record.event {
            Event::ProbingBegan(infos) => {
                for (position, info) in infos.iter().enumerate() {
                    let index = streams.iter().position(|s| s.info.stream == info.stream).unwrap_or_else(|| {
                        streams.push(CaseStream {
                            info: info.clone(),
                            samples: Vec::new(),
                            lives: Vec::new(),
                            bytes: 0,
                            sealed: Vec::new(),
                        });
                        streams.len() - 1
                    });
                    let position = u16::try_from(position).unwrap_or(u16::MAX);
                    streams[index].lives.push(Life { epoch, position, nodes: Vec::new(), samples: Vec::new() });
                    places.push((epoch, position, index));
                }
            }
            Event::ProbingEnded(nodes) => {
                for life in streams.iter_mut().flat_map(|s| &mut s.lives).filter(|l| l.epoch == epoch) {
                    life.nodes = nodes.get(usize::from(life.position)).cloned().unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    for stored in &material.chunks {
        let place = places.iter().find(|(epoch, position, _)| *epoch == stored.epoch && *position == stored.stream);
        let Some((_, _, index)) = place else { continue };
        let stream = &mut streams[*index];
        match chunk::decode(&stored.bytes) {
            Ok(decoded) => {
                stream
                    .samples
                    .extend(decoded.samples.iter().map(|s| Sample { seq: case_seq(stored.epoch, s.seq), ..*s }));
                if let Some(life) = stream.lives.iter_mut().find(|l| l.epoch == stored.epoch) {
                    life.samples.extend(&decoded.samples);
                }
                stream.bytes += stored.bytes.len() as u64;
                stream.sealed.push(chunk::digest(&stored.bytes).to_string());
            }
            Err(why) => unreadable.push(format!(
                "chunk {} of {} ({}): {why}",
                stored.chunk,
                stream.info.stream.probe,
                stream.info.stream.view.word()
            )),
        }
    }
    (streams, unreadable)
}

/// The epoch of a write and its number there, from its number in the case.
pub(super) fn own_seq(seq: u64) -> (u64, u64) {
    ((seq >> EPOCH_SHIFT) + 1, seq & ((1 << EPOCH_SHIFT) - 1))
}

/// The number of a write in the case, from its epoch and its number there.
pub(super) fn case_seq(epoch: u64, seq: u64) -> u64 {
    seq + (epoch.saturating_sub(1) << EPOCH_SHIFT)
}
