//! `demo`: an estate of its own on loopback, four drills against it, and the truth beside what was measured.

mod files;
mod scenes;
mod table;
mod truth;

use crate::cli::exit::Exit;
use crate::cli::signals::Stops;
use crate::cli::{Form, Setting, out};
use clap::Args;
use firedrill_sandbox::{Options, Sandbox, SandboxError};
use std::path::PathBuf;

/// Four drills against an estate of its own on this machine: PostgreSQL, S3, a small Kubernetes API.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the experiments, the reports and the estate's own truth are put
    #[arg(long, value_name = "DIR", default_value = "demo")]
    out: PathBuf,
}

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The sandbox could not be started or stopped.
    #[error("the sandbox: {0}")]
    Sandbox(#[from] SandboxError),
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A drill could not be run.
    #[error("a drill could not be run: {0}")]
    Child(std::io::Error),
    /// The sandbox's API did not answer.
    #[error("the sandbox's API: {0}")]
    Api(String),
    /// A drill left no report.
    #[error("the drill {experiment} left no report in {path}")]
    NoReport {
        /// Which.
        experiment: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// Something is not as it was before.
    #[error("after {0} the deployments have {1}, and not what they had")]
    NotBack(&'static str, String),
    /// Somebody pressed Ctrl-C.
    #[error("stopped")]
    Stopped,
}

impl Demo {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        match self.show(setting).await {
            Ok(exit) => exit,
            Err(DemoError::Stopped) => {
                out::aside("stopped; the sandbox and everything in it is gone\n");
                Exit::Aborted
            }
            Err(e) => {
                out::error(&e.to_string());
                Exit::Refused
            }
        }
    }

    async fn show(&self, setting: &Setting) -> Result<Exit, DemoError> {
        let out_dir =
            std::path::absolute(&self.out).map_err(|source| DemoError::File { path: self.out.clone(), source })?;
        std::fs::create_dir_all(&out_dir).map_err(|source| DemoError::File { path: out_dir.clone(), source })?;
        files::clear(&out_dir)?;
        let program = std::env::current_exe().map_err(DemoError::Child)?;
        let stopped = Stops::hear("the demo can only be stopped by killing it, and takes its estate along").token();
        // Under the system's temporary directory, since PostgreSQL runs as another user there when we are root.
        let dir = std::env::temp_dir().join(format!("firedrill-demo-{}", uuid::Uuid::now_v7()));
        if setting.form == Form::Text {
            out::line(
                "starting an estate of its own: PostgreSQL primary and standby, shop, S3 with backups, a Kubernetes API",
            );
        }
        let options = Options::new(dir, program.clone())
            .annotate(crate::targets::cluster::ALLOW_ANNOTATION, "kill-primary,scale-to-zero,restore-backup");
        let sandbox = match Sandbox::start_unless(options, stopped.cancelled()).await {
            Err(SandboxError::Stopped) => return Err(DemoError::Stopped),
            sandbox => sandbox?,
        };
        let stage = scenes::Stage {
            sandbox: &sandbox,
            out_dir: &out_dir,
            program: &program,
            form: setting.form,
            stopped: &stopped,
        };
        let shown = scenes::all(&stage);
        // A drill that is running is told, undoes itself and reports; then no other begins.
        let shown = tokio::select! {
            shown = shown => if stopped.is_cancelled() { Err(DemoError::Stopped) } else { shown },
            () = scenes::after_grace(&stopped) => Err(DemoError::Stopped),
        };
        let ended = sandbox.stop().await;
        let scenes = shown?;
        ended?;
        match setting.form {
            Form::Json => out::json(&table::as_json(&scenes)),
            Form::Text => out::text(&table::as_text(&scenes)),
        }
        Ok(if scenes.iter().all(scenes::Scene::as_expected) { Exit::Pass } else { Exit::Fail })
    }
}
