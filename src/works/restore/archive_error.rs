//! What can be wrong with an archive, each with a place and a sentence; and what is only not known of it.

/// What is wrong with an archive, or unknown of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Nothing at all.
    #[error("the file is empty: 0 bytes, and a dump begins with PGDMP")]
    Empty,
    /// Something else.
    #[error("this is no custom-format dump: it begins with {found}, expected PGDMP (pg_dump -Fc)")]
    NotAnArchive {
        /// The first bytes, printable or in hexadecimal.
        found: String,
    },
    /// Another of `pg_dump`'s formats.
    #[error("the archive says it is of format {found}, expected 1 (custom, pg_dump -Fc)")]
    OtherFormat {
        /// The format's number.
        found: u8,
    },
    /// A version whose layout is not known here. Not a defect.
    #[error("archive version {major}.{minor} is not known to this firedrill (it knows 1.12 to 1.16)")]
    UnknownVersion {
        /// Major.
        major: u8,
        /// Minor.
        minor: u8,
    },
    /// The file ends too early.
    #[error("the dump is cut: {what} needs {needed} bytes at offset {offset}, and the file ends at {size} bytes")]
    Cut {
        /// Where the missing bytes begin to be needed.
        offset: u64,
        /// How many are needed there, at least.
        needed: u64,
        /// How large the file is.
        size: u64,
        /// What would have to be there.
        what: String,
    },
    /// A value that cannot be.
    #[error("the dump is damaged at offset {offset}: {what}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What was found and what was expected.
        what: String,
    },
    /// The data of something in the table of contents never come.
    #[error("the dump is cut: it ends at {size} bytes, and the data of {missing} are not in it")]
    DataMissing {
        /// How large the file is.
        size: u64,
        /// Of how many entries, and of which first.
        missing: String,
    },
    /// More than a dump.
    #[error("the dump is damaged: {extra} bytes follow its last block at offset {offset}")]
    Trailing {
        /// Where the last block ends.
        offset: u64,
        /// How many bytes follow.
        extra: u64,
    },
    /// The disk did not give the bytes. Not a defect of the dump.
    #[error("could not read the fetched file at offset {offset}: {why}")]
    Unreadable {
        /// Where.
        offset: u64,
        /// What the system said.
        why: String,
    },
}

impl ArchiveError {
    /// Whether this is proven of the dump, or only something that is not known of it.
    pub fn is_defect(&self) -> bool {
        !matches!(self, Self::UnknownVersion { .. } | Self::Unreadable { .. })
    }

    /// Where in the file, if it is at one place.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Cut { offset, .. }
            | Self::Damaged { offset, .. }
            | Self::Trailing { offset, .. }
            | Self::Unreadable { offset, .. } => Some(*offset),
            Self::DataMissing { size, .. } => Some(*size),
            Self::Empty | Self::NotAnArchive { .. } | Self::OtherFormat { .. } => Some(0),
            Self::UnknownVersion { .. } => Some(5),
        }
    }
}
