//! Walks the data blocks of a custom archive, from the end of its table of contents to the end of the file.
//!
//! Every entry that has data must have exactly one block, at the offset it names, ended by its own mark, and the file
//! must end with the last block. A dump cut anywhere fails one of these, whether it was written to a file (offsets
//! known) or to a pipe (offsets not known): `pg_restore -l` sees neither.

use super::archive::{Contents, DataAt, Entry, Scanner};
use super::archive_error::ArchiveError;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// A block of a table's rows.
const BLOCK_DATA: u8 = 1;
/// A block of large objects.
const BLOCK_BLOBS: u8 = 3;

/// What the walk passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Data blocks.
    pub blocks: u64,
    /// Bytes of data in them, as they are stored.
    pub data_bytes: u64,
    /// Where the last block ended: the size of the file.
    pub end: u64,
}

/// Reads a file's table of contents and walks all its blocks. Memory does not grow with the data.
pub fn walk_file(path: &Path) -> Result<(Contents, Walk), ArchiveError> {
    let unreadable = |e: &std::io::Error| ArchiveError::Unreadable { offset: 0, why: e.to_string() };
    let file = File::open(path).map_err(|e| unreadable(&e))?;
    let size = file.metadata().map_err(|e| unreadable(&e))?.len();
    walk(BufReader::with_capacity(1 << 20, file), size)
}

/// The same over anything that is read from its first byte, of `size` bytes.
pub fn walk<R: Read>(reader: R, size: u64) -> Result<(Contents, Walk), ArchiveError> {
    let (contents, mut scanner) = Scanner::new(reader, size).contents()?;
    let mut awaited: BTreeMap<i64, &Entry> =
        contents.entries.iter().filter(|e| e.data != DataAt::Nothing).map(|e| (e.dump_id, e)).collect();
    let known = LargeObjects::of(&contents);
    let mut walk = Walk::default();
    while !awaited.is_empty() && scanner.left() > 0 {
        let begin = scanner.at();
        let kind = scanner.byte("a data block")?;
        let dump_id = scanner.int("the number of a data block")?;
        let Some(entry) = awaited.remove(&dump_id) else {
            let what = format!("a data block of entry {dump_id}, which the table of contents does not await");
            return Err(ArchiveError::Damaged { offset: begin, what });
        };
        if let DataAt::Offset(expected) = entry.data
            && expected != begin
        {
            let what = format!("the data of {} begin here, expected at {expected}", entry.label());
            return Err(ArchiveError::Damaged { offset: begin, what });
        }
        walk.data_bytes += match kind {
            BLOCK_DATA => chunks(&mut scanner, &format!("the data of {}", entry.label()))?,
            BLOCK_BLOBS => large_objects(&mut scanner, &entry.label(), &known)?,
            other => {
                let what = format!("block type {other}, expected {BLOCK_DATA} (rows) or {BLOCK_BLOBS} (large objects)");
                return Err(ArchiveError::Damaged { offset: begin, what });
            }
        };
        walk.blocks += 1;
    }
    walk.end = scanner.at();
    if let Some(first) = awaited.values().next() {
        let more = awaited.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" and of {more} more") };
        return Err(ArchiveError::DataMissing { size, missing: format!("{}{more}", first.label()) });
    }
    if scanner.left() > 0 {
        return Err(ArchiveError::Trailing { offset: walk.end, extra: scanner.left() });
    }
    Ok((contents, walk))
}

/// Chunks of a length and as many bytes, ended by a length of 0.
fn chunks<R: Read>(scanner: &mut Scanner<R>, what: &str) -> Result<u64, ArchiveError> {
    let mut bytes = 0;
    loop {
        let offset = scanner.at();
        let length = scanner.int(what)?;
        let Ok(length) = u64::try_from(length) else {
            let what = format!("a chunk of {what} says it has {length} bytes");
            return Err(ArchiveError::Damaged { offset, what });
        };
        if length == 0 {
            return Ok(bytes);
        }
        scanner.pass(length, what)?;
        bytes += length;
    }
}

/// The large objects that the table of contents names, as ranges of their numbers; a data block names each again.
struct LargeObjects(Option<Vec<(i64, i64)>>);

impl LargeObjects {
    /// Before 1.16 each has an entry `BLOB` with its number; since then one `BLOB METADATA` names one or `first..last`.
    fn of(contents: &Contents) -> Self {
        let tags = contents.entries.iter().filter(|e| matches!(e.kind.as_str(), "BLOB" | "BLOB METADATA"));
        let ranges: Option<Vec<(i64, i64)>> = tags
            .map(|e| match e.tag.split_once("..") {
                Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
                None => e.tag.parse().ok().map(|oid| (oid, oid)),
            })
            .collect();
        Self(ranges.map(|mut ranges| {
            ranges.sort_unstable();
            ranges
        }))
    }

    /// Whether this one is named; `true` when a name was not understood.
    fn has(&self, oid: i64) -> bool {
        let Some(ranges) = &self.0 else { return true };
        let after = ranges.partition_point(|(first, _)| *first <= oid);
        ranges[..after].iter().rev().take(4).any(|(_, last)| oid <= *last)
    }
}

/// Large objects, each with its number and its chunks, ended by the number 0.
fn large_objects<R: Read>(scanner: &mut Scanner<R>, label: &str, known: &LargeObjects) -> Result<u64, ArchiveError> {
    let mut bytes = 0;
    loop {
        let what = format!("the large objects of {label}");
        let offset = scanner.at();
        let oid = scanner.int(&what)?;
        if oid == 0 {
            return Ok(bytes);
        }
        if !known.has(oid) {
            let what = format!("large object {oid} begins here, which the table of contents does not name");
            return Err(ArchiveError::Damaged { offset, what });
        }
        bytes += chunks(scanner, &format!("large object {oid} of {label}"))?;
    }
}
