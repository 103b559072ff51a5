//! A real PostgreSQL in a directory of its own, run as an ordinary user also when the tests run as root.

use rustix::process::{Pid, Signal, kill_process};
use secrecy::SecretString;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The newest of Debian's places.
pub(crate) fn binary(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|dirs| {
            dirs.filter_map(Result::ok).map(|d| d.path().join("bin").join(name)).filter(|p| p.exists()).collect()
        })
        .unwrap_or_default();
    versions.sort();
    versions.pop().unwrap_or_else(|| PathBuf::from(name))
}

/// `postgres` refuses to run as root: then its files and processes belong to the user `postgres`.
fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|l| l.starts_with("postgres:")).expect("a user `postgres`");
    let fields: Vec<&str> = line.split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_clear();
    command.env("LC_ALL", "C.UTF-8");
    if let Some((uid, gid)) = owner() {
        command.uid(uid).gid(gid);
    }
    command
}

/// A server. It ends, and its directory goes, when this is dropped.
pub(crate) struct Postgres {
    directory: PathBuf,
    settings: &'static [&'static str],
    pub(crate) port: u16,
    server: Option<Child>,
}

impl Postgres {
    pub(crate) async fn start() -> Self {
        Self::start_with(&["max_connections=200"]).await
    }

    pub(crate) async fn start_with(settings: &'static [&'static str]) -> Self {
        let directory = std::env::temp_dir().join(format!("firedrill-probes-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&directory).unwrap();
        if let Some((uid, gid)) = owner() {
            std::os::unix::fs::chown(&directory, Some(uid), Some(gid)).unwrap();
        }
        let data = directory.join("data");
        let made = command("initdb").arg("-D").arg(&data).args(["-U", "admin", "-A", "trust", "-N"]).status().unwrap();
        assert!(made.success(), "initdb failed");
        let hba = "host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
        std::fs::write(data.join("pg_hba.conf"), hba).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut postgres = Self { directory, settings, port, server: None };
        postgres.launch().await;
        postgres
    }

    /// Starts the server (again).
    pub(crate) fn spawn(&mut self) {
        let sockets = format!("unix_socket_directories={}", self.directory.display());
        let mut command = command("postgres");
        command.arg("-D").arg(self.directory.join("data")).args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        let always = [sockets.as_str(), "shared_buffers=8MB", "autovacuum=off"];
        for setting in always.iter().chain(self.settings) {
            command.args(["-c", setting]);
        }
        self.server = Some(command.spawn().unwrap());
    }

    /// Starts the server (again), and returns when it takes connections.
    pub(crate) async fn launch(&mut self) {
        self.spawn();
        let mut patience = 600;
        while !self.is_ready() {
            let server = self.server.as_mut().unwrap();
            assert_eq!(server.try_wait().unwrap(), None, "postgres ended");
            patience -= 1;
            assert!(patience > 0, "postgres takes no connections");
            // There is no event to wait for: a server says in a file that it is ready.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether the running server says in its lock file that it takes connections (one that was killed left its own).
    pub(crate) fn is_ready(&self) -> bool {
        let lock = std::fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap_or_default();
        let mut lines = lock.lines();
        let ours = self.server.as_ref().is_some_and(|server| lines.next() == Some(server.id().to_string().as_str()));
        ours && lines.nth(6).is_some_and(|status| status.trim_end() == "ready")
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("postgres://admin@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn url(&self, role: &str) -> SecretString {
        SecretString::from(format!("postgres://{role}@127.0.0.1:{}/postgres", self.port))
    }

    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(&self.admin_url()).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.admin().await.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    /// The server and all processes it has now.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let server = self.server.as_ref().expect("running").id();
        let children = children_of(server);
        std::iter::once(server).chain(children).filter_map(|pid| Pid::from_raw(pid.cast_signed())).collect()
    }

    fn signal(&self, signal: Signal) {
        for pid in self.processes() {
            // One that has ended meanwhile needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Stops every process of the server, as a frozen machine would.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills every process of the server at once.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.buried();
    }

    /// Waits for the end of a server that was killed.
    pub(crate) fn buried(&mut self) {
        self.server.take().unwrap().wait().unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            for pid in children_of(server.id()).into_iter().chain([server.id()]) {
                let _ = Pid::from_raw(pid.cast_signed()).map(|pid| kill_process(pid, Signal::CONT));
            }
            // At once, but not by SIGKILL: that would leave the segment of shared memory behind.
            let _ = Pid::from_raw(server.id().cast_signed()).map(|pid| kill_process(pid, Signal::QUIT));
            let _ = server.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = std::fs::read_to_string(Path::new(&path)).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
