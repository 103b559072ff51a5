//! What a restore proves: defects (bad for certain) and unknowns (needed, and not seen). No defect and no unknown: good.

use super::{Check, RestoreRecord, Stopped};
use crate::time::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a restore proves. Objectives (duration, age) are judged beside it, from the record's intervals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// Proven bad: each alone makes the verdict FAIL.
    pub defects: Vec<String>,
    /// Needed and unknown: each alone keeps the verdict from PASS.
    pub unknowns: Vec<String>,
    /// A guard refused, and nothing was written: the verdict is REFUSED if nothing is proven bad.
    pub refusals: Vec<String>,
    /// A person or a guard of the drill stopped it.
    pub cancelled: bool,
}

impl Judgement {
    /// Whether the backup was proven good.
    pub fn is_good(&self) -> bool {
        let Self { defects, unknowns, refusals, cancelled } = self;
        defects.is_empty() && unknowns.is_empty() && refusals.is_empty() && !cancelled
    }
}

/// Judges a record. Every phase that is missing is an unknown, so that a record cut short is never good.
pub fn judge(record: &RestoreRecord) -> Judgement {
    let RestoreRecord {
        reference_wall_ns: _,
        found,
        fetched,
        validated,
        staged,
        loaded,
        verified,
        phases: _,
        first_answer_ns: _,
        stopped,
    } = record;
    let mut out = Judgement::default();
    match stopped {
        Some(Stopped::Defect(why) | Stopped::Deadline(why)) => out.defects.push(why.clone()),
        Some(Stopped::Cannot(why)) => out.unknowns.push(why.clone()),
        Some(Stopped::Refused(why)) => out.refusals.push(why.clone()),
        Some(Stopped::Cancelled) => out.cancelled = true,
        None => {
            let reached = [
                ("no backup was chosen", found.is_some()),
                ("its bytes were not fetched", fetched.is_some()),
                ("it was not validated", validated.is_some()),
                ("no staging was made ready", staged.is_some()),
                ("it was not restored", loaded.is_some()),
                ("the copy was not verified", verified.is_some()),
            ];
            let missing = reached.iter().filter(|(_, done)| !done);
            out.unknowns.extend(missing.map(|(what, _)| (*what).to_owned()));
        }
    }
    if let Some(fetched) = fetched
        && fetched.checksum_matches == Known::Known(false)
    {
        push_new(&mut out.defects, &fetched.checksum_note);
    }
    for defect in validated.iter().flat_map(|v| &v.defects) {
        push_new(&mut out.defects, &defect.sentence);
    }
    if let Some(validated) = validated
        && validated.defects.is_empty()
        && let (Known::Unknown(walk), Known::Unknown(read)) = (&validated.data_blocks, &validated.read_through_bytes)
    {
        out.unknowns.push(format!("whether the dump is complete: {walk}; {read}"));
    }
    match loaded.as_ref().map(|l| &l.exit) {
        Some(Known::Known(status)) if *status != 0 && stopped.is_none() => {
            out.defects.push(format!("pg_restore ended with status {status}"));
        }
        Some(Known::Unknown(why)) if stopped.is_none() => out.unknowns.push(format!("how pg_restore ended: {why}")),
        _ => {}
    }
    for check in verified.iter().flat_map(|v| &v.checks) {
        judge_check(check, &mut out);
    }
    out
}

fn judge_check(check: &Check, out: &mut Judgement) {
    match (&check.ok, &check.found) {
        (Known::Known(true), _) => {}
        (Known::Known(false), found) => {
            let found = found.known().map_or("nothing", String::as_str);
            out.defects.push(format!("{}: expected {}, found {found}", check.name, check.expected));
        }
        (Known::Unknown(why), _) => out.unknowns.push(format!("{}: {why}", check.name)),
    }
}

