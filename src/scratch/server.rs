//! Making, starting and stopping the server: done by the keeper, which is its parent.

use super::account::Account;
use super::layout::{Layout, PORT, write_durably};
use super::process::leash;
use super::protocol::StartServer;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How much of the server's log goes into an error.
const LOG_TAIL_BYTES: u64 = 2_000;
/// How long it has to become ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long it has to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// Makes the data directory and starts the server; returns when it accepts connections.
pub(super) async fn start(layout: &Layout, plan: &StartServer) -> Result<Child, String> {
    let account = Account::from(plan.account.clone());
    let said = |what: &str| {
        let what = what.to_owned();
        move |e: io::Error| format!("{what}: {e}")
    };
    let socket = layout.socket_directory();
    fs::create_dir(&socket).map_err(said("could not make the socket's directory"))?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o700)).map_err(said("socket's directory"))?;
    account.own(&socket).map_err(said("socket's directory"))?;
    initdb(layout, plan, &account).await?;
    let data = layout.data();
    let place = [("unix_socket_directories", socket.display().to_string()), ("port", PORT.to_string())];
    let given = plan.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let settings: Vec<String> =
        given.chain(place).map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''"))).collect();
    let file = data.join("postgresql.auto.conf");
    fs::write(&file, settings.concat()).map_err(said("could not write the settings"))?;
    let log = fs::File::create(layout.log()).map_err(said("could not make the log"))?;
    let mut command = leashed(&plan.binaries.join("postgres"));
    command.arg("-D").arg(&data);
    prepare(&mut command, &account, &data);
    command.stdout(Stdio::null()).stderr(log);
    let mut server = command.spawn().map_err(said("could not start postgres"))?;
    match tokio::time::timeout(READY_WITHIN, ready(&mut server, layout)).await {
        Ok(Ok(())) => Ok(server),
        Ok(Err(why)) => {
            stop(server, layout).await;
            Err(why)
        }
        Err(_) => {
            stop(server, layout).await;
            Err(format!("the server was not ready after {} s: {}", READY_WITHIN.as_secs(), log_tail(layout)))
        }
    }
}

/// SIGQUIT ends a server at once, and it still removes its shared memory, which SIGKILL would leave.
fn leashed(program: &Path) -> Command {
    match leash() {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "QUIT", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Everything that belongs to a scratch works inside its directory: by that it is found again.
fn prepare(command: &mut Command, account: &Account, directory: &Path) {
    command.current_dir(directory).env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").env("TZ", "UTC");
    account.apply(command.as_std_mut());
    // Not killed on drop: SIGKILL leaves shared memory. What a stopped start leaves is found by its directory.
    command.stdin(Stdio::null());
}

async fn initdb(layout: &Layout, plan: &StartServer, account: &Account) -> Result<(), String> {
    let data = layout.data();
    let said = |e: io::Error| format!("could not make the data directory: {e}");
    fs::create_dir(&data).map_err(said)?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).map_err(said)?;
    account.own(&data).map_err(said)?;
    let password = layout.directory().join("password");
    write_durably(&password, plan.password.as_bytes()).map_err(said)?;
    account.own(&password).map_err(said)?;
    let mut command = leashed(&plan.binaries.join("initdb"));
    command.arg("-D").arg(&data).arg(format!("--pwfile={}", password.display()));
    command.arg(format!("--username={}", plan.superuser)).arg(format!("--encoding={}", plan.encoding));
    command.args(["--locale=C", "--auth=scram-sha-256", "--no-sync"]);
    prepare(&mut command, account, &data);
    let output = command.output().await;
    let removed = fs::remove_file(&password);
    let output = output.map_err(|e| format!("could not start initdb: {e}"))?;
    removed.map_err(said)?;
    if !output.status.success() {
        return Err(format!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(())
}

/// The eighth line of `postmaster.pid` says `ready` once connections are accepted.
async fn ready(server: &mut Child, layout: &Layout) -> Result<(), String> {
    let file = layout.data().join("postmaster.pid");
    loop {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if text.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
            return Ok(());
        }
        tokio::select! {
            ended = server.wait() => {
                let how = ended.map_or_else(|e| e.to_string(), |s| s.to_string());
                return Err(format!("the server ended ({how}): {}", log_tail(layout)));
            }
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
}

/// Ends the server: SIGQUIT, then SIGKILL.
pub(super) async fn stop(mut server: Child, layout: &Layout) {
    let shared_memory = shared_memory_of(layout);
    if let Some(pid) = server.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // Not reaped yet: the number is still this server's.
        let _ = kill_process(pid, Signal::QUIT);
    }
    if tokio::time::timeout(STOP_WITHIN, server.wait()).await.is_err() {
        let _ = server.kill().await;
        if let Some(id) = shared_memory {
            remove_shared_memory(id);
        }
    }
}

/// The System V segment that the server interlocks with: the seventh line holds its key and its id.
pub(super) fn shared_memory_of(layout: &Layout) -> Option<u64> {
    let text = fs::read_to_string(layout.data().join("postmaster.pid")).ok()?;
    text.lines().nth(6)?.split_whitespace().nth(1)?.parse().ok()
}

/// Removes a segment that a killed server left.
pub(super) fn remove_shared_memory(id: u64) {
    let mut ipcrm = std::process::Command::new("ipcrm");
    let _ = ipcrm.arg("-m").arg(id.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// The end of the server's log.
pub(super) fn log_tail(layout: &Layout) -> String {
    let read = || -> io::Result<String> {
        let mut file = fs::File::open(layout.log())?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}
