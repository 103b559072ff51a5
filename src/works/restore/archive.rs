//! The head and the table of contents of PostgreSQL's custom archive format (`pg_dump -Fc`), versions 1.12 to 1.16.
//!
//! `pg_restore -l` reads no further than this, and exits 0 on a file that is cut behind it. Here it is read in order to
//! know what must follow: [`super::blocks`] then walks the rest. The layout is that of `pg_backup_archiver.c` and
//! `pg_backup_custom.c` in PostgreSQL's sources.

use super::archive_error::ArchiveError;
use crate::scratch::binaries::major_of;
use std::io::{self, Read};

/// The first bytes of every archive.
pub const MAGIC: &[u8; 5] = b"PGDMP";
/// How many bytes of a file are enough to read [`Head`], for any name of a database.
pub const HEAD_BYTES_MAX: u64 = 1024;
/// The newest archive version whose layout is known here: PostgreSQL 17 and 18.
const NEWEST: (u8, u8) = (1, 16);
/// The oldest: PostgreSQL 9.0.
const OLDEST: (u8, u8) = (1, 12);
/// No string of a head or table of contents is longer (a view's definition may be large).
const STRING_BYTES_MAX: u64 = 1 << 30;

/// How data are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: the archive itself carries no checksum of the data then.
    None,
    /// zlib, with its checksum at the end of each stream.
    Gzip,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// The head of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Major, minor, revision.
    pub version: (u8, u8, u8),
    /// How wide its integers are, in bytes.
    pub int_bytes: u8,
    /// How wide its file offsets are, in bytes.
    pub offset_bytes: u8,
    /// How data are compressed.
    pub compression: Compression,
    /// When the dump was *started*, as the dumping machine's clock on the wall; the archive names no time zone.
    pub created: Result<jiff::civil::DateTime, String>,
    /// The database's name.
    pub database: String,
    /// The version of the server that was dumped.
    pub server_version: String,
    /// The version of the `pg_dump` that wrote it.
    pub dump_version: String,
}

/// Where an entry's data lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataAt {
    /// It has none.
    Nothing,
    /// It has some, somewhere: the dump was written to a pipe.
    Somewhere,
    /// At this offset.
    Offset(u64),
}

/// One entry of the table of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number within the dump.
    pub dump_id: i64,
    /// Its name.
    pub tag: String,
    /// Its kind: `TABLE`, `TABLE DATA`, `EXTENSION`, ...
    pub kind: String,
    /// Its schema; empty when it is in none.
    pub schema: String,
    /// Its owner.
    pub owner: String,
    /// Its definition, kept only of the few kinds that are needed: `DATABASE` and `EXTENSION`.
    pub definition: Option<String>,
    /// Where its data lie.
    pub data: DataAt,
}

impl Entry {
    /// For people: `TABLE DATA public.orders`.
    pub fn label(&self) -> String {
        if self.schema.is_empty() {
            format!("{} {}", self.kind, self.tag)
        } else {
            format!("{} {}.{}", self.kind, self.schema, self.tag)
        }
    }
}

/// Head and table of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The head.
    pub head: Head,
    /// The entries in order.
    pub entries: Vec<Entry>,
    /// Where the data blocks begin.
    pub data_begin: u64,
}

impl Contents {
    /// The oldest major version of PostgreSQL whose programs and server can take this dump: that of the dumped server, or
    /// of a newer `pg_dump` that wrote it, since an older `pg_restore` does not read its format.
    pub fn major_needed(&self) -> Option<u32> {
        major_of(&self.head.server_version).max(major_of(&self.head.dump_version))
    }

    /// Whether the dump holds data of this table.
    pub fn has_data_of(&self, schema: &str, table: &str) -> bool {
        self.entries.iter().any(|e| e.kind == "TABLE DATA" && e.schema == schema && e.tag == table)
    }

    /// How many tables it holds data of.
    pub fn tables(&self) -> u64 {
        self.entries.iter().filter(|e| e.kind == "TABLE DATA").count() as u64
    }
}

/// Reads a file from its first byte to its last and always knows where it is.
pub struct Scanner<R> {
    inner: R,
    at: u64,
    size: u64,
    int_bytes: u8,
}

impl<R: Read> Scanner<R> {
    /// A scanner of a file of `size` bytes, at its beginning.
    pub fn new(inner: R, size: u64) -> Self {
        Self { inner, at: 0, size, int_bytes: 4 }
    }

    /// Where it is.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes are left.
    pub fn left(&self) -> u64 {
        self.size - self.at
    }

    fn need(&self, needed: u64, what: &str) -> Result<(), ArchiveError> {
        if needed > self.left() {
            return Err(ArchiveError::Cut { offset: self.at, needed, size: self.size, what: what.to_owned() });
        }
        Ok(())
    }

