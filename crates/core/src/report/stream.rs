//! What each probe saw, one entry a stream: outages with their bounds, latency, lateness, and series to draw.

use super::moment::{Bracket, Moment, Span};
use crate::sample::StreamInfo;
use crate::time::{Interval, Known, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many requests came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Answered correctly within the timeout.
    pub ok: u64,
    /// Not so.
    pub failed: u64,
    /// Never asked: all slots busy, or the probe stood still. These widen the bounds.
    pub unknown: u64,
}

/// One outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// It began after the last good send and by the first failed outcome.
    pub began: Bracket,
    /// It ended after the last failed send and by the first acknowledgement after it; unknown when it never did.
    pub ended: Known<Bracket>,
    /// How long it lasted.
    pub length: Interval,
    /// How requests failed, with counts (`refused 21, timed out 3`).
    pub failures: String,
}

/// Latency of good answers over one part of the drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// How many answers.
    pub count: u64,
    /// The median.
    pub p50_ns: Nanos,
    /// 99 of 100 were at least as fast.
    pub p99_ns: Nanos,
    /// The slowest.
    pub max_ns: Nanos,
}

/// Latency before, during and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyStory {
    /// In the baseline.
    pub before: Known<Latency>,
    /// From the injection until stable.
    pub during: Known<Latency>,
    /// Afterwards.
    pub after: Known<Latency>,
}

/// How late requests left, against their intended times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lateness {
    /// 99 of 100 left at most this late.
    pub p99_ns: Nanos,
    /// The latest.
    pub max_ns: Nanos,
}

/// Up or down, for drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentState {
    /// Requests sent in it were answered correctly.
    Up,
    /// Requests sent in it were not.
    Down,
    /// Nobody asked.
    Unknown,
}

/// A part of a stream in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// From when to when.
    pub span: Span,
    /// In which state.
    pub state: SegmentState,
}

/// The slowest hundredth of the good answers sent within one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyPoint {
    /// The middle of the bucket.
    pub at_ns: Moment,
    /// The p99 of its good answers. A bucket without one has no point.
    pub p99_ns: Nanos,
}

/// Series thinned out for drawing. Figures are never computed from them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// Up and down, in order, without overlap.
    pub segments: Vec<Segment>,
    /// The width of a latency bucket.
    pub bucket_ns: Nanos,
    /// Latency, in order.
    pub latency: Vec<LatencyPoint>,
}

/// One stream's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamReport {
    /// What it is, how often and how patiently it asked, and why it does not count if it does not.
    pub info: StreamInfo,
    /// How many requests came to what.
    pub counts: Counts,
    /// Every outage, in order, also short ones.
    pub outages: Vec<Outage>,
    /// All of them added up.
    pub downtime: Known<Interval>,
    /// The recovery time that this stream alone would give.
    pub recovery: Known<Interval>,
    /// Answers slower than usual that came within the timeout: no outage, listed apart.
    pub stalls: Vec<Span>,
    /// Latency before, during and after.
    pub latency: LatencyStory,
    /// The probe's own lateness.
    pub lateness: Known<Lateness>,
    /// What to draw.
    pub series: Series,
}
