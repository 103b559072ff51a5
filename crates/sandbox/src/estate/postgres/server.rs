//! One PostgreSQL server as a child process: made, configured, started, signalled, stopped.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::process::{Child, Command};

use super::config::{self, Changing, Fixed};
use crate::estate::{account::RunAs, credentials::Password};

/// What went wrong with a server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program of PostgreSQL's ended badly.
    #[error("{program} ended with {status}: {said}")]
    Program {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to standard error.
        said: String,
    },
    /// The server ended while we waited for it.
    #[error("PostgreSQL ended with {status} while starting; its log says: {said}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        said: String,
    },
    /// It lives but did not answer.
    #[error("PostgreSQL did not answer within {waited:?}: {last}")]
    Silent {
        /// How long we waited.
        waited: Duration,
        /// The last refusal.
        last: String,
    },
    /// A statement failed.
    #[error("PostgreSQL refused: {0}")]
    Sql(#[from] sqlx::Error),
}

/// Adds what was being done to an I/O error.
pub(super) fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> ServerError {
    let what = what.into();
    move |source| ServerError::Io { what, source }
}

/// How a running server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Aborts sessions, writes a shutdown checkpoint, sends it to connected standbys (SIGINT).
    Fast,
    /// Drops everything at once, as a crash does, but removes its shared memory (SIGQUIT).
    Immediate,
}

/// Where a server lives and how it is reached; nothing runs yet.
#[derive(Debug, Clone)]
pub struct Server {
    /// Directory of PostgreSQL's programs.
    pub programs: PathBuf,
    /// The volume that outlives the pod: holds `data`, `passfile` and the log.
    pub volume: PathBuf,
    /// As whom it runs.
    pub run_as: RunAs,
    /// Its fixed settings.
    pub fixed: Fixed,
    /// Password of the superuser `postgres`.
    pub superuser: Password,
}

impl Server {
    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.volume.join("data")
    }

    /// The file with the replication password.
    pub fn passfile(&self) -> PathBuf {
        self.volume.join("passfile")
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.volume.join("postgresql.log")
    }

    /// Whether a cluster was completely made here: `initdb` and `pg_basebackup` write the marker's directory
    /// last only by our own doing, so a marker of ours says it.
    pub fn is_made(&self) -> bool {
        self.complete_marker().exists() && self.data().join("PG_VERSION").exists()
    }

    fn complete_marker(&self) -> PathBuf {
        self.volume.join("complete")
    }

    /// Whether the data directory starts as a standby.
    pub fn is_standby(&self) -> bool {
        config::standby_signal(&self.data()).exists()
    }

    /// Makes the volume, owned by the account the server runs as.
    pub fn make_volume(&self) -> Result<(), ServerError> {
        let made = (|| {
            fs::create_dir_all(&self.volume)?;
            fs::set_permissions(&self.volume, fs::Permissions::from_mode(0o700))?;
            self.run_as.own(&self.volume)
        })();
        made.map_err(io_error(format!("making the volume {}", self.volume.display())))
    }

    /// Writes the password that standbys and base backups log in with.
    pub fn write_replication_password(&self, password: &Password) -> Result<(), ServerError> {
        self.write_owned(&self.passfile(), &config::passfile_line(password))
    }

    /// `initdb`, and our configuration. Takes about half a second.
    pub async fn make_cluster(&self) -> Result<(), ServerError> {
        self.forget_cluster()?;
        let password_file = self.volume.join("superuser");
        self.write_owned(&password_file, self.superuser.reveal())?;
        let mut command = self.command("initdb");
        command
            .args(["--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8", "--wal-segsize=1"])
            .args(["--auth=scram-sha-256", "--username=postgres"])
            .arg("--pwfile")
            .arg(&password_file)
            .arg("-D")
            .arg(self.data());
        run("initdb", command).await?;
        fs::remove_file(&password_file).map_err(io_error("removing the password file"))?;
        let main = self.data().join("postgresql.conf");
        self.write_owned(&main, &config::includes())?;
        self.write_owned(&self.data().join("pg_hba.conf"), config::host_based_access())?;
        self.mark_complete()
    }

    /// Removes the cluster, if there is one.
    pub fn forget_cluster(&self) -> Result<(), ServerError> {
        for path in [self.complete_marker(), self.data()] {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error(format!("removing {}", path.display()))(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Says that the data directory is whole.
    pub(super) fn mark_complete(&self) -> Result<(), ServerError> {
        self.write_owned(&self.complete_marker(), "")
    }

    /// Writes both configuration files. Takes effect at the next start or reload.
    pub fn configure(&self, changing: &Changing) -> Result<(), ServerError> {
        self.write_owned(&self.data().join(config::FIXED_FILE), &config::fixed(&self.fixed))?;
        self.write_owned(&self.data().join(config::CHANGING_FILE), &config::changing(changing))
    }

    /// Writes `text` to a file of the server's account, readable by it only, replaced in one step.
    pub(super) fn write_owned(&self, path: &Path, text: &str) -> Result<(), ServerError> {
        let written = (|| {
            let draft = path.with_extension("draft");
            crate::estate::credentials::write_private(&draft, text)?;
            self.run_as.own(&draft)?;
            fs::rename(&draft, path)
        })();
        written.map_err(io_error(format!("writing {}", path.display())))
    }

    /// A program of PostgreSQL's, run as the right account from the volume, with no surprises in its environment.
    pub(super) fn command(&self, program: &str) -> std::process::Command {
        let mut command = std::process::Command::new(self.programs.join(program));
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").env("PATH", "/usr/bin:/bin");
        command.current_dir(&self.volume).stdin(Stdio::null());
        self.run_as.apply(&mut command);
        command
    }

    /// Starts the server; returns once the process exists, not once it answers.
    pub fn start(&self) -> Result<Running, ServerError> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(io_error("opening the server's log"))?;
        let errors = log.try_clone().map_err(io_error("opening the server's log"))?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).stdout(log).stderr(errors);
        // Who loses the handle must not leave a server behind that nobody watches.
        let child = Command::from(command).kill_on_drop(true).spawn().map_err(io_error("starting postgres"))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io_error("starting postgres")(io::Error::other("the child has no process id")))?;
        Ok(Running { child, pid, log: self.log() })
    }

    /// How the agent logs in.
    pub fn superuser_login(&self, database: &str) -> PgConnectOptions {
        login(self.fixed.address.to_string().as_str(), self.fixed.port, database, "postgres", &self.superuser)
            .application_name("agent")
    }
}

