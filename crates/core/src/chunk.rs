//! Samples as they are stored: one chunk per stream and second, a few bytes a sample.
//!
//! A chunk is a version, the stream's index, the number of samples, and the samples as differences to those before
//! them in variable-length integers (seven bits a byte, the lowest first; signed ones zigzag). It carries no checksum:
//! its [`digest`] is sealed in the journal.
//!
//! ```text
//! chunk   version:u8 stream:varint count:varint sample*
//! sample  tag:u8 [seq step − 1] due step's change [late] [took] [node timeline]
//! tag     bits 0–3: 0 ok by the same server, 1 ok with node and timeline, 2 unknown, 3… failed by kind
//!         bit 7: the number does not follow the one before, its step is given
//! ```

use crate::digest::Digest;
use crate::sample::{Failure, Outcome, Sample};
use crate::time::Mono;

/// The version that is written; all that were ever released are read.
const VERSION: u8 = 1;

/// A second, the span of one chunk.
const SECOND_NS: u64 = 1_000_000_000;

const OK_SAME: u8 = 0;
const OK_OTHER: u8 = 1;
const UNKNOWN: u8 = 2;
const FAILED: u8 = 3;
const OUTCOME: u8 = 0x0f;
const JUMP: u8 = 0x80;

/// The kinds of failures by their code: an append-only list.
const FAILURES: [Failure; 9] = [
    Failure::Refused,
    Failure::TimedOut,
    Failure::Broken,
    Failure::Dns,
    Failure::Login,
    Failure::Error,
    Failure::WrongAnswer,
    Failure::ReadOnly,
    Failure::TooSlow,
];

/// An encoded chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The second (of `CLOCK_BOOTTIME`) in which its samples were due.
    pub second: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a chunk holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The stream, by its index in the drill's list of streams.
    pub stream: u32,
    /// Its samples, in the order of their numbers.
    pub samples: Vec<Sample>,
}

/// A chunk that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It ends too early.
    #[error("the sample chunk is cut at byte {0}")]
    Cut(usize),
    /// It was written by a newer firedrill, or is no chunk.
    #[error("the sample chunk has version {0}, this firedrill reads version 1")]
    Version(u8),
    /// Its bytes make no sense.
    #[error("the sample chunk is damaged at byte {0}")]
    Damaged(usize),
    /// Something follows the last sample.
    #[error("the sample chunk has {0} bytes too many")]
    Trailing(usize),
}

/// Samples that cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// The numbers do not ascend.
    #[error("sample {0} does not follow the number before it")]
    Order(u64),
    /// `due ≤ sent ≤ done` does not hold, or an unknown sample has other times than `due`.
    #[error("sample {0} has times that contradict each other")]
    Times(u64),
}

/// The digest by which a chunk is sealed.
pub fn digest(chunk: &[u8]) -> Digest {
    Digest::of(chunk)
}

/// Encodes the samples of a stream, numbers ascending, as one chunk per second of their due times.
///
/// # Errors
/// When the samples break the rules of [`Sample`].
pub fn chunks(stream: u32, samples: &[Sample]) -> Result<Vec<Chunk>, Unwritable> {
    let second = |s: &Sample| s.due_ns.0 / SECOND_NS;
    samples
        .chunk_by(|a, b| second(a) == second(b))
        .map(|part| Ok(Chunk { second: part.first().map_or(0, second), bytes: encode(stream, part)? }))
        .collect()
}

/// Encodes samples as one chunk.
///
/// # Errors
/// When the samples break the rules of [`Sample`].
pub fn encode(stream: u32, samples: &[Sample]) -> Result<Vec<u8>, Unwritable> {
    let mut out = vec![VERSION];
    put(&mut out, u64::from(stream));
    put(&mut out, samples.len() as u64);
    let mut state = State::default();
    for sample in samples {
        let Sample { seq, due_ns: Mono(due), sent_ns: Mono(sent), done_ns: Mono(done), outcome } = *sample;
        let unknown = outcome == Outcome::Unknown;
        if due > sent || sent > done || (unknown && done != due) {
            return Err(Unwritable::Times(seq));
        }
        let step = if state.begun { seq.checked_sub(state.seq.wrapping_add(1)) } else { Some(seq) };
        let Some(step) = step.filter(|_| !state.begun || state.seq != u64::MAX) else {
            return Err(Unwritable::Order(seq));
        };
        let jump = if step == 0 { 0 } else { JUMP };
        let kind = match outcome {
            Outcome::Ok { node, timeline } if (node, timeline) == state.server => OK_SAME,
            Outcome::Ok { .. } => OK_OTHER,
            Outcome::Unknown => UNKNOWN,
            Outcome::Failed(failure) => FAILED + code(failure),
        };
        out.push(kind | jump);
        if jump != 0 {
            put(&mut out, step);
        }
        let due_step = due.wrapping_sub(state.due);
        put(&mut out, zigzag(due_step.wrapping_sub(state.due_step)));
        if !unknown {
            put(&mut out, sent - due);
            put(&mut out, done - sent);
        }
        if let (OK_OTHER, Outcome::Ok { node, timeline }) = (kind, outcome) {
            put(&mut out, u64::from(node));
            put(&mut out, u64::from(timeline));
            state.server = (node, timeline);
        }
        state = State { begun: true, seq, due, due_step, ..state };
    }
    Ok(out)
}

