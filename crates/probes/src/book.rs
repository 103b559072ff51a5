//! The book of one stream: puts finished requests back into the order of their numbers, and hands them on in batches.

use crate::summary::{Live, Summary};
use firedrill_core::sample::{Outcome, Sample};
use firedrill_core::time::{Mono, Nanos};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::UnboundedSender;

/// A batch is handed on when it is this old.
const BATCH_AGE: Nanos = Nanos::from_ms(100);

/// Finished samples of one stream, in the order of their numbers, without a gap to the batch before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The stream, as an index into [`crate::set::ProbeSet::streams`].
    pub stream: usize,
    /// At least one.
    pub samples: Vec<Sample>,
}

/// What a stream shows to other threads.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// As of the last look.
    pub(crate) summary: Summary,
    /// The servers that answered; [`Outcome::Ok`] has an index into it. The first is nobody: it cannot be told.
    pub(crate) nodes: Vec<String>,
}

/// The book of one stream.
#[derive(Debug)]
pub(crate) struct Book {
    stream: usize,
    /// The number of the first sample in `waiting`.
    next_seq: u64,
    /// Finished out of order, and the gaps between them that are still under way.
    waiting: VecDeque<Option<Sample>>,
    ready: Vec<Sample>,
    handed_ns: Mono,
    live: Live,
    nodes: Vec<String>,
    out: UnboundedSender<Batch>,
    shown: Arc<Mutex<Shown>>,
}

impl Book {
    pub(crate) fn new(stream: usize, out: UnboundedSender<Batch>, shown: Arc<Mutex<Shown>>) -> Self {
        Self {
            stream,
            next_seq: 0,
            waiting: VecDeque::new(),
            ready: Vec::new(),
            handed_ns: Mono(0),
            live: Live::default(),
            nodes: vec![String::new()],
            out,
            shown,
        }
    }

    /// Enters a finished sample.
    pub(crate) fn enter(&mut self, sample: Sample) {
        assert!(sample.due_ns <= sample.sent_ns && sample.sent_ns <= sample.done_ns, "out of order: {sample:?}");
        let ahead = sample.seq.checked_sub(self.next_seq).and_then(|n| usize::try_from(n).ok());
        let index = ahead.expect("a sample was entered twice");
        if self.waiting.len() <= index {
            self.waiting.resize(index + 1, None);
        }
        assert!(self.waiting[index].is_none(), "a sample was entered twice: {sample:?}");
        self.waiting[index] = Some(sample);
        while let Some(Some(sample)) = self.waiting.front() {
            self.live.take(sample);
            self.ready.push(*sample);
            self.waiting.pop_front();
            self.next_seq += 1;
        }
    }

    /// Enters a request that was not asked.
    pub(crate) fn unknown(&mut self, seq: u64, due: Mono) {
        self.enter(Sample { seq, due_ns: due, sent_ns: due, done_ns: due, outcome: Outcome::Unknown });
    }

    /// Remembers what a failure was in words.
    pub(crate) fn detail(&mut self, detail: String) {
        self.live.detail(detail);
    }

    /// The index of a server in the table of nodes; 0 when it did not tell, or when there are absurdly many.
    pub(crate) fn node(&mut self, node: Option<String>) -> u16 {
        let Some(node) = node.filter(|n| !n.is_empty()) else { return 0 };
        if let Some(known) = self.nodes.iter().position(|n| *n == node) {
            return u16::try_from(known).unwrap_or(0);
        }
        match u16::try_from(self.nodes.len()) {
            Ok(new) => {
                self.nodes.push(node);
                new
            }
            Err(_) => 0,
        }
    }

    /// Shows the summary, and hands on what is old enough. Never waits: somebody who is reading the summary just then
    /// must not delay the next request, so it is shown at the next look instead.
    pub(crate) fn look(&mut self, now: Mono, in_flight: usize) {
        let shown = Arc::clone(&self.shown);
        if let Ok(mut shown) = shown.try_lock() {
            self.show(&mut shown, now, in_flight);
        }
        if now.since(self.handed_ns) >= BATCH_AGE {
            self.hand_on(now);
        }
    }

