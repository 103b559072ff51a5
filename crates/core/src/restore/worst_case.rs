//! A backup's recovery point is judged by its worst case: the disaster comes just before the next backup is complete.

use crate::time::{Interval, Nanos};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a retained backup was started and when it was complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupSpan {
    /// Its key.
    pub key: String,
    /// When the dump was started by its own header; `None` where the header was not read or says nothing usable.
    pub started_wall_ns: Option<i64>,
    /// When its upload was complete, by the store's clock.
    pub completed_wall_ns: i64,
}

/// The worst that the retained backups would have allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorstCase {
    /// The largest (next completed − previous started) within the window. The upper bound is open when the start of
    /// some previous backup is not known, and could be what makes the largest gap.
    pub gap: Interval,
    /// The gap in words: between which two backups.
    pub between: String,
    /// How many backups the window holds.
    pub backups: u64,
    /// Of how many the start is known from their own header; of the others only the completion is.
    pub starts_known: u64,
    /// The window that was looked at.
    pub window_ns: Nanos,
}

/// The largest gap over the backups completed within `window` before `reference`, the still open gap from the last
/// backup's start to `reference` included. `None` without any backup.
///
/// Where a start is unknown the completion stands in for it as a lower bound, and the upper bound is open.
pub fn worst_case(mut backups: Vec<BackupSpan>, reference_wall_ns: i64, window: Nanos) -> Option<WorstCase> {
    let window_ns = i64::try_from(window.0).unwrap_or(i64::MAX);
    let earliest = reference_wall_ns.saturating_sub(window_ns);
    backups.retain(|b| b.completed_wall_ns >= earliest && b.completed_wall_ns <= reference_wall_ns);
    backups.sort_by(|a, b| a.completed_wall_ns.cmp(&b.completed_wall_ns).then_with(|| a.key.cmp(&b.key)));
    let ends =
        backups.iter().skip(1).map(|b| (b.completed_wall_ns, b.key.as_str())).chain([(reference_wall_ns, "now")]);
    let mut worst: Option<(Nanos, String)> = None;
    let mut open = false;
    for (previous, (end_wall_ns, end)) in backups.iter().zip(ends) {
        let from = previous.started_wall_ns.map_or(previous.completed_wall_ns, |s| s.min(previous.completed_wall_ns));
        open |= previous.started_wall_ns.is_none();
        let gap = Nanos(u64::try_from(end_wall_ns.saturating_sub(from)).unwrap_or(0));
        if worst.as_ref().is_none_or(|(largest, _)| gap > *largest) {
            worst = Some((gap, format!("from the start of {} to {end}", previous.key)));
        }
    }
    let starts_known = backups.iter().filter(|b| b.started_wall_ns.is_some()).count() as u64;
    worst.map(|(gap, between)| WorstCase {
        gap: Interval::new(gap, (!open).then_some(gap)),
        between,
        backups: backups.len() as u64,
        starts_known,
        window_ns: window,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn span(key: &str, started_s: Option<i64>, completed_s: i64) -> BackupSpan {
        BackupSpan {
            key: key.to_owned(),
            started_wall_ns: started_s.map(|s| s * SECOND),
            completed_wall_ns: completed_s * SECOND,
        }
    }

    #[test]
    fn the_gap_runs_from_a_start_to_the_next_completion() {
        let spans = vec![span("c", Some(300), 310), span("a", Some(100), 110), span("b", Some(150), 290)];
        let worst = worst_case(spans, 320 * SECOND, Nanos::from_secs(1_000)).unwrap();
        assert_eq!(worst.gap, Interval::new(Nanos::from_secs(190), Some(Nanos::from_secs(190))));
        assert_eq!(worst.between, "from the start of a to b");
        assert_eq!((worst.backups, worst.starts_known), (3, 3));
    }

    #[test]
    fn backups_that_stopped_coming_are_the_worst_gap() {
        let spans = vec![span("a", Some(100), 110), span("b", Some(150), 160)];
        let worst = worst_case(spans, 900 * SECOND, Nanos::from_secs(1_000)).unwrap();
        assert_eq!(worst.gap.lower_ns, Nanos::from_secs(750));
        assert_eq!(worst.between, "from the start of b to now");
    }

    #[test]
    fn an_unknown_start_leaves_the_upper_bound_open() {
        let spans = vec![span("a", None, 110), span("b", Some(150), 290)];
        let worst = worst_case(spans, 300 * SECOND, Nanos::from_secs(1_000)).unwrap();
        assert_eq!(worst.gap, Interval::new(Nanos::from_secs(180), None));
        assert_eq!(worst.starts_known, 1);
    }

    #[test]
    fn outside_the_window_nothing_counts() {
        let spans = vec![span("old", Some(1), 2), span("a", Some(950), 960)];
        let worst = worst_case(spans, 1_000 * SECOND, Nanos::from_secs(100)).unwrap();
        assert_eq!((worst.gap.lower_ns, worst.backups), (Nanos::from_secs(50), 1));
        assert_eq!(worst_case(vec![], 1_000 * SECOND, Nanos::from_secs(100)), None);
    }
}
