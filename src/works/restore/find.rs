//! The backup is found: the prefix listed, one chosen, its age read from its own header, the worst case of all of them.

use super::archive::{self, HEAD_BYTES_MAX};
use super::archive_error::ArchiveError;
use crate::targets::backups::{BackupStore, Listed, StoreError};
use firedrill_core::restore::{BackupSpan, Found, SetAside, WorstCase, worst_case};
use firedrill_core::time::{Interval, Known, Nanos};
use futures_util::{StreamExt, stream};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Which backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The newest.
    Newest,
    /// The newest that was complete at least this long before the reference moment, and so is at least this old.
    OlderThan(Nanos),
    /// This key.
    Key(String),
}

/// How to find.
#[derive(Clone, Debug)]
pub struct FindPlan {
    /// Which backup.
    pub choice: Choice,
    /// The moment age is counted to.
    pub reference_wall_ns: i64,
    /// The time zone of the machine that dumps: the header holds its wall clock and names no zone.
    pub dump_zone: jiff::tz::TimeZone,
    /// How far back the worst case looks.
    pub window: Nanos,
    /// Of how many retained backups the header is read, by a small ranged GET each.
    pub headers_max: usize,
}

impl FindPlan {
    /// The newest, seen from `reference_wall_ns`, over 30 days, dumps made in UTC.
    pub fn newest(reference_wall_ns: i64) -> Self {
        Self {
            choice: Choice::Newest,
            reference_wall_ns,
            dump_zone: jiff::tz::TimeZone::UTC,
            window: Nanos::from_secs(30 * 86_400),
            headers_max: 200,
        }
    }
}

/// Why none was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// The store did not answer as needed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The prefix holds no backup that could be chosen. That is proven, and bad.
    #[error("there is no backup to restore: {wanted} in s3://{bucket}/{prefix} ({listed} objects listed{aside})")]
    Nothing {
        /// What was looked for.
        wanted: String,
        /// Where.
        bucket: String,
        /// Where in it.
        prefix: String,
        /// How many objects were seen.
        listed: u64,
        /// What was set aside, in words.
        aside: String,
    },
}

impl FindError {
    /// Whether this proves that there is nothing to restore, or only that the store could not be asked.
    pub fn is_proof(&self) -> bool {
        matches!(self, Self::Nothing { .. })
    }
}

/// How many of the newest are kept as candidates while listing.
const CANDIDATES_KEPT: usize = 64;
/// How many backups of the window are kept for the worst case; beyond it, it is unknown.
const SPANS_MAX: usize = 20_000;
/// Examples of objects that were set aside.
const EXAMPLES_MAX: usize = 5;
/// Headers are read this many at a time.
const HEADERS_AT_ONCE: usize = 8;
/// The store's clock and the dumping machine's may differ by this, in nanoseconds.
const SKEW_NS: i64 = 5_000_000_000;

/// Names that say that this is a custom-format dump: such an object is never passed over, whatever it holds.
const DUMP_NAMES: &[&str] = &["dump", "pgdump", "backup", "custom", "dmp", "bak", "fc"];
/// Names of files that lie beside dumps.
const SIDE_NAMES: &[&str] =
    &["md5", "sha1", "sha256", "sha512", "asc", "sig", "json", "txt", "log", "yaml", "yml", "csv"];
/// Names of uploads that were never finished.
const UNFINISHED_NAMES: &[&str] = &["partial", "part", "tmp", "temp", "incomplete"];
/// Names of other formats.
const OTHER_NAMES: &[&str] = &["sql", "gz", "bz2", "xz", "zst", "lz4", "tar", "gpg", "age", "enc", "zip"];

/// What a key's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A dump: whatever is wrong with it is a defect.
    Dump,
    /// Perhaps a dump: its first bytes decide.
    Perhaps,
    /// No candidate, and why.
    Aside(&'static str),
}