    fn io(&self, error: &io::Error) -> ArchiveError {
        ArchiveError::Unreadable { offset: self.at, why: error.to_string() }
    }

    fn fill(&mut self, into: &mut [u8], what: &str) -> Result<(), ArchiveError> {
        self.need(into.len() as u64, what)?;
        self.inner.read_exact(into).map_err(|e| self.io(&e))?;
        self.at += into.len() as u64;
        Ok(())
    }

    /// Passes over bytes that only have to be there.
    pub fn pass(&mut self, length: u64, what: &str) -> Result<(), ArchiveError> {
        self.need(length, what)?;
        let passed = io::copy(&mut self.inner.by_ref().take(length), &mut io::sink()).map_err(|e| self.io(&e))?;
        self.at += passed;
        if passed < length {
            let why = format!("{passed} of {length} bytes came");
            return Err(ArchiveError::Unreadable { offset: self.at, why });
        }
        Ok(())
    }

    /// One byte.
    pub fn byte(&mut self, what: &str) -> Result<u8, ArchiveError> {
        let mut one = [0];
        self.fill(&mut one, what)?;
        Ok(one[0])
    }

    /// An integer: a sign byte, then the magnitude, least byte first.
    pub fn int(&mut self, what: &str) -> Result<i64, ArchiveError> {
        let offset = self.at;
        self.need(u64::from(self.int_bytes) + 1, what)?;
        let sign = self.byte(what)?;
        let mut magnitude: i64 = 0;
        for place in 0..self.int_bytes {
            let byte = self.byte(what)?;
            if place >= 7 && byte != 0 {
                return Err(ArchiveError::Damaged { offset, what: format!("{what} is beyond every plausible number") });
            }
            if place < 7 {
                magnitude |= i64::from(byte) << (8 * place);
            }
        }
        match sign {
            0 => Ok(magnitude),
            1 => Ok(-magnitude),
            _ => Err(ArchiveError::Damaged { offset, what: format!("the sign of {what} is {sign}, expected 0 or 1") }),
        }
    }

    fn string(&mut self, what: &str) -> Result<Option<String>, ArchiveError> {
        let offset = self.at;
        let length = self.int(what)?;
        let Ok(length) = u64::try_from(length) else { return Ok(None) };
        if length > STRING_BYTES_MAX {
            return Err(ArchiveError::Damaged { offset, what: format!("{what} says it has {length} bytes") });
        }
        self.need(length, what)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.fill(&mut bytes, what)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn text(&mut self, what: &str) -> Result<String, ArchiveError> {
        Ok(self.string(what)?.unwrap_or_default())
    }

    fn file_offset(&mut self, bytes: u8, what: &str) -> Result<u64, ArchiveError> {
        let mut value: u64 = 0;
        for place in 0..u32::from(bytes) {
            let byte = u64::from(self.byte(what)?);
            value |= byte.checked_shl(8 * place).unwrap_or(0);
        }
        Ok(value)
    }

    /// The head.
    pub fn head(&mut self) -> Result<Head, ArchiveError> {
        const WHAT: &str = "the archive's head";
        if self.size == 0 {
            return Err(ArchiveError::Empty);
        }
        let mut magic = [0; 5];
        let sees = usize::try_from(self.size.min(5)).unwrap_or(5);
        self.inner.read_exact(&mut magic[..sees]).map_err(|e| self.io(&e))?;
        self.at += sees as u64;
        if magic[..sees] != MAGIC[..sees] {
            return Err(ArchiveError::NotAnArchive { found: printable(&magic[..sees]) });
        }
        if sees < 5 {
            return Err(ArchiveError::Cut { offset: 0, needed: 5, size: self.size, what: WHAT.to_owned() });
        }
        let version = (self.byte(WHAT)?, self.byte(WHAT)?, self.byte(WHAT)?);
        let (major, minor, _) = version;
        if (major, minor) < OLDEST || (major, minor) > NEWEST {
            return Err(ArchiveError::UnknownVersion { major, minor });
        }
        let int_bytes = self.width("integers")?;
        let offset_bytes = self.width("offsets")?;
        self.int_bytes = int_bytes;
        let format = self.byte(WHAT)?;
        if format != 1 {
            return Err(ArchiveError::OtherFormat { found: format });
        }
        let compression = self.compression(minor)?;
        let created = self.created()?;
        Ok(Head {
            version,
            int_bytes,
            offset_bytes,
            compression,
            created,
            database: self.text(WHAT)?,
            server_version: self.text(WHAT)?,
            dump_version: self.text(WHAT)?,
        })
    }

    fn width(&mut self, of: &str) -> Result<u8, ArchiveError> {
        let offset = self.at;
        match self.byte("the archive's head")? {
            width @ (4 | 8) => Ok(width),
            other => {
                let what = format!("its {of} are said to be {other} bytes wide, expected 4 or 8");
                Err(ArchiveError::Damaged { offset, what })
            }
        }
    }

    fn compression(&mut self, minor: u8) -> Result<Compression, ArchiveError> {
        let offset = self.at;
        if minor < 15 {
            // Before 1.15 a level stands here: 0 is none, anything else (−1 is the default) is zlib.
            let level = self.int("the compression level")?;
            return Ok(if level == 0 { Compression::None } else { Compression::Gzip });
        }
        match self.byte("the compression algorithm")? {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Lz4),
            3 => Ok(Compression::Zstd),
            other => {
                let what = format!("compression algorithm {other}, expected 0 to 3");
                Err(ArchiveError::Damaged { offset, what })
            }
        }
    }

