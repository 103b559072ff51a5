//! Reads the truth's file back: per service and view, when it was down.

use std::{fs, io, path::Path};

use super::record::{Interval, Record, ViewKind};

/// One outage of one service in one view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The service.
    pub service: String,
    /// The view it was seen in.
    pub view: ViewKind,
    /// The first moment at which a request would have failed lies within, in `CLOCK_BOOTTIME` nanoseconds.
    pub down_from: Interval,
    /// The first moment at which a request would have been answered again; `None` while it was down to the end.
    pub up_at: Option<Interval>,
    /// What the first failed request met.
    pub why: String,
}

/// Reads the records of `file` and pairs them.
///
/// # Errors
/// When the file cannot be read, or holds a line that is none of ours. The last line may be cut short: whoever wrote it
/// may have been killed in the middle.
pub fn read_outages(file: &Path) -> io::Result<Vec<Outage>> {
    let text = fs::read_to_string(file)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let records: Result<Vec<Record>, _> = whole.lines().map(serde_json::from_str).collect();
    Ok(outages(&records?))
}

/// Pairs each `Down` with the `Up` that follows it, in order of time.
pub fn outages(records: &[Record]) -> Vec<Outage> {
    let mut found: Vec<Outage> = Vec::new();
    for record in records {
        match record {
            Record::Down { service, view, down_from, why } => found.push(Outage {
                service: service.clone(),
                view: *view,
                down_from: *down_from,
                up_at: None,
                why: why.clone(),
            }),
            Record::Up { service, view, up_at } => {
                let open = found
                    .iter_mut()
                    .rev()
                    .find(|outage| outage.service == *service && outage.view == *view && outage.up_at.is_none());
                if let Some(open) = open {
                    open.up_at = Some(*up_at);
                }
            }
            Record::Begun { .. }
            | Record::NotYetUp { .. }
            | Record::FirstUp { .. }
            | Record::Endpoints { .. }
            | Record::PostmasterEnded { .. }
            | Record::Starved { .. }
            | Record::Ended { .. } => {}
        }
    }
    found.sort_by_key(|outage| outage.down_from);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(view: ViewKind, lo: u64, hi: u64) -> Record {
        Record::Down { service: "shop".to_owned(), view, down_from: [lo, hi], why: "refused".to_owned() }
    }

    fn up(view: ViewKind, lo: u64, hi: u64) -> Record {
        Record::Up { service: "shop".to_owned(), view, up_at: [lo, hi] }
    }

    #[test]
    fn edges_pair_within_their_view_and_an_open_outage_stays_open() {
        let records = [
            down(ViewKind::Kept, 10, 11),
            down(ViewKind::Fresh, 9, 12),
            up(ViewKind::Kept, 20, 21),
            down(ViewKind::Kept, 30, 31),
        ];
        let found = outages(&records);
        let brief: Vec<_> = found.iter().map(|o| (o.view, o.down_from[0], o.up_at.map(|up| up[1]))).collect();
        assert_eq!(brief, [(ViewKind::Fresh, 9, None), (ViewKind::Kept, 10, Some(21)), (ViewKind::Kept, 30, None)]);
    }

    #[test]
    fn a_last_line_cut_short_is_not_read_and_a_foreign_one_is_an_error() {
        let dir = std::env::temp_dir().join(format!("truth-read-{}", uuid::Uuid::now_v7()));
        let line = serde_json::to_string(&down(ViewKind::Kept, 1, 2)).unwrap();
        fs::write(&dir, format!("{line}\n{{\"up\":{{\"ser")).unwrap();
        assert_eq!(read_outages(&dir).unwrap().len(), 1);
        fs::write(&dir, "{\"other\":1}\n").unwrap();
        assert!(read_outages(&dir).is_err());
        fs::remove_file(&dir).unwrap();
    }
}
