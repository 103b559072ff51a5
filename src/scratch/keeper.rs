//! The keeper: a process of its own that ends a scratch when the runner is gone, however it went.

use super::layout::{Layout, write_durably};
use super::process::ProcessId;
use super::protocol::{Reply, Request};
use super::{server, undo};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};

/// The hidden subcommand `scratch-keeper DIRECTORY`: `args` are those behind the word.
///
/// Its standard input must be a pipe; when that closes, everything ends. Exit status 0: nothing is left.
pub fn scratch_keeper_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let (Some(directory), None) = (args.next(), args.next()) else {
        return ExitCode::from(2);
    };
    let layout = Layout::new(directory);
    // A session of its own: Ctrl-C at the runner's terminal is the runner's to handle. It fails only when it is one already.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let left = runtime.block_on(keep(&layout));
    match left {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn keep(layout: &Layout) -> Result<(), String> {
    let mut running: Option<Child> = None;
    let why = serve(layout, &mut running).await;
    if let Some(server) = running {
        server::stop(server, layout).await;
    }
    let ended = undo::remove(layout);
    match &ended {
        Ok(()) => say(&Reply::Gone),
        Err(left) => say(&Reply::Left(left.clone())),
    }
    why.and(ended)
}

/// Until the pipe closes, or a signal asks for the end.
async fn serve(layout: &Layout, running: &mut Option<Child>) -> Result<(), String> {
    let text = |e: io::Error| e.to_string();
    let own = ProcessId::own().ok_or("no /proc/self/stat")?;
    let recorded = serde_json::to_vec(&own).map_err(|e| e.to_string())?;
    write_durably(&layout.keeper(), &recorded).map_err(text)?;
    let pipe = io::stdin().as_fd().try_clone_to_owned().map_err(text)?;
    let mut requests = BufReader::new(Receiver::from_owned_fd(pipe).map_err(text)?).lines();
    let mut terminate = signal(SignalKind::terminate()).map_err(text)?;
    say(&Reply::Keeping);
    loop {
        let died = async {
            match running.as_mut() {
                Some(server) => server.wait().await,
                None => std::future::pending().await,
            }
        };
        let line = tokio::select! {
            line = requests.next_line() => line,
            _ = terminate.recv() => return Ok(()),
            how = died => {
                let how = how.map_or_else(|e| e.to_string(), |s| s.to_string());
                say(&Reply::Died(format!("{how}: {}", server::log_tail(layout))));
                *running = None;
                continue;
            }
        };
        let Ok(Some(line)) = line else { return Ok(()) };
        let Ok(Request::Start(plan)) = serde_json::from_str::<Request>(&line) else {
            say(&Reply::Failed("the keeper did not understand its runner".to_owned()));
            continue;
        };
        // The pipe is watched while the server is made: a runner that dies meanwhile ends it.
        let started = tokio::select! {
            started = server::start(layout, &plan) => started,
            end = requests.next_line() => {
                drop(end);
                return Ok(());
            }
            _ = terminate.recv() => return Ok(()),
        };
        match started {
            Ok(server) => {
                *running = Some(server);
                say(&Reply::Ready);
            }
            Err(why) => say(&Reply::Failed(why)),
        }
    }
}

/// The runner may be gone: nobody to tell is no trouble.
fn say(reply: &Reply) {
    if let Ok(line) = serde_json::to_string(reply) {
        let mut out = io::stdout();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}
