//! The probes' samples as they come: what each stream looks like now, and what of it is stored each second.

use crate::probes::book::Batch;
use crate::store::SampleChunk;
use firedrill_core::chunk;
use firedrill_core::drill::StreamNow;
use firedrill_core::event::ChunkSeal;
use firedrill_core::sample::{Outcome, Sample, StreamInfo};
use firedrill_core::time::Mono;

/// How many of the newest outcomes the terminal draws.
const RECENT_MAX: usize = 4096;

/// One stream since it began.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) info: StreamInfo,
    pub(crate) now: StreamNow,
    unsealed: Vec<Sample>,
    chunks: u32,
    /// The newest samples, for the terminal.
    pub(crate) recent: std::collections::VecDeque<Sample>,
    /// When the first failure of the run of failures that goes on, or the last that ended, was sent; and its end.
    pub(crate) last_down: Option<(Mono, Option<Mono>)>,
}

/// All streams since they began.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) running: Vec<Running>,
}

impl Streams {
    pub(crate) fn begin(infos: &[StreamInfo]) -> Self {
        let running = infos.iter().map(|info| Running {
            info: info.clone(),
            now: StreamNow {
                stream: info.stream.clone(),
                failed: 0,
                ok: 0,
                ok_since: None,
                ok_until: None,
                down_since: None,
            },
            unsealed: Vec::new(),
            chunks: 0,
            recent: std::collections::VecDeque::new(),
            last_down: None,
        });
        Self { running: running.collect() }
    }

    /// What every stream looks like now.
    pub(crate) fn now(&self) -> Vec<StreamNow> {
        self.running.iter().map(|r| r.now.clone()).collect()
    }

    pub(crate) fn take(&mut self, batch: Batch) {
        let Some(running) = self.running.get_mut(batch.stream) else { return };
        for sample in batch.samples {
            running.take(sample);
        }
    }

    /// Encodes what has come since the last time, one chunk a stream; nothing when nothing came.
    pub(crate) fn seal(&mut self, epoch: u64) -> (Vec<SampleChunk>, Vec<ChunkSeal>) {
        let mut chunks = Vec::new();
        let mut seals = Vec::new();
        for (index, running) in self.running.iter_mut().enumerate() {
            if running.unsealed.is_empty() {
                continue;
            }
            let samples = std::mem::take(&mut running.unsealed);
            let stream = u16::try_from(index).unwrap_or(u16::MAX);
            let bytes = chunk::encode(u32::from(stream), &samples).expect("the sampler keeps order and times");
            seals.push(ChunkSeal {
                stream,
                chunk: running.chunks,
                samples: u32::try_from(samples.len()).unwrap_or(u32::MAX),
                sha256: chunk::digest(&bytes).to_string(),
            });
            chunks.push(SampleChunk { epoch, stream, chunk: running.chunks, bytes });
            running.chunks += 1;
        }
        (chunks, seals)
    }
}

impl Running {
    fn take(&mut self, sample: Sample) {
        match sample.outcome {
            Outcome::Ok { .. } => {
                self.now.ok += 1;
                if self.now.ok_since.is_none() {
                    self.now.ok_since = Some(sample.done_ns);
                    if let Some((_, end @ None)) = &mut self.last_down {
                        *end = Some(sample.done_ns);
                    }
                }
                self.now.ok_until = Some(sample.sent_ns);
                self.now.down_since = None;
            }
            Outcome::Failed(_) => {
                self.now.failed += 1;
                self.now.ok_since = None;
                self.now.ok_until = None;
                if self.now.down_since.is_none() {
                    self.now.down_since = Some(sample.sent_ns);
                    self.last_down = Some((sample.sent_ns, None));
                }
            }
            // Nobody asked, so an outage may hide there: the run of good answers begins anew, as the measuring has it.
            Outcome::Unknown => {
                self.now.ok_since = None;
                self.now.ok_until = None;
            }
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(sample);
        self.unsealed.push(sample);
    }
}
