//! A dump is read before it is used: its table of contents, every one of its blocks, and every byte through
//! `pg_restore`'s own decompression. What is wrong is a defect with a sentence; what could not be read is unknown.

use super::archive::Contents;
use super::archive_error::ArchiveError;
use super::blocks::{self, Walk};
use super::phase::Progress;
use super::program::{self, Program, ProgramError};
use crate::scratch::account::Account;
use crate::scratch::binaries::Binaries;
use firedrill_core::restore::{Defect, PhaseName, Validated};
use firedrill_core::time::Known;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// With what, and what to expect.
#[derive(Clone, Debug)]
pub struct ValidatePlan {
    /// PostgreSQL's programs.
    pub binaries: Result<Binaries, String>,
    /// As whom they run; the file must be readable to it.
    pub account: Account,
    /// Tables (`schema`, `table`) that the checks will ask for: the dump must hold their data.
    pub tables: Vec<(String, String)>,
    /// When to give up.
    pub within: Option<Duration>,
}

/// What was found, and the table of contents for the restore to use.
#[derive(Clone, Debug)]
pub struct Examined {
    /// For the record.
    pub validated: Validated,
    /// The contents, when they could be read.
    pub contents: Option<Contents>,
}

/// Validates the dump at `path`.
///
/// # Errors
/// Only when it was cancelled or the deadline passed: a defect is a finding.
pub async fn validate(
    path: &Path,
    plan: &ValidatePlan,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Examined, ProgramError> {
    progress.tell(PhaseName::Validate, 0, None, "walking every block");
    let walked = {
        let path = path.to_owned();
        match tokio::task::spawn_blocking(move || blocks::walk_file(&path)).await {
            Ok(walked) => walked,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    };
    let mut validated = describe(&walked);
    if let Ok((contents, _)) = &walked {
        validated.defects.extend(missing_tables(contents, &plan.tables));
    }
    // A file that is cut is not given to pg_restore: what is wrong is known, and better said than it says it.
    if validated.defects.is_empty() {
        read_through(path, plan, progress, cancel, &mut validated).await?;
    }
    Ok(Examined { validated, contents: walked.ok().map(|(contents, _)| contents) })
}

fn describe(walked: &Result<(Contents, Walk), ArchiveError>) -> Validated {
    let (contents, walk) = match walked {
        Ok(both) => both,
        Err(error) => return undescribed(error),
    };
    let head = &contents.head;
    Validated {
        format: Known::Known(format!("{}.{}", head.version.0, head.version.1)),
        server_version: Known::Known(head.server_version.clone()),
        dump_version: Known::Known(head.dump_version.clone()),
        database: Known::Known(head.database.clone()),
        compression: Known::Known(head.compression.word().to_owned()),
        toc_entries: Known::Known(contents.entries.len() as u64),
        tables: Known::Known(contents.tables()),
        data_blocks: Known::Known(walk.blocks),
        read_through_bytes: Known::Unknown("pg_restore did not read it".to_owned()),
        defects: Vec::new(),
    }
}

fn undescribed(error: &ArchiveError) -> Validated {
    fn unknown<T>(error: &ArchiveError) -> Known<T> {
        Known::Unknown(error.to_string())
    }
    let defect = Defect { offset: error.offset(), sentence: error.to_string() };
    Validated {
        format: unknown(error),
        server_version: unknown(error),
        dump_version: unknown(error),
        database: unknown(error),
        compression: unknown(error),
        toc_entries: unknown(error),
        tables: unknown(error),
        data_blocks: unknown(error),
        read_through_bytes: Known::Unknown("pg_restore did not read it".to_owned()),
        defects: if error.is_defect() { vec![defect] } else { Vec::new() },
    }
}

fn missing_tables(contents: &Contents, wanted: &[(String, String)]) -> Vec<Defect> {
    let missing = wanted.iter().filter(|(schema, table)| !contents.has_data_of(schema, table));
    missing
        .map(|(schema, table)| Defect {
            offset: None,
            sentence: format!("the dump holds no data of {schema}.{table}, which the experiment's checks ask for"),
        })
        .collect()
}

/// `pg_restore` without a database prints what it would restore: all of it is decompressed, and nothing is kept.
async fn read_through(
    path: &Path,
    plan: &ValidatePlan,
    progress: &Progress,
    cancel: &CancellationToken,
    validated: &mut Validated,
) -> Result<(), ProgramError> {
    let binaries = match &plan.binaries {
        Ok(binaries) => binaries,
        Err(why) => {
            validated.read_through_bytes = Known::Unknown(why.clone());
            return Ok(());
        }
    };
    progress.tell(PhaseName::Validate, 0, None, "decompressing and reading every byte");
    let directory = path.parent().unwrap_or(Path::new("/"));
    let restore = Program::new(binaries.program("pg_restore"), &[&"--file=-", &path], &plan.account, directory);
    let ended = match program::run(restore, plan.within, cancel, |_| {}).await {
        Ok(ended) => ended,
        Err(error @ ProgramError::Start { .. }) => {
            validated.read_through_bytes = Known::Unknown(error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    match ended.status {
        Ok(0) => validated.read_through_bytes = Known::Known(ended.stdout_bytes),
        // A newer format than these programs know is not a defect of the dump.
        Ok(_) if ended.said.contains("unsupported version") || ended.said.contains("not supported in this") => {
            validated.read_through_bytes = Known::Unknown(ended.said.clone());
        }
        Ok(_) => {
            let sentence = format!("pg_restore cannot read the dump ({}): {}", ended.how(), ended.said);
            validated.defects.push(Defect { offset: None, sentence });
        }
        Err(_) => validated.read_through_bytes = Known::Unknown(format!("pg_restore was {}", ended.how())),
    }
    Ok(())
}
