//! The settings of a sandbox server, as the text of its configuration files.

use std::{
    fmt::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::estate::credentials::Password;

/// Whether the server waits for its disk.
///
/// `Off` is safe against everything a drill does (processes die, the kernel does not) and says nothing about
/// losing power; a report from the sandbox states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Commits do not wait for the disk; they still wait for the standby when it is synchronous.
    #[default]
    Off,
    /// As in production.
    On,
}

/// What does not change while a server lives.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// The pod's name, also the standby's name on the primary.
    pub name: String,
    /// The address it listens on.
    pub address: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// See [`Fsync`].
    pub fsync: Fsync,
}

/// Where a standby streams from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The leader's pod address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Holds the password of `replicator`.
    pub passfile: PathBuf,
}

/// What the agent changes while the server runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changing {
    /// `None`: streams from nobody.
    pub upstream: Option<Upstream>,
    /// The standby that commits wait for; `None`: none.
    pub synchronous_standby: Option<String>,
}

/// The name of the file with the settings that never change.
pub const FIXED_FILE: &str = "sandbox.conf";
/// The name of the file that the agent rewrites.
pub const CHANGING_FILE: &str = "agent.conf";

/// The text of [`FIXED_FILE`].
pub fn fixed(settings: &Fixed) -> String {
    let fsync = match settings.fsync {
        Fsync::Off => "off",
        Fsync::On => "on",
    };
    format!(
        "listen_addresses = '{address}'\n\
         port = {port}\n\
         unix_socket_directories = ''\n\
         cluster_name = '{name}'\n\
         shared_buffers = 16MB\n\
         max_connections = 90\n\
         superuser_reserved_connections = 5\n\
         dynamic_shared_memory_type = mmap\n\
         huge_pages = off\n\
         fsync = {fsync}\n\
         synchronous_commit = on\n\
         wal_level = replica\n\
         hot_standby = on\n\
         max_wal_senders = 8\n\
         max_replication_slots = 4\n\
         wal_keep_size = 64MB\n\
         min_wal_size = 16MB\n\
         max_wal_size = 256MB\n\
         wal_sender_timeout = 2s\n\
         wal_receiver_timeout = 2s\n\
         wal_receiver_status_interval = 1s\n\
         wal_retrieve_retry_interval = 100ms\n\
         max_parallel_workers = 0\n\
         jit = off\n\
         log_timezone = 'UTC'\n\
         timezone = 'UTC'\n\
         log_line_prefix = '%m [%p] '\n\
         log_checkpoints = off\n\
         log_min_messages = warning\n",
        address = settings.address,
        port = settings.port,
        name = settings.name,
    )
}

/// The text of [`CHANGING_FILE`].
pub fn changing(settings: &Changing) -> String {
    let conninfo = settings.upstream.as_ref().map_or_else(String::new, |up| {
        format!(
            "host={} port={} user=replicator passfile={} connect_timeout=2 keepalives_idle=2",
            up.address,
            up.port,
            up.passfile.display()
        )
    });
    // Quoted as an identifier within the setting: names hold dashes.
    let standby = settings.synchronous_standby.as_ref().map_or_else(String::new, |name| format!("\"{name}\""));
    format!("primary_conninfo = '{conninfo}'\nsynchronous_standby_names = '{standby}'\n")
}

/// The text of `pg_hba.conf`: passwords everywhere. The truth's is sent in clear, over loopback, since it must
/// log in a thousand times a second.
pub fn host_based_access() -> &'static str {
    "host all         truth      127.0.0.0/8 password\n\
     host replication replicator 127.0.0.0/8 scram-sha-256\n\
     host all         all        127.0.0.0/8 scram-sha-256\n"
}

/// The line of a password file that lets `replicator` in anywhere.
pub fn passfile_line(password: &Password) -> String {
    let mut line = String::new();
    let _ = writeln!(line, "*:*:*:replicator:{}", password.reveal());
    line
}

/// The last lines of `postgresql.conf`.
pub fn includes() -> String {
    format!("include = '{FIXED_FILE}'\ninclude_if_exists = '{CHANGING_FILE}'\n")
}

/// The marker that makes a server start as a standby.
pub fn standby_signal(data: &Path) -> PathBuf {
    data.join("standby.signal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changing_file_says_from_whom_and_for_whom() {
        let text = changing(&Changing {
            upstream: Some(Upstream {
                address: IpAddr::from([127, 80, 3, 2]),
                port: 5432,
                passfile: PathBuf::from("/tmp/x/passfile"),
            }),
            synchronous_standby: Some("postgresql-1".to_owned()),
        });
        assert!(text.contains("host=127.80.3.2 port=5432 user=replicator passfile=/tmp/x/passfile"));
        assert!(text.contains("synchronous_standby_names = '\"postgresql-1\"'"));
        assert_eq!(changing(&Changing::default()), "primary_conninfo = ''\nsynchronous_standby_names = ''\n");
    }
}