    fn created(&mut self) -> Result<Result<jiff::civil::DateTime, String>, ArchiveError> {
        let mut fields = [0_i64; 7];
        for field in &mut fields {
            *field = self.int("the time of the dump")?;
        }
        let [second, minute, hour, day, month, year, _dst] = fields;
        let built = (|| {
            jiff::civil::DateTime::new(
                i16::try_from(year + 1900).ok()?,
                i8::try_from(month + 1).ok()?,
                i8::try_from(day).ok()?,
                i8::try_from(hour).ok()?,
                i8::try_from(minute).ok()?,
                i8::try_from(second.min(59)).ok()?,
                0,
            )
            .ok()
        })();
        Ok(built.ok_or_else(|| format!("the head's time is no time: {fields:?}")))
    }

    /// The table of contents, after the head.
    pub fn contents(mut self) -> Result<(Contents, Self), ArchiveError> {
        let head = self.head()?;
        let offset = self.at;
        let count = self.int("the number of entries")?;
        let Ok(count) = u64::try_from(count) else {
            return Err(ArchiveError::Damaged { offset, what: format!("the table of contents has {count} entries") });
        };
        // Nothing is reserved by the count: a damaged one ends where the file does.
        let mut entries = Vec::new();
        for number in 1..=count {
            entries.push(self.entry(&head, number, count)?);
        }
        let data_begin = self.at;
        Ok((Contents { head, entries, data_begin }, self))
    }

    fn entry(&mut self, head: &Head, number: u64, count: u64) -> Result<Entry, ArchiveError> {
        let minor = head.version.1;
        let what = format!("entry {number} of {count} in the table of contents");
        let what = what.as_str();
        let begin = self.at;
        let damaged = |why: String| ArchiveError::Damaged { offset: begin, what: format!("{what}: {why}") };
        let dump_id = self.int(what)?;
        if dump_id <= 0 {
            return Err(damaged(format!("its number is {dump_id}")));
        }
        let _had_dumper = self.int(what)?;
        for _ in 0..2 {
            let oid = self.text(what)?;
            if oid.is_empty() || !oid.bytes().all(|b| b.is_ascii_digit()) {
                return Err(damaged(format!("`{oid}` is no object id")));
            }
        }
        let tag = self.text(what)?;
        let kind = self.text(what)?;
        let _section = self.int(what)?;
        let definition = self.text(what)?;
        let _drop = self.string(what)?;
        let _copy = self.string(what)?;
        let schema = self.text(what)?;
        let _tablespace = self.string(what)?;
        if minor >= 14 {
            let _access_method = self.string(what)?;
        }
        if minor >= 16 {
            let _relation_kind = self.int(what)?;
        }
        let owner = self.text(what)?;
        let _with_oids = self.string(what)?;
        while let Some(dependency) = self.string(what)? {
            if dependency.is_empty() || !dependency.bytes().all(|b| b.is_ascii_digit()) {
                return Err(damaged(format!("`{dependency}` is no dependency")));
            }
        }
        let state = self.byte(what)?;
        let position = self.file_offset(head.offset_bytes, what)?;
        let data = match state {
            1 => DataAt::Somewhere,
            2 => DataAt::Offset(position),
            3 => DataAt::Nothing,
            other => return Err(damaged(format!("the state of its data is {other}, expected 1, 2 or 3"))),
        };
        let keeps = matches!(kind.as_str(), "DATABASE" | "EXTENSION");
        Ok(Entry { dump_id, tag, schema, owner, definition: keeps.then_some(definition), kind, data })
    }
}

/// Reads only the head, from the first bytes of an object.
pub fn read_head(bytes: &[u8], whole_size: u64) -> Result<Head, ArchiveError> {
    let seen = whole_size.min(bytes.len() as u64);
    Scanner::new(bytes, seen).head()
}

fn printable(bytes: &[u8]) -> String {
    if bytes.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
        format!("`{}`", String::from_utf8_lossy(bytes))
    } else {
        let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        hex.join(" ")
    }
}
