//! `daemon`: drills on time, for years.

use crate::cli::exit::Exit;
use crate::cli::run::failed;
use crate::cli::{Setting, out, signals};
use crate::daemon::{self, Glance, Runner, Shelf};
use crate::page::Page;
use crate::runner::RunError;
use crate::spec::daemon::load_daemon;
use crate::store::{DrillLock, Journal};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// The name under which the daemon holds a state directory: no drill has such an id.
const HOLD: &str = "daemon";

/// Run drills on time, for years.
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    /// What is run where
    #[arg(long, value_name = "FILE", default_value = "firedrill.yaml")]
    config: PathBuf,
    /// Serve the page, metrics and health here, on loopback: for example 127.0.0.1:8642
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

impl Daemon {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        match self.serve(setting).await {
            Ok(exit) => exit,
            Err(e) => failed(&e),
        }
    }

    async fn serve(&self, setting: &Setting) -> Result<Exit, RunError> {
        let config = load_daemon(&self.config)?.value;
        let journal = Arc::new(Journal::open(&setting.state_dir()).await?);
        let lock = |source| RunError::Lock { path: journal.dir().to_owned(), source };
        let Some(_hold) = DrillLock::take(journal.dir(), HOLD).map_err(lock)? else {
            out::error(&format!(
                "another daemon serves with the journal in {}: stop it, or name another with --state",
                journal.dir().display()
            ));
            return Ok(Exit::Refused);
        };
        let page = match self.listen {
            None => None,
            Some(address) => match Page::bind(address).await {
                Ok(page) => Some(page),
                Err(why) => {
                    out::error(&why.to_string());
                    return Ok(Exit::Refused);
                }
            },
        };
        let mut stops = signals::Stops::hear("the daemon can only be stopped by killing it");
        let stop = tokio_util::sync::CancellationToken::new();
        let stopping = stop.clone();
        let listening = tokio::spawn(async move {
            stops.next().await;
            tracing::info!("stopping: what is under way is undone and reported first (again: leave at once)");
            stopping.cancel();
            stops.next().await;
            tracing::error!("left at once: what is owed is put back at the next start");
            std::process::exit(i32::from(Exit::Residue.code()));
        });
        let experiments = Shelf::new(config.duties(&self.config));
        let besides = config.out.as_ref();
        let besides = besides.map(|out| self.config.parent().unwrap_or(std::path::Path::new(".")).join(out));
        let runner = Runner { journal: Arc::clone(&journal), out: besides };
        let (glances, seen) = watch::channel(Glance::default());
        let paging = page.map(|page| {
            tracing::info!(page = format!("http://{}/", page.address), "served");
            tokio::spawn(page.serve(Arc::clone(&journal), seen, stop.clone()))
        });
        daemon::serve(journal, experiments, runner, usize::from(config.at_once), glances, stop).await?;
        if let Some(paging) = paging {
            // Whoever still reads does not keep the daemon.
            paging.abort();
        }
        listening.abort();
        Ok(Exit::Pass)
    }
}