/// Reads a key's name.
pub fn kind_of(key: &str) -> Kind {
    let name = key.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let Some((stem, suffix)) = name.rsplit_once('.') else {
        return if name.is_empty() { Kind::Aside("a folder marker") } else { Kind::Perhaps };
    };
    let is = |names: &[&str]| names.contains(&suffix);
    if stem.is_empty() {
        Kind::Aside("a hidden file")
    } else if is(DUMP_NAMES) {
        Kind::Dump
    } else if is(SIDE_NAMES) {
        Kind::Aside("a side file by its name")
    } else if is(UNFINISHED_NAMES) {
        Kind::Aside("an unfinished upload by its name")
    } else if is(OTHER_NAMES) {
        Kind::Aside("not a custom-format dump by its name (pg_dump -Fc is expected)")
    } else {
        Kind::Perhaps
    }
}

/// What one listing left in memory, however large the bucket is.
struct Listing<'a> {
    plan: &'a FindPlan,
    listed: u64,
    candidates: u64,
    newest: BinaryHeap<Reverse<(i64, String, u64)>>,
    spans: Vec<Listed>,
    spans_dropped: bool,
    aside: SetAside,
}

impl<'a> Listing<'a> {
    fn new(plan: &'a FindPlan) -> Self {
        Self {
            plan,
            listed: 0,
            candidates: 0,
            newest: BinaryHeap::new(),
            spans: Vec::new(),
            spans_dropped: false,
            aside: SetAside::default(),
        }
    }

    fn see(&mut self, object: Listed) {
        self.listed += 1;
        if let Kind::Aside(why) = kind_of(&object.key) {
            self.set_aside(&object.key, why);
            return;
        }
        self.candidates += 1;
        if self.is_eligible(&object) {
            self.newest.push(Reverse((object.completed_wall_ns, object.key.clone(), object.size_bytes)));
            if self.newest.len() > CANDIDATES_KEPT {
                self.newest.pop();
            }
        }
        let window_ns = i64::try_from(self.plan.window.0).unwrap_or(i64::MAX);
        if object.completed_wall_ns >= self.plan.reference_wall_ns.saturating_sub(window_ns) {
            if self.spans.len() < SPANS_MAX {
                self.spans.push(object);
            } else {
                self.spans_dropped = true;
            }
        }
    }

    fn is_eligible(&self, object: &Listed) -> bool {
        match &self.plan.choice {
            Choice::Newest => true,
            Choice::OlderThan(age) => {
                let age_ns = i64::try_from(age.0).unwrap_or(i64::MAX);
                object.completed_wall_ns <= self.plan.reference_wall_ns.saturating_sub(age_ns)
            }
            Choice::Key(key) => object.key == *key,
        }
    }

    fn set_aside(&mut self, key: &str, why: &str) {
        self.aside.count += 1;
        if self.aside.examples.len() < EXAMPLES_MAX {
            self.aside.examples.push(format!("{key}: {why}"));
        }
    }

    fn nothing(&self, store: &BackupStore) -> FindError {
        let wanted = match &self.plan.choice {
            Choice::Newest => "no dump".to_owned(),
            Choice::OlderThan(age) => {
                format!("no dump that is at least {} old", humantime::format_duration((*age).into()))
            }
            Choice::Key(key) => format!("no object {key}"),
        };
        let aside = match self.aside.examples.first() {
            None => String::new(),
            Some(first) => format!(", {} set aside, for example {first}", self.aside.count),
        };
        FindError::Nothing {
            wanted,
            bucket: store.bucket().to_owned(),
            prefix: store.prefix().to_owned(),
            listed: self.listed,
            aside,
        }
    }
}

