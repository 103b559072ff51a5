//! The sandbox's parts without the rest of firedrill: what this crate's own tests re-execute, and whose end they test.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use firedrill_sandbox::cluster::{Cluster, ClusterOptions};
use firedrill_sandbox::process::{Keeper, KeeperOptions, ProcessSpec};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next().as_ref().and_then(|word| word.to_str()) {
        Some("sandbox-part") => firedrill_sandbox::part_main(args),
        Some("hold") => run(hold(args.collect())),
        Some("cluster") => run(cluster(args.next().unwrap_or_default())),
        _ => run(async { Err("expected sandbox-part PART, hold DIR PROGRAM ARGS… or cluster DIR".into()) }),
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn run(work: impl Future<Output = Outcome>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(work));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "firedrill-sandbox: {error}");
            ExitCode::from(2)
        }
    }
}

/// Keeps one program in DIR, says its process id, and stays until it is itself ended.
async fn hold(args: Vec<OsString>) -> Outcome {
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let [dir, program, rest @ ..] = args.as_slice() else { return Err("expected DIR PROGRAM ARGS…".into()) };
    let dir = PathBuf::from(dir);
    let keeper = Keeper::start(KeeperOptions { dir: dir.clone(), program: std::env::current_exe()? }).await?;
    let mut spec = ProcessSpec::new(program, &dir, dir.join("log"));
    spec.args = rest.to_vec();
    let process = keeper.spawn(spec).await?;
    writeln!(std::io::stdout(), "{} {}", keeper.pid(), process.pid())?;
    std::future::pending().await
}

/// Runs a bare cluster in DIR, says where its kubeconfig is, and stays until it is itself ended.
async fn cluster(dir: OsString) -> Outcome {
    let keeper = Keeper::start(KeeperOptions { dir: dir.into(), program: std::env::current_exe()? }).await?;
    let cluster = Cluster::start(keeper, ClusterOptions::default()).await?;
    writeln!(std::io::stdout(), "{}", cluster.kubeconfig().display())?;
    std::future::pending().await
}
