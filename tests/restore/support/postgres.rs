//! A PostgreSQL of the test's own: a source to dump from, or a staging server that was there already.

use super::directory::Directory;
use firedrill::scratch::account::Account;
use firedrill::scratch::binaries::Binaries;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub struct Postgres {
    server: Child,
    pub binaries: Binaries,
    pub directory: Directory,
}

impl Postgres {
    pub fn start(name: &str) -> Self {
        let binaries = Binaries::find(None, None).unwrap();
        let account = Account::choose().unwrap();
        let directory = Directory::new(name);
        account.own(directory.path()).unwrap();
        let data = directory.join("data");
        let mut initdb = Command::new(binaries.program("initdb"));
        initdb.args(["--username=boss", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"]).arg(&data);
        initdb.current_dir(directory.path()).stdout(Stdio::null());
        account.apply(&mut initdb);
        assert!(initdb.status().unwrap().success());
        let mut server = Command::new(binaries.program("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(directory.path());
        server.args([
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "wal_level=minimal",
            "-c",
            "max_wal_senders=0",
        ]);
        server.current_dir(directory.path()).stdout(Stdio::null());
        server.stderr(std::fs::File::create(directory.join("log")).unwrap());
        account.apply(&mut server);
        let mut server = server.spawn().unwrap();
        loop {
            let mut ready = Command::new(binaries.program("psql"));
            ready.arg("-h").arg(directory.path()).args(["-U", "boss", "-c", "select 1", "postgres"]);
            if ready.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success() {
                return Self { server, binaries, directory };
            }
            let log = || std::fs::read_to_string(directory.join("log")).unwrap_or_default();
            assert!(server.try_wait().unwrap().is_none(), "the server ended: {}", log());
            std::thread::yield_now();
        }
    }

    fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        command.arg("-h").arg(self.directory.path()).args(["-U", "boss", "-d", database]).env("TZ", "UTC");
        command
    }

    /// Runs SQL as the superuser, and gives the answer unaligned.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = self.client("psql", database);
        let output = psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql]).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `pg_dump -Fc` into a file, so that the table of contents knows its offsets.
    pub fn dump(&self, database: &str, file: &str, options: &[&str]) -> Vec<u8> {
        let path: PathBuf = self.directory.join(file);
        let mut dump = self.client("pg_dump", database);
        dump.arg("-Fc").args(options).arg("-f").arg(&path);
        assert!(dump.status().unwrap().success());
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        bytes
    }

    /// `pg_dump -Fc` into a pipe: offsets stay unknown.
    pub fn dump_to_pipe(&self, database: &str) -> Vec<u8> {
        let output = self.client("pg_dump", database).arg("-Fc").stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is a fast shutdown; the child is ours and not reaped yet, so its number is still its own.
        if let Some(pid) = i32::try_from(self.server.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let _ = self.server.wait();
    }
}