/// Finds the backup.
///
/// # Errors
/// [`FindError::Nothing`] when none qualifies; otherwise what the store answered.
pub async fn find(store: &BackupStore, plan: &FindPlan) -> Result<Found, FindError> {
    let mut listing = Listing::new(plan);
    store.list(|object| listing.see(object)).await?;
    let key = match &plan.choice {
        Choice::Key(key) => match store.describe(key).await {
            Ok(_) => key.clone(),
            Err(StoreError::Missing { .. }) => return Err(listing.nothing(store)),
            Err(other) => return Err(other.into()),
        },
        Choice::Newest | Choice::OlderThan(_) => choose(store, &mut listing).await?,
    };
    let object = store.describe(&key).await?;
    let started_wall_ns = match store.head_bytes(&key, HEAD_BYTES_MAX).await {
        Ok(bytes) => started(&bytes, object.size_bytes, object.completed_wall_ns, &plan.dump_zone),
        Err(StoreError::Unexpected { detail, .. }) if object.size_bytes == 0 => {
            Known::Unknown(format!("an empty object has no header ({detail})"))
        }
        Err(error) => Known::Unknown(error.to_string()),
    };
    let age = age(&started_wall_ns, object.completed_wall_ns, plan.reference_wall_ns);
    let worst_case = worst_of(store, &listing).await;
    let chosen_by = match &plan.choice {
        Choice::Newest => format!("the newest of {} in {}", listing.candidates, store.prefix()),
        Choice::OlderThan(span) => format!(
            "the newest of {} in {} that is at least {} old",
            listing.candidates,
            store.prefix(),
            humantime::format_duration((*span).into())
        ),
        Choice::Key(_) => "by its key".to_owned(),
    };
    Ok(Found {
        object,
        chosen_by,
        started_wall_ns,
        age,
        candidates: listing.candidates,
        set_aside: listing.aside,
        worst_case,
    })
}

/// The newest eligible object that is, or says that it is, a dump.
async fn choose(store: &BackupStore, listing: &mut Listing<'_>) -> Result<String, FindError> {
    // Ascending in `Reverse`: the newest comes first.
    for Reverse((_, key, size_bytes)) in std::mem::take(&mut listing.newest).into_sorted_vec() {
        if kind_of(&key) == Kind::Dump {
            return Ok(key);
        }
        let begins_as_dump = size_bytes >= 5 && store.head_bytes(&key, 5).await?.as_slice() == archive::MAGIC;
        if begins_as_dump {
            return Ok(key);
        }
        listing.set_aside(&key, "neither named as a dump nor beginning as one");
        listing.candidates = listing.candidates.saturating_sub(1);
    }
    Err(listing.nothing(store))
}

/// When a dump was started, from its first bytes.
fn started(bytes: &[u8], size_bytes: u64, completed_wall_ns: i64, zone: &jiff::tz::TimeZone) -> Known<i64> {
    let head = match archive::read_head(bytes, size_bytes) {
        Ok(head) => head,
        Err(ArchiveError::Cut { .. }) if bytes.len() as u64 == HEAD_BYTES_MAX => {
            return Known::Unknown(format!("its head is longer than {HEAD_BYTES_MAX} bytes"));
        }
        Err(error) => return Known::Unknown(error.to_string()),
    };
    let civil = match head.created {
        Ok(civil) => civil,
        Err(why) => return Known::Unknown(why),
    };
    let Ok(zoned) = zone.to_ambiguous_zoned(civil).compatible() else {
        return Known::Unknown(format!("{civil} is no time in {}", zone.iana_name().unwrap_or("the zone given")));
    };
    let wall_ns = i64::try_from(zoned.timestamp().as_nanosecond()).unwrap_or(i64::MAX);
    if wall_ns > completed_wall_ns.saturating_add(SKEW_NS) {
        return Known::Unknown(format!(
            "its header says {civil}, which in {} is after its upload was complete: the dumping machine's clock is in another zone",
            zone.iana_name().unwrap_or("the zone given")
        ));
    }
    Known::Known(wall_ns)
}

