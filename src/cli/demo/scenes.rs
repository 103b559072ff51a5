//! The demo's four drills. Each is run as a person would run it: by this program, in a process of its own.

use super::files::{self, Files};
use super::truth::{self, Truth};
use super::{DemoError, Form};
use crate::cli::out;
use crate::cli::signals::DIE_WITH_PARENT;
use firedrill_core::report::{Report, Verdict};
use firedrill_sandbox::Sandbox;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// Where the dump that is cut in the middle is put.
const CUT_PREFIX: &str = "postgresql-cut/";
/// How much of it is left.
const CUT_PERCENT: u8 = 60;
/// How long a drill that was stopped may take to undo and report.
const GRACE: Duration = Duration::from_secs(30);

/// What the scenes need.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) sandbox: &'a Sandbox,
    pub(super) out_dir: &'a Path,
    pub(super) program: &'a Path,
    pub(super) form: Form,
    /// Cancelled when the demo is to end.
    pub(super) stopped: &'a CancellationToken,
}

/// One drill that was shown.
#[derive(Debug)]
pub(super) struct Scene {
    /// Its report.
    pub(super) report: Report,
    /// What really happened meanwhile, by the estate's own record.
    pub(super) truth: Truth,
    /// The verdict it should have.
    pub(super) expected: Verdict,
    /// Where its page is.
    pub(super) page: String,
}

impl Scene {
    /// Whether it came out as it should, and the truth lies in what was measured.
    pub(super) fn as_expected(&self) -> bool {
        self.report.judgement.verdict == self.expected && self.truth.agrees != Some(false)
    }
}

/// Runs all of them.
pub(super) async fn all(stage: &Stage<'_>) -> Result<Vec<Scene>, DemoError> {
    let files = files::write(stage.out_dir, stage.sandbox.facts(), CUT_PREFIX)?;
    let mut scenes = Vec::new();
    stage.begin("1 of 4: the PostgreSQL primary is killed")?;
    stage.run(&files, "orders-primary-loss").await?;
    scenes.push(stage.scene("orders-primary-loss", Verdict::Pass)?);

    stage.begin("2 of 4: every deployment to zero, and the runner itself is killed in the middle")?;
    let before = stage.counts().await?;
    stage.kill_the_runner_at_zero(&files, "web-scale-to-zero").await?;
    let after = stage.counts().await?;
    if before != after {
        return Err(DemoError::NotBack("the second drill", format!("{after:?}")));
    }
    scenes.push(stage.scene("web-scale-to-zero", Verdict::Inconclusive)?);

    stage.begin("3 of 4: the newest backup is restored, and questioned")?;
    stage.run(&files, "orders-backup-restore").await?;
    scenes.push(stage.scene("orders-backup-restore", Verdict::Pass)?);

    stage.begin("4 of 4: a backup that was cut in the middle")?;
    stage.sandbox.backups().upload_cut(CUT_PREFIX, CUT_PERCENT).await.map_err(|e| DemoError::Api(e.to_string()))?;
    stage.run(&files, "orders-backup-cut").await?;
    scenes.push(stage.scene("orders-backup-cut", Verdict::Fail)?);
    Ok(scenes)
}

