//! A directory of a test's own, and a lone PostgreSQL server in it. Both go with the test, also when it fails.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use firedrill_sandbox::estate::{
    account::RunAs,
    address::Network,
    catalogue,
    credentials::Credentials,
    layout::Layout,
    postgres::{
        config::{Changing, Fixed, Fsync},
        find_programs,
        server::{Running, Server},
    },
};

/// The binary whose parts are re-executed.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_firedrill-sandbox");
/// Far more than anything here takes, on any machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A directory under the system's temporary one, passable for other accounts, removed at the end.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        // What cargo gives tests lies in a target directory, which other accounts may not pass through.
        let dir = std::env::temp_dir().join(format!("sandbox-{name}-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server with the shop's database.
pub(crate) struct Database {
    pub(crate) server: Server,
    pub(crate) credentials: Credentials,
    pub(crate) layout: Layout,
    pub(crate) network: Network,
    running: Option<Running>,
}

impl Database {
    pub(crate) async fn start(place: &Place) -> Self {
        let run_as = RunAs::detect().unwrap();
        let layout = Layout::new(place.path().join("estate"));
        layout.create(run_as).unwrap();
        let network = Network::claim().unwrap();
        let credentials = Credentials::random().unwrap();
        let port = network.usable_port(5432).unwrap();
        let server = Server {
            programs: find_programs().unwrap(),
            volume: layout.volumes().join("postgresql-0"),
            run_as,
            fixed: Fixed { name: "postgresql-0".to_owned(), address: network.host(1), port, fsync: Fsync::Off },
            superuser: credentials.superuser.clone(),
        };
        server.make_volume().unwrap();
        server.make_cluster().await.unwrap();
        server.configure(&Changing::default()).unwrap();
        let mut running = server.start().unwrap();
        let mut session = running.connect(&server.superuser_login("postgres"), SOON).await.unwrap();
        catalogue::create_roles(&mut session, &credentials).await.unwrap();
        let mut shop = running.connect(&server.superuser_login(catalogue::DATABASE), SOON).await.unwrap();
        catalogue::create_schema(&mut shop).await.unwrap();
        Self { server, credentials, layout, network, running: Some(running) }
    }

    /// The postmaster's process id.
    pub(crate) fn postmaster(&self) -> rustix::process::Pid {
        self.running.as_ref().unwrap().pid()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // An immediate shutdown takes the shared memory along; waiting for it keeps the directory removable.
        if let Some(running) = self.running.take() {
            let pid = running.pid();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
            let gone = format!("/proc/{}", pid.as_raw_nonzero());
            let begun = std::time::Instant::now();
            while is_running(&gone) && begun.elapsed() < SOON {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// A process that has ended stays in the table until its parent, this one, reaps it.
fn is_running(proc_dir: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new(proc_dir).join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}
