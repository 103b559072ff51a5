//! The restore's own part of the report: its phases, and the backup.

use super::case::Case;
use crate::report::{Backup, Span, Work, WorkPhase};
use crate::restore::RestoreRecord;
use crate::time::{Interval, Known};

fn record<'a>(case: &'a Case<'_>) -> Option<&'a RestoreRecord> {
    case.restore().and_then(Result::ok)
}

/// The loss that this backup means: its worst case over the retained ones, or the restored copy's own newest row.
pub(super) fn recovery_point(case: &Case<'_>) -> Known<Interval> {
    let Some(record) = record(case) else { return Known::Unknown("the restore was not whole".to_owned()) };
    let this = record.verified.as_ref().map(|v| v.recovery_point.loss);
    let worst = record.found.as_ref().and_then(|f| f.worst_case.known()).map(|w| w.gap);
    match (this, worst) {
        (Some(this), Some(worst)) => Known::Known(this.worst(worst)),
        (Some(this), None) => Known::Known(this),
        (None, _) => Known::Unknown("the restored copy was not asked".to_owned()),
    }
}

pub(super) fn works(case: &Case<'_>) -> Vec<Work> {
    let Some(record) = record(case) else { return Vec::new() };
    let phase = |p: &crate::restore::Phase| {
        let from = case.clock.moment(p.began_ns);
        WorkPhase {
            name: p.name.word().to_owned(),
            span: Span::new(from, case.clock.moment(p.ended_ns).max(from)),
            bytes: p.bytes,
            detail: p.detail.clone(),
            failure: p.failure.clone(),
        }
    };
    vec![Work {
        word: "restore-backup".to_owned(),
        on: record.staged.as_ref().map_or_else(|| "no staging".to_owned(), |s| s.what.clone()),
        phases: record.phases.iter().map(phase).collect(),
    }]
}

pub(super) fn backup(case: &Case<'_>) -> Option<Backup> {
    let record = record(case)?;
    let found = record.found.as_ref()?;
    let object = &found.object;
    let utc = |ns: i64| jiff::Timestamp::from_nanosecond(i128::from(ns)).map(|t| t.to_string()).unwrap_or_default();
    let started_utc = match &found.started_wall_ns {
        Known::Known(ns) => Known::Known(utc(*ns)),
        Known::Unknown(why) => Known::Unknown(why.clone()),
    };
    let judged = crate::restore::judge(record);
    Some(Backup {
        key: format!("{}/{}", object.bucket, object.key),
        version_id: object.version_id.clone(),
        size_bytes: object.size_bytes,
        checksum: record.fetched.as_ref().map_or_else(
            || Known::Unknown("it was not fetched".to_owned()),
            |f| Known::Known(format!("sha256:{} ({})", f.sha256, f.checksum_note)),
        ),
        chosen_by: found.chosen_by.clone(),
        started_utc,
        age: Known::Known(found.age),
        worst_case: match &found.worst_case {
            Known::Known(worst) => Known::Known(worst.gap.upper_ns.unwrap_or(worst.gap.lower_ns)),
            Known::Unknown(why) => Known::Unknown(why.clone()),
        },
        defect: judged.defects.first().cloned(),
    })
}