fn push_new(list: &mut Vec<String>, sentence: &str) {
    if !list.iter().any(|known| known == sentence) {
        list.push(sentence.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::{
        BackupObject, Defect, Fetched, Found, Loaded, RecoveryPoint, SetAside, Staged, Validated, Verified,
    };
    use crate::time::Interval;

    fn unknown<T>() -> Known<T> {
        Known::Unknown("not in this test".to_owned())
    }

    fn good() -> RestoreRecord {
        let object = BackupObject {
            bucket: "b".into(),
            key: "k".into(),
            version_id: unknown(),
            etag: "\"e\"".into(),
            size_bytes: 1,
            completed_wall_ns: 0,
            storage_class: "STANDARD".into(),
            checksum: unknown(),
        };
        RestoreRecord {
            found: Some(Found {
                object,
                chosen_by: "the newest".into(),
                started_wall_ns: Known::Known(0),
                age: Interval::ZERO,
                candidates: 1,
                set_aside: SetAside::default(),
                worst_case: unknown(),
            }),
            fetched: Some(Fetched {
                size_bytes: 1,
                ranges: 1,
                range_bytes: 1,
                connections: 1,
                retried: 0,
                sha256: "00".into(),
                checksum_matches: Known::Known(true),
                checksum_note: "equal".into(),
            }),
            validated: Some(Validated {
                format: unknown(),
                server_version: unknown(),
                dump_version: unknown(),
                database: unknown(),
                compression: unknown(),
                toc_entries: unknown(),
                tables: unknown(),
                data_blocks: Known::Known(3),
                read_through_bytes: unknown(),
                defects: vec![],
            }),
            staged: Some(Staged {
                what: "scratch".into(),
                server_version: "15".into(),
                system_identifier: unknown(),
                settings: vec![],
                free_bytes: unknown(),
                notes: vec![],
            }),
            loaded: Some(Loaded { jobs: 1, exit: Known::Known(0), said: String::new(), left_out: vec![] }),
            verified: Some(Verified {
                checks: vec![Check::answered("rows", "at least 1", "2", true)],
                recovery_point: RecoveryPoint {
                    newest_canary_wall_ns: unknown(),
                    loss: Interval::ZERO,
                    method: String::new(),
                },
                rows: vec![],
            }),
            ..RestoreRecord::new(0)
        }
    }

    #[test]
    fn a_whole_restore_is_good() {
        assert!(judge(&good()).is_good());
    }

    #[test]
    fn a_record_that_ends_early_is_never_good() {
        let cuts: [fn(&mut RestoreRecord); 6] = [
            |r| r.found = None,
            |r| r.fetched = None,
            |r| r.validated = None,
            |r| r.staged = None,
            |r| r.loaded = None,
            |r| r.verified = None,
        ];
        for cut in cuts {
            let mut record = good();
            cut(&mut record);
            assert_eq!(judge(&record).unknowns.len(), 1, "{record:?}");
        }
    }

    #[test]
    fn each_proven_fault_is_a_defect() {
        let faults: [fn(&mut RestoreRecord); 4] = [
            |r| r.fetched.as_mut().unwrap().checksum_matches = Known::Known(false),
            |r| r.validated.as_mut().unwrap().defects.push(Defect { offset: Some(1), sentence: "cut".into() }),
            |r| r.loaded.as_mut().unwrap().exit = Known::Known(1),
            |r| r.verified.as_mut().unwrap().checks.push(Check::answered("rows", "at least 5", "2", false)),
        ];
        for fault in faults {
            let mut record = good();
            fault(&mut record);
            let judged = judge(&record);
            assert_eq!((judged.defects.len(), judged.is_good()), (1, false), "{judged:?}");
        }
    }

    #[test]
    fn what_was_not_seen_is_unknown_and_never_a_pass() {
        let faults: [fn(&mut RestoreRecord); 3] = [
            |r| r.validated.as_mut().unwrap().data_blocks = unknown(),
            |r| r.loaded.as_mut().unwrap().exit = unknown(),
            |r| r.verified.as_mut().unwrap().checks.push(Check::unknown("amcheck", "no corruption", "not installed")),
        ];
        for fault in faults {
            let mut record = good();
            fault(&mut record);
            let judged = judge(&record);
            assert_eq!((judged.unknowns.len(), judged.defects.len()), (1, 0), "{judged:?}");
        }
    }

    #[test]
    fn why_it_stopped_decides() {
        let mut record = good();
        record.stopped = Some(Stopped::Cancelled);
        assert!(judge(&record).cancelled);
        record.stopped = Some(Stopped::Refused("the marker is missing".into()));
        assert_eq!(judge(&record).refusals, ["the marker is missing"]);
        record.stopped = Some(Stopped::Cannot("the store did not answer".into()));
        assert_eq!(judge(&record).unknowns, ["the store did not answer"]);
    }
}
