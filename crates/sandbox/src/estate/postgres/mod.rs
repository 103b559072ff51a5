//! PostgreSQL in the sandbox: two pods, each with an agent as process 1, one Lease between them.
//!
//! The agents keep the promises that people expect of a failover manager: a primary that cannot renew its lease
//! stops itself before another may take over, and in `sync` mode only the standby that has every acknowledged
//! write may be promoted.

pub mod agent;
pub mod clone;
pub mod config;
pub mod election;
mod follow;
mod lead;
pub mod leadership;
pub mod lease;
pub mod server;
pub mod settings;
pub mod switches;
pub mod verifier;
mod wait;

use std::{fs, io, path::PathBuf};

/// Where distributions put each major version's programs.
const INSTALLED: &str = "/usr/lib/postgresql";

/// The directory of PostgreSQL's server programs, of the newest installed version.
///
/// # Errors
/// When none is installed; says which package to install.
pub fn find_programs() -> io::Result<PathBuf> {
    let versions = fs::read_dir(INSTALLED).map(|entries| {
        entries.flatten().filter_map(|entry| {
            let programs = entry.path().join("bin");
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            programs.join("initdb").exists().then_some((version, programs))
        })
    });
    versions.into_iter().flatten().max().map(|(_, programs)| programs).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("no PostgreSQL server under {INSTALLED}; install one: apt-get install postgresql"),
        )
    })
}
