//! Running probes, and waiting for what their samples say.

use firedrill_core::sample::{Failure, Outcome, Sample};
use firedrill_probes::book::Batch;
use firedrill_probes::config::ProbeConfig;
use firedrill_probes::set::{Finished, ProbeSet};
use tokio::sync::mpsc::UnboundedReceiver;

/// A running set and all samples that came out of it so far.
pub(crate) struct Harvest {
    pub(crate) set: ProbeSet,
    batches: UnboundedReceiver<Batch>,
    pub(crate) samples: Vec<Vec<Sample>>,
}

impl Harvest {
    pub(crate) fn start(probes: &[ProbeConfig]) -> Self {
        let (set, batches) = ProbeSet::start(probes).unwrap();
        let samples = vec![Vec::new(); set.streams().len()];
        Self { set, batches, samples }
    }

    fn take(&mut self, batch: Batch) {
        let samples = &mut self.samples[batch.stream];
        for sample in batch.samples {
            assert_eq!(sample.seq, samples.len() as u64, "numbers have no gaps, also across batches");
            assert!(sample.due_ns <= sample.sent_ns && sample.sent_ns <= sample.done_ns, "{sample:?}");
            samples.push(sample);
        }
    }

    /// Waits until a stream has `count` more samples that are `wanted`.
    pub(crate) async fn until(&mut self, stream: usize, count: usize, wanted: impl Fn(&Sample) -> bool) {
        let mut from = self.samples[stream].len();
        let mut seen = 0;
        while seen < count {
            let next = tokio::time::timeout(std::time::Duration::from_mins(1), self.batches.recv()).await;
            let summary = &self.set.summaries()[stream];
            let batch = next.unwrap_or_else(|_| panic!("nothing for a minute: {summary:?}")).expect("still running");
            self.take(batch);
            seen += self.samples[stream][from..].iter().filter(|s| wanted(s)).count();
            from = self.samples[stream].len();
        }
    }

    pub(crate) async fn until_ok(&mut self, stream: usize, count: usize) {
        self.until(stream, count, |s| matches!(s.outcome, Outcome::Ok { .. })).await;
    }

    pub(crate) async fn until_failed(&mut self, stream: usize, failure: Failure) {
        self.until(stream, 1, |s| s.outcome == Outcome::Failed(failure)).await;
    }

    /// Stops, and takes the rest.
    pub(crate) async fn stop(mut self) -> (Vec<Finished>, Vec<Vec<Sample>>) {
        let set = self.set;
        let finished = set.stop().await;
        let mut rest = Vec::new();
        while let Some(batch) = self.batches.recv().await {
            rest.push(batch);
        }
        let mut samples = self.samples;
        for batch in rest {
            for sample in batch.samples {
                assert_eq!(sample.seq, samples[batch.stream].len() as u64, "numbers have no gaps");
                samples[batch.stream].push(sample);
            }
        }
        for (done, samples) in finished.iter().zip(&samples) {
            let count = |f: fn(&Outcome) -> bool| samples.iter().filter(|s| f(&s.outcome)).count() as u64;
            assert_eq!(done.summary.ok, count(|o| matches!(o, Outcome::Ok { .. })));
            assert_eq!(done.summary.failed, count(|o| matches!(o, Outcome::Failed(_))));
            assert_eq!(done.summary.unknown, count(|o| *o == Outcome::Unknown));
            assert_eq!(done.summary.in_flight, 0);
        }
        (finished, samples)
    }
}