/// Login options without anything taken from the environment's `PG…` variables that could mislead.
pub fn login(host: &str, port: u16, database: &str, role: &str, password: &Password) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host(host)
        .port(port)
        .database(database)
        .username(role)
        .password(password.reveal())
        .ssl_mode(sqlx::postgres::PgSslMode::Disable)
}

/// A server process that was started.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pid: Pid,
    log: PathBuf,
}

impl Running {
    /// The postmaster's process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Makes it read its configuration again.
    pub fn reload(&self) -> Result<(), ServerError> {
        kill_process(self.pid, Signal::HUP).map_err(|error| io_error("reloading postgres")(error.into()))
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> Result<ExitStatus, ServerError> {
        self.child.wait().await.map_err(io_error("waiting for postgres"))
    }

    /// Stops it; after `grace` harder, in the end by SIGKILL. Returns when the process is gone.
    pub async fn stop(mut self, mode: StopMode, grace: Duration) -> Result<ExitStatus, ServerError> {
        let signals = match mode {
            StopMode::Fast => &[Signal::INT, Signal::QUIT, Signal::KILL][..],
            StopMode::Immediate => &[Signal::QUIT, Signal::KILL][..],
        };
        for signal in signals {
            // An error means that it is gone already, which the wait below finds.
            let _ = kill_process(self.pid, *signal);
            if let Ok(status) = tokio::time::timeout(grace, self.child.wait()).await {
                return status.map_err(io_error("waiting for postgres"));
            }
        }
        self.ended().await
    }

    /// Connects as soon as it answers, for at most `within`.
    pub async fn connect(&mut self, login: &PgConnectOptions, within: Duration) -> Result<PgConnection, ServerError> {
        let begun = tokio::time::Instant::now();
        loop {
            let attempt = tokio::time::timeout(Duration::from_secs(2), PgConnection::connect_with(login)).await;
            let last = match attempt {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer to the login".to_owned(),
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(ServerError::Ended { status, said: tail(&self.log) });
            }
            if begun.elapsed() > within {
                return Err(ServerError::Silent { waited: within, last });
            }
            // There is no event to await: the server says nowhere that it listens.
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }
}

/// Runs a program to its end.
pub(super) async fn run(program: &'static str, command: std::process::Command) -> Result<(), ServerError> {
    let mut command = Command::from(command);
    let output = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(io_error(format!("starting {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = last_lines(&String::from_utf8_lossy(&output.stderr));
    Err(ServerError::Program { program, status: output.status, said })
}

fn tail(path: &Path) -> String {
    fs::read(path).map_or_else(|error| error.to_string(), |bytes| last_lines(&String::from_utf8_lossy(&bytes)))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