/// Ends a while after the demo was stopped: a drill that hangs does not keep it.
pub(super) async fn after_grace(stopped: &CancellationToken) {
    stopped.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

impl Stage<'_> {
    fn say(&self, what: &str) {
        if self.form == Form::Text {
            out::line(&format!("\n{what}\n"));
        }
    }

    /// The next drill, unless the demo is to end.
    fn begin(&self, what: &str) -> Result<(), DemoError> {
        if self.stopped.is_cancelled() {
            return Err(DemoError::Stopped);
        }
        self.say(what);
        Ok(())
    }

    fn command(&self, args: &[&std::ffi::OsStr]) -> Command {
        let mut command = Command::new(self.program);
        command.args(args).arg("--state").arg(self.out_dir.join("state"));
        // A group of its own: a Ctrl-C at the terminal is the demo's, which passes it on once.
        command.stdin(Stdio::null()).kill_on_drop(true).process_group(0).env(DIE_WITH_PARENT, "1");
        if self.form == Form::Json {
            command.arg("--json").stdout(Stdio::null()).stderr(Stdio::null());
        }
        command
    }

    fn start(&self, files: &Files, experiment: &str) -> Result<Child, DemoError> {
        let file = files.experiment(experiment);
        let args = ["run".as_ref(), file.as_os_str(), "--estate".as_ref(), files.estate.as_os_str()];
        let out_args = ["--out".as_ref(), self.out_dir.as_os_str()];
        self.command(&args).args(out_args).spawn().map_err(DemoError::Child)
    }

    async fn run(&self, files: &Files, experiment: &str) -> Result<(), DemoError> {
        self.ended(&mut self.start(files, experiment)?).await
    }

    /// Waits for a drill. One that is to stop undoes, reports and ends.
    async fn ended(&self, runner: &mut Child) -> Result<(), DemoError> {
        let told = tokio::select! {
            ended = runner.wait() => ended,
            () = self.stopped.cancelled() => {
                if let Some(pid) = runner.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                    // It may have ended just now.
                    let _ = kill_process(pid, Signal::INT);
                }
                runner.wait().await
            }
        };
        told.map(|_| ()).map_err(DemoError::Child)
    }

    async fn deployments(&self) -> Result<Vec<Deployment>, DemoError> {
        let facts = self.sandbox.facts();
        let client = self.sandbox.cluster().client().map_err(|e| DemoError::Api(e.to_string()))?;
        let api: Api<Deployment> = Api::namespaced(client, &facts.namespace);
        let listed = api.list(&ListParams::default()).await.map_err(|e| DemoError::Api(e.to_string()))?;
        Ok(listed.items)
    }

    /// The counts that the deployments ask for.
    async fn counts(&self) -> Result<BTreeMap<String, i32>, DemoError> {
        let of = |d: Deployment| Some((d.metadata.name?, d.spec?.replicas?));
        Ok(self.deployments().await?.into_iter().filter_map(of).collect())
    }

    /// Runs a drill until no pod of any deployment is left, kills its runner without a warning, and starts another.
    async fn kill_the_runner_at_zero(&self, files: &Files, experiment: &str) -> Result<(), DemoError> {
        let mut runner = self.start(files, experiment)?;
        loop {
            tokio::select! {
                ended = runner.wait() => return ended.map(|_| ()).map_err(DemoError::Child),
                () = self.stopped.cancelled() => return self.ended(&mut runner).await,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
            let deployments = self.deployments().await?;
            let gone = |d: &Deployment| d.status.as_ref().and_then(|s| s.replicas).unwrap_or(0) == 0;
            if deployments.iter().all(gone) {
                break;
            }
        }
        // A moment of the outage is left to the probes.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        runner.start_kill().map_err(DemoError::Child)?;
        runner.wait().await.map_err(DemoError::Child)?;
        self.say("the runner was killed (SIGKILL) with every deployment at zero; another one starts");
        let args = ["undo".as_ref(), "--out".as_ref(), self.out_dir.as_os_str()];
        self.command(&args).status().await.map(|_| ()).map_err(DemoError::Child)
    }

    fn scene(&self, experiment: &str, expected: Verdict) -> Result<Scene, DemoError> {
        let dir = self.out_dir.join(experiment);
        let path = dir.join("report.json");
        let read = std::fs::read_to_string(&path).ok().and_then(|text| Report::from_json(&text).ok());
        let Some(report) = read else {
            return Err(DemoError::NoReport { experiment: experiment.to_owned(), path });
        };
        let facts = self.sandbox.facts();
        let truth = truth::of(&facts.truth_file, &report, &facts.database.primary_service)
            .map_err(|source| DemoError::File { path: self.sandbox.facts().truth_file.clone(), source })?;
        let text = serde_json::to_string_pretty(&truth).unwrap_or_default() + "\n";
        let path = dir.join("truth.json");
        std::fs::write(&path, text).map_err(|source| DemoError::File { path, source })?;
        Ok(Scene { report, truth, expected, page: dir.join("report.html").display().to_string() })
    }
}