/// Decodes a chunk. Never panics, whatever the bytes.
///
/// # Errors
/// When the bytes are not exactly a chunk.
pub fn decode(bytes: &[u8]) -> Result<Decoded, Unreadable> {
    let mut input = Input { bytes, at: 0 };
    let version = input.byte()?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let stream = u32::try_from(input.varint()?).map_err(|_| Unreadable::Damaged(input.at))?;
    let count = input.varint()?;
    let mut samples = Vec::new(); // not by `count`, which may lie
    let mut state = State::default();
    for _ in 0..count {
        samples.push(decode_sample(&mut input, &mut state)?);
    }
    match bytes.len() - input.at {
        0 => Ok(Decoded { stream, samples }),
        more => Err(Unreadable::Trailing(more)),
    }
}

fn decode_sample(input: &mut Input<'_>, state: &mut State) -> Result<Sample, Unreadable> {
    let tag = input.byte()?;
    let at = input.at;
    let damaged = || Unreadable::Damaged(at);
    if tag & !(OUTCOME | JUMP) != 0 {
        return Err(damaged());
    }
    let step = if tag & JUMP == 0 { 0 } else { input.varint()? };
    let base = if state.begun { state.seq.checked_add(1) } else { Some(0) };
    let seq = base.and_then(|base| base.checked_add(step)).ok_or_else(damaged)?;
    let due_step = state.due_step.wrapping_add(unzigzag(input.varint()?));
    let due = state.due.wrapping_add(due_step);
    let kind = tag & OUTCOME;
    let (mut sent, mut done) = (due, due);
    if kind != UNKNOWN {
        sent = due.checked_add(input.varint()?).ok_or_else(damaged)?;
        done = sent.checked_add(input.varint()?).ok_or_else(damaged)?;
    }
    if kind == OK_OTHER {
        let node = u16::try_from(input.varint()?).map_err(|_| damaged())?;
        let timeline = u32::try_from(input.varint()?).map_err(|_| damaged())?;
        state.server = (node, timeline);
    }
    let outcome = match kind {
        OK_SAME | OK_OTHER => Outcome::Ok { node: state.server.0, timeline: state.server.1 },
        UNKNOWN => Outcome::Unknown,
        failed => Outcome::Failed(*FAILURES.get(usize::from(failed - FAILED)).ok_or_else(damaged)?),
    };
    *state = State { begun: true, seq, due, due_step, ..*state };
    Ok(Sample { seq, due_ns: Mono(due), sent_ns: Mono(sent), done_ns: Mono(done), outcome })
}

/// What the differences refer to.
#[derive(Clone, Copy, Default)]
struct State {
    begun: bool,
    seq: u64,
    due: u64,
    due_step: u64,
    server: (u16, u32),
}