    /// Hands on and shows all there is, at the end.
    ///
    /// # Panics
    /// When a request is still under way: the sampler waits for all of them.
    pub(crate) fn close(&mut self, now: Mono) {
        assert!(self.waiting.is_empty(), "a stream was closed before its last outcome was known");
        self.hand_on(now);
        let shown = Arc::clone(&self.shown);
        let mut shown = shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.show(&mut shown, now, 0);
    }

    fn show(&mut self, shown: &mut Shown, now: Mono, in_flight: usize) {
        shown.summary = self.live.summary(now, in_flight);
        if shown.nodes.len() < self.nodes.len() {
            shown.nodes.clone_from(&self.nodes);
        }
    }

    fn hand_on(&mut self, now: Mono) {
        self.handed_ns = now;
        if self.ready.is_empty() {
            return;
        }
        let samples = std::mem::take(&mut self.ready);
        // Nobody listens any longer: the drill is over, and so will this stream be.
        let _ = self.out.send(Batch { stream: self.stream, samples });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::sync::mpsc::unbounded_channel;

    fn ok(seq: u64) -> Sample {
        let at = |ns| Mono(seq * 10 + ns);
        let outcome = Outcome::Ok { node: 0, timeline: 0 };
        Sample { seq, due_ns: at(0), sent_ns: at(1), done_ns: at(2), outcome }
    }

    proptest! {
        #[test]
        fn whatever_the_order_of_finishing_samples_leave_in_order(
            order in Just((0_u64..40).collect::<Vec<_>>()).prop_shuffle(),
            look_every in 1_usize..10,
        ) {
            let (out, mut batches) = unbounded_channel();
            let mut book = Book::new(3, out, Arc::default());
            let mut now = Mono(0);
            for (i, seq) in order.into_iter().enumerate() {
                book.enter(ok(seq));
                if i % look_every == 0 {
                    now = now.plus(BATCH_AGE);
                    book.look(now, 0);
                }
            }
            book.close(now);
            drop(book);
            let mut seen = Vec::new();
            while let Some(batch) = batches.blocking_recv() {
                prop_assert_eq!(batch.stream, 3);
                prop_assert!(!batch.samples.is_empty());
                seen.extend(batch.samples.iter().map(|s| s.seq));
            }
            prop_assert_eq!(seen, (0..40).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_reader_of_the_summary_never_delays_the_stream() {
        let (out, _batches) = unbounded_channel();
        let shown = Arc::new(Mutex::new(Shown::default()));
        let mut book = Book::new(0, out, Arc::clone(&shown));
        let reading = shown.lock().unwrap();
        book.enter(ok(0));
        book.look(Mono(50), 0);
        assert_eq!(reading.summary.ok, 0);
        drop(reading);
        book.look(Mono(60), 0);
        assert_eq!(shown.lock().unwrap().summary.ok, 1);
    }

    #[test]
    fn nodes_have_stable_numbers() {
        let (out, _batches) = unbounded_channel();
        let mut book = Book::new(0, out, Arc::default());
        let node = |b: &mut Book, n: &str| b.node(Some(n.to_owned()));
        assert_eq!(node(&mut book, "10.0.0.1:5432"), 1);
        assert_eq!(node(&mut book, "10.0.0.2:5432"), 2);
        assert_eq!(node(&mut book, "10.0.0.1:5432"), 1);
        assert_eq!((node(&mut book, ""), book.node(None)), (0, 0));
    }

    #[test]
    #[should_panic(expected = "entered twice")]
    fn a_number_given_twice_is_a_bug() {
        let (out, _batches) = unbounded_channel();
        let mut book = Book::new(0, out, Arc::default());
        book.enter(ok(0));
        book.enter(ok(0));
    }
}
