//! The estate's own record of what happened, held against what was measured. It is made by a process that knows nothing of
//! firedrill, in a file that the runner is not given.

use firedrill_core::report::{ClockRule, DetectAndDecide, EventKind, Report};
use firedrill_core::time::{Interval, Nanos};
use firedrill_sandbox::truth::{Outage, read_outages};
use serde::Serialize;
use std::io;
use std::path::Path;

/// The service that the demo's HTTP probe asks.
const SHOP: &str = "storefront";

/// What really happened during a drill.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Truth {
    /// The outages of every service and view that began during the drill, in nanoseconds of `CLOCK_BOOTTIME`.
    pub(super) outages: Vec<TrueOutage>,
    /// The recovery time by the drill's own clock rule, as exactly as the record knows it; none when nothing was down.
    pub(super) recovery: Option<Interval>,
    /// Whether it lies in the measured interval, as far as both are known.
    pub(super) agrees: Option<bool>,
}

/// One outage, as the estate recorded it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TrueOutage {
    service: String,
    view: String,
    down_from_ns: [u64; 2],
    up_at_ns: Option<[u64; 2]>,
    why: String,
}

/// Reads the record for the time of one drill.
///
/// Only what the drill's own probes asked counts: `write_service` is where the ledger writes, the shop is what HTTP asks.
pub(super) fn of(file: &Path, report: &Report, write_service: &str) -> io::Result<Truth> {
    let asked = |service: &str| {
        report.streams.iter().filter(|s| s.info.excluded.is_none()).any(|s| match s.info.kind.as_str() {
            "ledger" | "sql" => service == write_service,
            _ => service == SHOP,
        })
    };
    let opened = report.clock.opened.mono_ns.0;
    let closed = opened + report.clock.closed_ns.0;
    // What was over before the injection has nothing to do with it: this machine was busy, or was just starting.
    let injected =
        report.recovery.known().and_then(|r| r.injection.known()).map_or(opened, |i| opened + i.earliest_ns.0);
    let after = |o: &Outage| o.up_at.is_none_or(|up| up[1] >= injected);
    let within = |o: &Outage| asked(&o.service) && o.down_from[1] >= opened && o.down_from[0] <= closed && after(o);
    let outages: Vec<Outage> = read_outages(file)?.into_iter().filter(within).collect();
    let recovery = recovery(&outages, report, injected);
    let measured = report.recovery.known().and_then(|r| r.rto.known().copied());
    let agrees = measured.zip(recovery).map(|(measured, truth)| overlap(measured, truth));
    let shown = outages.iter().map(|o| TrueOutage {
        service: o.service.clone(),
        view: format!("{:?}", o.view).to_lowercase(),
        down_from_ns: o.down_from,
        up_at_ns: o.up_at,
        why: o.why.clone(),
    });
    Ok(Truth { outages: shown.collect(), recovery, agrees })
}

/// The truth has an interval of its own, a sample of its dense probing wide: it agrees where the two meet.
fn overlap(measured: Interval, truth: Interval) -> bool {
    measured.upper_ns.is_none_or(|upper| truth.lower_ns <= upper)
        && truth.upper_ns.is_none_or(|upper| measured.lower_ns <= upper)
}

/// From the first failure of any service to the last return, by the clock rule of the report.
fn recovery(outages: &[Outage], report: &Report, injected: u64) -> Option<Interval> {
    let rule = report.recovery.known()?.rule;
    let ups: Option<Vec<[u64; 2]>> = outages.iter().map(|o| o.up_at).collect();
    let ups = ups?;
    let up = [ups.iter().map(|u| u[0]).max()?, ups.iter().map(|u| u[1]).max()?];
    let from = match rule {
        ClockRule::SelfHeal | ClockRule::People => {
            // A request that was under way when the fault came fails too; the clock starts no earlier than the fault.
            let first = |bound: usize| outages.iter().map(|o| o.down_from[bound]).min().map(|at| at.max(injected));
            [first(0)?, first(1)?]
        }
        ClockRule::Firedrill => {
            let began =
                report.events.iter().find(|e| matches!(e.kind, EventKind::RecoveryBegan | EventKind::TookOver))?;
            let at = report.clock.opened.mono_ns.0 + began.at.latest_ns.0;
            [at, at]
        }
        ClockRule::RestoreOnly => return None,
    };
    let added = match report.recovery.known()?.detect_and_decide {
        DetectAndDecide::Declared(ns) => ns,
        DetectAndDecide::Exercised | DetectAndDecide::NotExercised => Nanos::ZERO,
    };
    let lower = Nanos(up[0].saturating_sub(from[1]));
    let upper = Nanos(up[1].saturating_sub(from[0]));
    Some(Interval::new(lower, Some(upper)).plus(added))
}

/// The truth in words, for the table.
pub(super) fn words(truth: &Truth) -> String {
    match truth.recovery {
        None => "–".to_owned(),
        Some(recovery) => {
            let middle =
                recovery.upper_ns.map_or(recovery.lower_ns, |u| Nanos(u64::midpoint(u.0, recovery.lower_ns.0)));
            format!("{:.3} s", middle.as_secs_f64())
        }
    }
}
