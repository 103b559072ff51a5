//! The result as a table for people and as JSON for programs.

use crate::judge::{Judged, Verdict};
use crate::truth::Kind;
use serde::Serialize;
use std::fmt::Write as _;

/// The machine when nothing else runs: then widths are held against their aims.
pub(crate) const IDLE: &str = "idle";

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) schema: u32,
    pub(crate) machine: &'static str,
    pub(crate) period_ms: f64,
    pub(crate) timeout_ms: f64,
    pub(crate) streams: Vec<StreamFigures>,
    pub(crate) kinds: Vec<KindFigures>,
    /// Outages measured where there was none.
    pub(crate) invented: Vec<String>,
    pub(crate) outages: Vec<Judged>,
}

/// One stream.
#[derive(Debug, Serialize)]
pub(crate) struct StreamFigures {
    pub(crate) stream: String,
    pub(crate) samples: usize,
    pub(crate) unknown: u64,
    pub(crate) lateness_p99_ms: f64,
    pub(crate) lateness_max_ms: f64,
}

/// All outages of one kind.
#[derive(Debug, Serialize)]
pub(crate) struct KindFigures {
    pub(crate) kind: &'static str,
    pub(crate) outages: usize,
    pub(crate) within: usize,
    pub(crate) missed: usize,
    pub(crate) stalls_below_timeout: usize,
    pub(crate) width_p50_ms: f64,
    pub(crate) width_p99_ms: f64,
    pub(crate) width_max_ms: f64,
    pub(crate) width_limit_ms: f64,
    /// The p99 of widths without the time that the answer took that ended the outage: the probes' own part.
    pub(crate) width_without_answer_p99_ms: f64,
    pub(crate) truth_resolution_max_ms: f64,
}

/// The value that a share of all do not exceed (nearest rank).
pub(crate) fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

pub(crate) fn kinds(judged: &[Judged], period_ms: f64, timeout_ms: f64) -> Vec<KindFigures> {
    let of = |kind: &Kind| {
        let all: Vec<&Judged> = judged.iter().filter(|j| j.kind == *kind).collect();
        let count = |v: &Verdict| all.iter().filter(|j| j.verdict == *v).count();
        let width = |share| quantile(widths(all.iter().copied()), share);
        KindFigures {
            kind: kind.words(),
            outages: all.len(),
            within: count(&Verdict::Within),
            missed: count(&Verdict::Missed),
            stalls_below_timeout: count(&Verdict::StallBelowTimeout),
            width_p50_ms: width(0.5),
            width_p99_ms: width(0.99),
            width_max_ms: width(1.0),
            width_without_answer_p99_ms: quantile(
                all.iter().filter_map(|j| Some(j.width_ms? - j.answer_ms?)).collect(),
                0.99,
            ),
            width_limit_ms: 2.0 * period_ms + 5.0 + if kind.stalls() { timeout_ms } else { 0.0 },
            truth_resolution_max_ms: quantile(all.iter().map(|j| j.truth_resolution_ms).collect(), 1.0),
        }
    };
    Kind::ALL.iter().map(of).filter(|k| k.outages > 0).collect()
}

/// Over all of those that must keep the same limit.
fn p99(judged: &[Judged], stalls: bool) -> f64 {
    quantile(widths(judged.iter().filter(|j| j.kind.stalls() == stalls)), 0.99)
}

/// Of all that were seen; one without an end has no width but infinity.
fn widths<'a>(judged: impl Iterator<Item = &'a Judged>) -> Vec<f64> {
    judged.filter(|j| j.failures > 0).map(|j| j.width_ms.unwrap_or(f64::INFINITY)).collect()
}

impl Outcome {
    /// How many outages were outside their interval or missed.
    pub(crate) fn wrong(&self) -> usize {
        let right = |j: &&Judged| matches!(j.verdict, Verdict::Within | Verdict::StallBelowTimeout);
        self.outages.len() - self.outages.iter().filter(right).count()
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "{} outages, probes every {} ms with a timeout of {} ms, machine {}.\n\n",
            self.outages.len(),
            self.period_ms,
            self.timeout_ms,
            self.machine
        );
        text.push_str(
            "| what was done | outages | truth inside | missed | stalls below the timeout | width p50 | p99 | max | \
             aim for p99 | p99 without the last answer | truth known to |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for k in &self.kinds {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {:.1} ms | {:.1} ms | {:.1} ms | {:.0} ms | {:.1} ms | {:.2} ms |",
                k.kind,
                k.outages,
                k.within,
                k.missed,
                k.stalls_below_timeout,
                k.width_p50_ms,
                k.width_p99_ms,
                k.width_max_ms,
                k.width_limit_ms,
                k.width_without_answer_p99_ms,
                k.truth_resolution_max_ms
            );
        }
        text.push_str("\n| stream | samples | not asked | lateness p99 | max |\n|---|--:|--:|--:|--:|\n");
        for s in &self.streams {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.2} ms | {:.2} ms |",
                s.stream, s.samples, s.unknown, s.lateness_p99_ms, s.lateness_max_ms
            );
        }
        let _ = writeln!(
            text,
            "\nWidth p99 over all: {:.1} ms; over all stalls: {:.1} ms. Outages invented: {}.",
            p99(&self.outages, false),
            p99(&self.outages, true),
            self.invented.len()
        );
        // With every core loaded, widths are as they come.
        let over = self.kinds.iter().filter(|k| self.machine == IDLE && k.width_p99_ms > k.width_limit_ms);
        for kind in over {
            let _ = writeln!(
                text,
                "\n**Over the aim**: {}, p99 {:.1} ms instead of {:.0} ms.",
                kind.kind, kind.width_p99_ms, kind.width_limit_ms
            );
        }
        for wrong in self.outages.iter().filter(|j| matches!(j.verdict, Verdict::Outside(_) | Verdict::Missed)) {
            let _ = writeln!(
                text,
                "- WRONG: {}, {}: truth {:.2} ms, measured [{:.2}, {:.2?}] ms: {:?}",
                wrong.stream,
                wrong.kind.words(),
                wrong.truth_ms,
                wrong.lower_ms,
                wrong.upper_ms,
                wrong.verdict
            );
        }
        for invented in &self.invented {
            let _ = writeln!(text, "- INVENTED: {invented}");
        }
        text
    }
}