/// The header's time has whole seconds: the dump was started within the second after it.
fn age(started_wall_ns: &Known<i64>, completed_wall_ns: i64, reference_wall_ns: i64) -> Interval {
    let until = |from: i64| Nanos(u64::try_from(reference_wall_ns.saturating_sub(from)).unwrap_or(0));
    match started_wall_ns {
        Known::Known(started) => Interval::new(until(started.saturating_add(1_000_000_000)), Some(until(*started))),
        Known::Unknown(_) => Interval::new(until(completed_wall_ns), None),
    }
}

/// The worst case of the window. Headers are read where the gaps between completions are largest, up to the limit.
async fn worst_of(store: &BackupStore, listing: &Listing<'_>) -> Known<WorstCase> {
    if listing.spans_dropped {
        return Known::Unknown(format!("more than {SPANS_MAX} backups within the window"));
    }
    let plan = listing.plan;
    let mut spans: Vec<&Listed> = listing.spans.iter().collect();
    spans.sort_by_key(|s| s.completed_wall_ns);
    let ends = spans.iter().skip(1).map(|s| s.completed_wall_ns).chain([plan.reference_wall_ns]);
    let mut by_gap: Vec<(i64, usize)> =
        spans.iter().zip(ends).enumerate().map(|(i, (s, end))| (end.saturating_sub(s.completed_wall_ns), i)).collect();
    by_gap.sort_unstable_by_key(|(gap, _)| Reverse(*gap));
    let mut backups: Vec<BackupSpan> = spans
        .iter()
        .map(|s| BackupSpan { key: s.key.clone(), started_wall_ns: None, completed_wall_ns: s.completed_wall_ns })
        .collect();
    let reads = by_gap.into_iter().take(plan.headers_max).map(|(_, index)| {
        let listed = spans[index].clone();
        async move {
            let bytes = store.head_bytes(&listed.key, HEAD_BYTES_MAX).await.unwrap_or_default();
            (index, started(&bytes, listed.size_bytes, listed.completed_wall_ns, &plan.dump_zone))
        }
    });
    let mut reads = stream::iter(reads).buffer_unordered(HEADERS_AT_ONCE);
    while let Some((index, start)) = reads.next().await {
        backups[index].started_wall_ns = start.known().copied();
    }
    match worst_case(backups, plan.reference_wall_ns, plan.window) {
        Some(worst) => Known::Known(worst),
        None => Known::Unknown("no backup within the window".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_may_be_restored() {
        for key in ["postgresql/orders-2026.dump", "a/b.BACKUP", "x.pgdump"] {
            assert_eq!(kind_of(key), Kind::Dump, "{key}");
        }
        for key in ["postgresql/orders", "orders.2026-11-21"] {
            assert_eq!(kind_of(key), Kind::Perhaps, "{key}");
        }
        for key in ["postgresql/", "o.dump.sha256", "o.dump.partial", "o.sql.gz", ".dump", "o.json"] {
            assert!(matches!(kind_of(key), Kind::Aside(_)), "{key}");
        }
    }

    #[test]
    fn a_start_after_the_end_is_another_zone() {
        let zone = jiff::tz::TimeZone::UTC;
        let mut head = b"PGDMP\x01\x0e\x00\x04\x08\x01".to_vec();
        let mut int = |value: i32| {
            head.push(u8::from(value < 0));
            head.extend_from_slice(&value.unsigned_abs().to_le_bytes());
        };
        // −1 is the default compression level; then 05:03:00 on 21 November 2026, in tm's fields.
        for value in [-1, 0, 3, 5, 21, 10, 126, 0, 0, 0, 0] {
            int(value);
        }
        let at = |text: &str| i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap();
        let size = head.len() as u64;
        let seen = started(&head, size, at("2026-11-21T05:04:00Z"), &zone);
        assert_eq!(seen, Known::Known(at("2026-11-21T05:03:00Z")));
        let seen = started(&head, size, at("2026-11-21T00:04:00Z"), &zone);
        assert!(matches!(seen, Known::Unknown(why) if why.contains("another zone")));
    }
}
