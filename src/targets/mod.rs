//! Finding targets and looking at them: read-only.

pub mod backups;
