//! One view of one service: slots that ask, and the two edges that their answers enclose.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    conversation::{Conversation, Progress, Question},
    record::{Record, ViewKind},
};

/// One connection's place.
#[derive(Debug)]
pub(super) struct Slot {
    question: Question,
    pub(super) conversation: Option<Conversation>,
    /// The send time of the request under way.
    sent_ns: Option<u64>,
}

/// How fast a view asks.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "units come last in names, and all are the same")]
pub(super) struct Pace {
    /// Nanoseconds from one sample to the next while all is well.
    pub(super) calm_ns: u64,
    pub(super) dense_ns: u64,
    pub(super) timeout_ns: u64,
}

/// A view.
#[derive(Debug)]
pub(super) struct View {
    service: String,
    kind: ViewKind,
    address: SocketAddr,
    pace: Pace,
    pub(super) slots: Vec<Slot>,
    turn: usize,
    next_ns: u64,
    /// Answers whose place in the order of sending is not settled yet.
    finished: BTreeMap<u64, Result<(), String>>,
    edges: Edges,
    pub(super) samples: u64,
}

impl View {
    pub(super) fn new(
        service: &str,
        kind: ViewKind,
        address: SocketAddr,
        pace: Pace,
        questions: Vec<Question>,
    ) -> Self {
        let slots =
            questions.into_iter().map(|question| Slot { question, conversation: None, sent_ns: None }).collect();
        Self {
            service: service.to_owned(),
            kind,
            address,
            pace,
            slots,
            turn: 0,
            next_ns: 0,
            finished: BTreeMap::new(),
            edges: Edges::default(),
            samples: 0,
        }
    }

    /// When something is to be done here next: a sample due or a timeout.
    pub(super) fn next_ns(&self) -> u64 {
        let timeouts = self.slots.iter().filter_map(|slot| slot.sent_ns).map(|sent| sent + self.pace.timeout_ns);
        timeouts.chain([self.next_ns]).min().unwrap_or(self.next_ns)
    }

    /// The next sample comes no later than now: something is wrong.
    pub(super) fn hurry(&mut self, now_ns: u64) {
        self.next_ns = self.next_ns.min(now_ns);
    }

    /// Ends what is late and asks when it is time. Returns whether there was a sign of trouble.
    pub(super) fn tick(&mut self, now_ns: u64, dense: Density, clock: impl Fn() -> u64) -> Sign {
        let mut sign = Sign::None;
        for at in 0..self.slots.len() {
            if self.slots[at].sent_ns.is_some_and(|sent| now_ns >= sent + self.pace.timeout_ns) {
                self.slots[at].conversation = None;
                self.finish(at, Err("no answer in time".to_owned()));
                sign = Sign::Trouble;
            }
        }
        if now_ns >= self.next_ns {
            let under_way = self.slots.iter().filter(|slot| slot.sent_ns.is_some()).count();
            let spaced = if under_way * 2 >= self.slots.len() {
                // A stall: what is left of the slots is spread over it, or its end would be known badly.
                self.pace.timeout_ns / u64::try_from(self.slots.len()).unwrap_or(1).max(1)
            } else {
                0
            };
            let period = match dense {
                Density::Calm => self.pace.calm_ns,
                Density::Dense => self.pace.dense_ns,
            };
            self.next_ns = now_ns + period.max(spaced);
            if let Some(at) = self.free_slot()
                && self.ask(at, clock()) == Sign::Trouble
            {
                sign = Sign::Trouble;
            }
        }
        sign
    }

    fn free_slot(&mut self) -> Option<usize> {
        let count = self.slots.len();
        let at = (1..=count).map(|step| (self.turn + step) % count).find(|at| self.slots[*at].sent_ns.is_none())?;
        self.turn = at;
        Some(at)
    }

    /// Sends a request from a slot.
    fn ask(&mut self, at: usize, now_ns: u64) -> Sign {
        self.samples += 1;
        let slot = &mut self.slots[at];
        slot.sent_ns = Some(now_ns);
        let asked = match slot.conversation.as_mut() {
            Some(open) => open.ask(&slot.question),
            None => Conversation::open(self.address, &slot.question).map(|open| slot.conversation = Some(open)),
        };
        match asked {
            Ok(()) => Sign::None,
            Err(error) => {
                slot.conversation = None;
                self.finish(at, Err(error.to_string()));
                Sign::Trouble
            }
        }
    }

