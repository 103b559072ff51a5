//! The wrapper between the keeper's fork and a program: a session of its own, a leash to the keeper, then exec.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Signal, getppid, set_parent_process_death_signal, setsid};

/// What a container runtime answers when the program cannot be started.
const CANNOT_START: u8 = 127;

/// Runs `launch KEEPER_PID UID:GID|- PROGRAM ARGS…`; only returns when the program could not be started.
pub fn launch_main(args: Vec<OsString>) -> ExitCode {
    match launch(args) {
        Ok(never) => match never {},
        Err(message) => {
            // Standard error is the program's log file: the place where people look for it.
            let _ = writeln!(std::io::stderr(), "cannot start: {message}");
            ExitCode::from(CANNOT_START)
        }
    }
}

/// Everything before the program, which then takes this process over.
fn launch(args: Vec<OsString>) -> Result<std::convert::Infallible, String> {
    let mut args = args.into_iter();
    let mut next = |what: &str| args.next().ok_or_else(|| format!("expected {what}"));
    let keeper = next("the keeper's process id")?;
    let identity = next("UID:GID or -")?;
    let program = next("a program")?;
    setsid().map_err(|error| format!("a session of its own: {error}"))?;
    // Lost again at a change of user; then the owner's watch over the keeper stands in.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| format!("leash to the keeper: {error}"))?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if keeper.to_str().is_none_or(|keeper| parent.as_deref() != Some(keeper)) {
        return Err("the keeper ended while this program was starting".to_owned());
    }
    let mut command = Command::new(&program);
    command.args(args);
    if let Some((uid, gid)) = identity.to_str().and_then(|text| text.split_once(':')) {
        let uid = uid.parse().map_err(|_| "a numeric user id".to_owned())?;
        let gid = gid.parse().map_err(|_| "a numeric group id".to_owned())?;
        command.uid(uid).gid(gid);
    }
    let error = command.exec();
    Err(format!("{}: {error}", program.to_string_lossy()))
}
