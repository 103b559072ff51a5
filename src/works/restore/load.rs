//! `pg_restore`, with as many jobs as asked for, stopping at its first error.

use super::phase::Progress;
use super::program::{self, Program, ProgramError};
use super::stage::Destination;
use crate::scratch::account::Account;
use crate::scratch::binaries::Binaries;
use firedrill_core::restore::{Loaded, PhaseName};
use firedrill_core::time::Known;
use secrecy::ExposeSecret;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// With what.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// PostgreSQL's programs.
    pub binaries: Binaries,
    /// As whom they run.
    pub account: Account,
    /// How many jobs.
    pub jobs: u16,
    /// When to give up.
    pub within: Option<Duration>,
    /// What the sessions are called on the server, so that they can be found and ended.
    pub application_name: String,
}

/// What a bad end of `pg_restore` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadEnd {
    /// The backup could not be restored: that is proven.
    Backup(String),
    /// Something on this side was missing, full or gone: nothing is known of the backup.
    Staging(String),
}

impl BadEnd {
    /// A staging server that is older than the one that was dumped, also by a minor version, proves nothing of the backup:
    /// the dump may say what the older one does not know yet.
    pub(super) fn unless_older(self, staging: &str, dumped: &str) -> Self {
        match self {
            Self::Backup(why) if version(staging).is_some_and(|s| version(dumped).is_some_and(|d| s < d)) => {
                Self::Staging(format!(
                    "staging is PostgreSQL {staging}, older than the {dumped} that was dumped: restore into that version or a \
                 newer one ({why})"
                ))
            }
            other => other,
        }
    }
}

/// The numbers of a version; whoever packaged it may have written more behind them (`15.20 (Debian 15.20-0)`).
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_whitespace().next()?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Words of `pg_restore` and the server that speak of staging, not of the backup.
const ABOUT_STAGING: &[&str] = &[
    "No space left on device",
    "could not connect",
    "connection to server",
    "server closed the connection",
    "terminating connection",
    "out of memory",
    "out of shared memory",
    "must be superuser",
    "permission denied",
    "is not available",
    "could not open extension control file",
    "could not access file \"$libdir",
    "must be owner",
    "unsupported version",
];

/// Restores `file` into the destination.
///
/// # Errors
/// When it could not be started, was stopped, or the deadline passed. A bad exit status is in [`Loaded`].
pub async fn load(
    file: &Path,
    destination: &Destination,
    plan: &LoadPlan,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<(Loaded, Option<BadEnd>), ProgramError> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let list = directory.join("restore.list");
    let start = |why: std::io::Error| ProgramError::Start {
        program: "pg_restore".to_owned(),
        why: format!("{}: {why}", list.display()),
    };
    std::fs::write(&list, &destination.selection.list).map_err(start)?;
    plan.account.own(&list).map_err(start)?;
    let connection = format!("--dbname={}", destination.connection);
    let jobs = format!("--jobs={}", plan.jobs.max(1));
    let mut use_list = std::ffi::OsString::from("--use-list=");
    use_list.push(&list);
    let flags: [&(dyn AsRef<std::ffi::OsStr> + Sync); 9] = [
        &connection,
        &jobs,
        &use_list,
        &"--exit-on-error",
        &"--no-owner",
        &"--no-privileges",
        &"--no-security-labels",
        &"--verbose",
        &file,
    ];
    let mut program = Program::new(plan.binaries.program("pg_restore"), &flags, &plan.account, directory);
    program.env = vec![
        ("PGPASSWORD".to_owned(), destination.password.expose_secret().to_owned()),
        ("PGAPPNAME".to_owned(), plan.application_name.clone()),
        ("PGCONNECT_TIMEOUT".to_owned(), "10".to_owned()),
    ];
    let (watch, total) = (progress.clone(), destination.selection.entries);
    let mut done = 0;
    let on_line = move |line: &str| {
        if let Some(item) = finished_item(line) {
            done += 1;
            watch.tell(PhaseName::Restore, done, Some(total), item);
        }
    };
    let ended = program::run(program, plan.within, cancel, on_line).await?;
    let loaded = Loaded {
        jobs: plan.jobs.max(1),
        exit: match ended.status {
            Ok(status) => Known::Known(status),
            Err(signal) => Known::Unknown(format!("it was killed by signal {signal}")),
        },
        said: if ended.status == Ok(0) { String::new() } else { ended.said.clone() },
        left_out: destination.selection.left_out.clone(),
    };
    Ok((loaded, bad_end(ended.status, &ended.said)))
}

/// With several jobs each item says when it is finished; with one, when it begins.
fn finished_item(line: &str) -> Option<&str> {
    let words = line.strip_prefix("pg_restore: ")?;
    ["finished item ", "creating ", "processing data for ", "executing "].iter().find_map(|w| words.strip_prefix(w))
}

fn bad_end(status: Result<i32, i32>, said: &str) -> Option<BadEnd> {
    match status {
        Ok(0) => None,
        Ok(status) if ABOUT_STAGING.iter().any(|words| said.contains(words)) => {
            Some(BadEnd::Staging(format!("pg_restore ended with status {status} because of staging: {said}")))
        }
        Ok(status) => Some(BadEnd::Backup(format!(
            "the backup cannot be restored: pg_restore ended with status {status}: {said}"
        ))),
        Err(signal) => Some(BadEnd::Staging(format!("pg_restore was killed by signal {signal}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_the_backup_s_fault() {
        let full = "pg_restore: error: COPY failed for table \"orders\": ERROR:  could not extend file: No space left on device";
        assert!(matches!(bad_end(Ok(1), full), Some(BadEnd::Staging(_))));
        let bad = "pg_restore: error: could not execute query: ERROR:  insert or update violates foreign key";
        assert!(matches!(bad_end(Ok(1), bad), Some(BadEnd::Backup(_))));
        assert!(matches!(bad_end(Err(9), ""), Some(BadEnd::Staging(_))));
        assert_eq!(bad_end(Ok(0), "pg_restore: warning: x"), None);
    }

    #[test]
    fn a_staging_server_older_than_the_source_proves_nothing_of_the_backup() {
        let bad =
            || bad_end(Ok(1), "pg_restore: error: could not execute query: ERROR:  unrecognized parameter").unwrap();
        let debian = "15.20 (Debian 15.20-0+deb12u1)";
        let BadEnd::Staging(why) = bad().unless_older("15.18", debian) else { panic!("it is no proof") };
        assert!(why.contains("PostgreSQL 15.18, older than the 15.20"), "{why}");
        for (staging, dumped) in [(debian, "15.20"), ("16.1", "15.20"), ("15.20", "15.9"), ("17beta1", "15.2")] {
            assert!(matches!(bad().unless_older(staging, dumped), BadEnd::Backup(_)), "{staging} {dumped}");
        }
    }
}
