//! Makes a standby: a base backup of the leader, and the marker that keeps it in recovery.

use super::{
    config::{self, Upstream},
    server::{Server, ServerError, run},
};

/// Replaces whatever is in `server`'s data directory by a copy of the upstream, set up to stream from it.
pub async fn clone_from(server: &Server, upstream: &Upstream) -> Result<(), ServerError> {
    server.forget_cluster()?;
    let mut command = server.command("pg_basebackup");
    command
        .env("PGPASSFILE", &upstream.passfile)
        .env("PGCONNECT_TIMEOUT", "2")
        .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--no-password", "--username=replicator"])
        .arg(format!("--host={}", upstream.address))
        .arg(format!("--port={}", upstream.port))
        .arg("-D")
        .arg(server.data());
    run("pg_basebackup", command).await?;
    server.write_owned(&config::standby_signal(&server.data()), "")?;
    server.mark_complete()
}