fn code(failure: Failure) -> u8 {
    match failure {
        Failure::Refused => 0,
        Failure::TimedOut => 1,
        Failure::Broken => 2,
        Failure::Dns => 3,
        Failure::Login => 4,
        Failure::Error => 5,
        Failure::WrongAnswer => 6,
        Failure::ReadOnly => 7,
        Failure::TooSlow => 8,
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A difference modulo 2^64, small in either direction, as a small number.
fn zigzag(difference: u64) -> u64 {
    let signed = difference.cast_signed();
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, Unreadable> {
        let byte = *self.bytes.get(self.at).ok_or(Unreadable::Cut(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    /// A varint in its shortest form, so that every chunk has exactly one encoding.
    fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let too_big = shift == 63 && bits > 1;
            let too_long = byte == 0 && shift > 0;
            if too_big || too_long {
                return Err(Unreadable::Damaged(self.at));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Unreadable::Damaged(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            4 => (0_u16..3, 0_u32..4).prop_map(|(node, timeline)| Outcome::Ok { node, timeline }),
            1 => (any::<u16>(), any::<u32>()).prop_map(|(node, timeline)| Outcome::Ok { node, timeline }),
            2 => prop::sample::select(FAILURES.to_vec()).prop_map(Outcome::Failed),
            1 => Just(Outcome::Unknown),
        ]
    }

    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        let length = || prop_oneof![0_u64..50_000_000, any::<u64>().prop_map(|n| n / 8)];
        let jump = prop_oneof![5 => Just(0_u64), 1 => 0_u64..1_000_000];
        let one = (jump, 0_u64..20_000_000_000, length(), length(), outcome());
        (any::<u64>().prop_map(|n| n / 4), prop::collection::vec(one, 0..60)).prop_map(|(start, parts)| {
            let (mut seq, mut due) = (0, start);
            parts
                .into_iter()
                .map(|(jump, step, late, took, outcome)| {
                    seq += jump;
                    due += step;
                    let (sent, done) = match outcome {
                        Outcome::Unknown => (due, due),
                        _ => (due + late, due + late + took),
                    };
                    let sample = Sample { seq, due_ns: Mono(due), sent_ns: Mono(sent), done_ns: Mono(done), outcome };
                    seq += 1;
                    sample
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_exactly(stream in any::<u32>(), samples in samples()) {
            let bytes = encode(stream, &samples).unwrap();
            prop_assert_eq!(decode(&bytes), Ok(Decoded { stream, samples: samples.clone() }));
            let all: Vec<Sample> =
                chunks(stream, &samples).unwrap().iter().flat_map(|c| decode(&c.bytes).unwrap().samples).collect();
            prop_assert_eq!(all, samples);
        }

        #[test]
        fn every_cut_is_found(samples in samples()) {
            let bytes = encode(7, &samples).unwrap();
            for end in 0..bytes.len() {
                prop_assert!(decode(&bytes[..end]).is_err());
            }
            prop_assert_eq!(decode(&[&bytes[..], &[0]].concat()), Err(Unreadable::Trailing(1)));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_decode_to_what_encodes_to_them(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200), small in any::<bool>(),
        ) {
            if let (true, Some(first)) = (small, bytes.first_mut()) {
                *first = VERSION;
            }
            if let Ok(Decoded { stream, samples }) = decode(&bytes) {
                // The server may be given again although it is the same: then the encoding is shorter.
                let again = encode(stream, &samples).unwrap();
                prop_assert!(again.len() <= bytes.len());
                prop_assert_eq!(decode(&again), Ok(Decoded { stream, samples }));
            }
        }

        #[test]
        fn a_flipped_bit_changes_what_is_read(samples in samples(), at in any::<prop::sample::Index>(), bit in 0_u32..8) {
            let bytes = encode(7, &samples).unwrap();
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            prop_assert_ne!(decode(&flipped), decode(&bytes));
            prop_assert_ne!(digest(&flipped), digest(&bytes));
        }
    }

    #[test]
    fn a_second_of_ordinary_samples_takes_about_eight_bytes_each() {
        let samples: Vec<Sample> = (0..100_u64)
            .map(|seq| {
                let due = 5_000_000_000 + seq * 10_000_000;
                let sent = due + 90_000 + seq * 137 % 9_000;
                let done = sent + 900_000 + seq * 7_919 % 400_000;
                let outcome = Outcome::Ok { node: 1, timeline: 3 };
                Sample { seq, due_ns: Mono(due), sent_ns: Mono(sent), done_ns: Mono(done), outcome }
            })
            .collect();
        let bytes = encode(0, &samples).unwrap();
        assert!(bytes.len() <= 850, "{} bytes", bytes.len());
    }

    #[test]
    fn a_released_chunk_is_still_read() {
        // Written by version 1: a change of this test is a change of the format.
        let samples = [
            Sample {
                seq: 3,
                due_ns: Mono(1_000),
                sent_ns: Mono(1_001),
                done_ns: Mono(1_300),
                outcome: Outcome::Ok { node: 1, timeline: 2 },
            },
            Sample {
                seq: 4,
                due_ns: Mono(2_000),
                sent_ns: Mono(2_000),
                done_ns: Mono(2_005),
                outcome: Outcome::Failed(Failure::ReadOnly),
            },
            Sample {
                seq: 5,
                due_ns: Mono(3_000),
                sent_ns: Mono(3_000),
                done_ns: Mono(3_000),
                outcome: Outcome::Unknown,
            },
        ];
        let bytes = [1, 9, 3, 0x81, 3, 0xd0, 0x0f, 1, 0xab, 2, 1, 2, 10, 0, 0, 5, 2, 0];
        assert_eq!(encode(9, &samples).unwrap(), bytes);
        assert_eq!(decode(&bytes).unwrap(), Decoded { stream: 9, samples: samples.to_vec() });
    }

    #[test]
    fn samples_that_contradict_themselves_are_not_stored() {
        let good = Sample {
            seq: 1,
            due_ns: Mono(10),
            sent_ns: Mono(10),
            done_ns: Mono(12),
            outcome: Outcome::Failed(Failure::Refused),
        };
        assert_eq!(encode(0, &[Sample { sent_ns: Mono(9), ..good }]), Err(Unwritable::Times(1)));
        assert_eq!(encode(0, &[Sample { done_ns: Mono(9), ..good }]), Err(Unwritable::Times(1)));
        assert_eq!(encode(0, &[Sample { outcome: Outcome::Unknown, ..good }]), Err(Unwritable::Times(1)));
        assert_eq!(encode(0, &[good, good]), Err(Unwritable::Order(1)));
        let last = Sample { seq: u64::MAX, ..good };
        assert_eq!(encode(0, &[last, Sample { seq: 0, ..good }]), Err(Unwritable::Order(0)));
        assert!(encode(0, &[last]).is_ok());
    }
}