    /// A slot's connection has something to say.
    pub(super) fn hear(&mut self, at: usize, clock: impl Fn() -> u64) -> Sign {
        let slot = &mut self.slots[at];
        let Some(open) = slot.conversation.as_mut() else { return Sign::None };
        let was_asked = slot.sent_ns.is_some();
        let heard = open.hear(&slot.question);
        // An answer that waited too long for us to read it is judged by when it was read: it may have been late.
        let late = slot.sent_ns.is_some_and(|sent| clock() > sent + self.pace.timeout_ns);
        let outcome = match heard {
            Ok(Progress::Pending | Progress::Reply(_)) => return Sign::None,
            Ok(Progress::Correct) if late => Err("answered too late".to_owned()),
            Ok(Progress::Correct) => Ok(()),
            Ok(Progress::Wrong(why)) => Err(why),
            Err(why) => {
                slot.conversation = None;
                if !was_asked {
                    // The kept connection ended between two questions: asked again at once, over a new one.
                    let _ = self.ask(at, clock());
                    return Sign::Trouble;
                }
                Err(why)
            }
        };
        if self.kind == ViewKind::Fresh || outcome.is_err() {
            self.slots[at].conversation = None;
        }
        let sign = if outcome.is_err() { Sign::Trouble } else { Sign::None };
        self.finish(at, outcome);
        sign
    }

    fn finish(&mut self, at: usize, outcome: Result<(), String>) {
        if let Some(sent_ns) = self.slots[at].sent_ns.take() {
            self.finished.insert(sent_ns, outcome);
        }
    }

    /// Records the edges that are settled: nothing under way was sent before them.
    pub(super) fn settle(&mut self) -> Vec<Record> {
        let open = self.slots.iter().filter_map(|slot| slot.sent_ns).min().unwrap_or(u64::MAX);
        let mut records = Vec::new();
        while let Some(entry) = self.finished.first_entry() {
            if *entry.key() >= open {
                break;
            }
            let (sent_ns, outcome) = entry.remove_entry();
            records.extend(self.edges.note(&self.service, self.kind, sent_ns, outcome));
        }
        records
    }
}

/// Whether something is wrong somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Density {
    Calm,
    Dense,
}

/// Whether something looks wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    None,
    Trouble,
}

/// What the samples so far, in order of sending, say.
#[derive(Debug, Default)]
enum Edges {
    /// Never answered yet: not an outage, it has not begun to serve.
    #[default]
    Untried,
    /// Asked, and never answered.
    Unborn,
    Up {
        last_ok_ns: u64,
    },
    Down {
        last_failed_ns: u64,
    },
}

impl Edges {
    fn note(&mut self, service: &str, view: ViewKind, sent_ns: u64, outcome: Result<(), String>) -> Option<Record> {
        let service = || service.to_owned();
        let (next, record) = match (&*self, outcome) {
            (Self::Untried, Err(why)) => {
                (Self::Unborn, Some(Record::NotYetUp { service: service(), view, at_ns: sent_ns, why }))
            }
            (Self::Unborn, Err(_)) => (Self::Unborn, None),
            (Self::Untried | Self::Unborn, Ok(())) => {
                (Self::Up { last_ok_ns: sent_ns }, Some(Record::FirstUp { service: service(), view, at_ns: sent_ns }))
            }
            (Self::Up { .. }, Ok(())) => (Self::Up { last_ok_ns: sent_ns }, None),
            (Self::Up { last_ok_ns }, Err(why)) => {
                let down_from = [*last_ok_ns, sent_ns];
                (
                    Self::Down { last_failed_ns: sent_ns },
                    Some(Record::Down { service: service(), view, down_from, why }),
                )
            }
            (Self::Down { .. }, Err(_)) => (Self::Down { last_failed_ns: sent_ns }, None),
            (Self::Down { last_failed_ns }, Ok(())) => {
                let up_at = [*last_failed_ns, sent_ns];
                (Self::Up { last_ok_ns: sent_ns }, Some(Record::Up { service: service(), view, up_at }))
            }
        };
        *self = next;
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_enclosed_by_send_times_and_a_service_not_born_has_none() {
        let mut edges = Edges::default();
        let failed = || Err("refused".to_owned());
        let samples = [(1, failed()), (2, Ok(())), (3, Ok(())), (5, failed()), (6, failed()), (9, Ok(()))];
        let records: Vec<_> = samples
            .into_iter()
            .filter_map(|(sent, outcome)| edges.note("shop", ViewKind::Kept, sent, outcome))
            .map(|record| match record {
                Record::NotYetUp { at_ns, .. } | Record::FirstUp { at_ns, .. } => [at_ns, at_ns],
                Record::Down { down_from, .. } => down_from,
                Record::Up { up_at, .. } => up_at,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(records, [[1, 1], [2, 2], [3, 5], [6, 9]]);
    }
}
