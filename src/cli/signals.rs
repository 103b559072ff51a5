//! Ctrl-C and SIGTERM: the first undoes and reports; the second says what is left and where, and ends.

use crate::cli::out;
use crate::runner::progress::Picture;
use std::fmt::Write as _;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Set by a program whose end ends this one too: the demo, whose estate would be gone.
pub(crate) const DIE_WITH_PARENT: &str = "FIREDRILL_DIE_WITH_PARENT";

/// Has the kernel end this process when its parent ends, if that was asked for.
pub(crate) fn die_with_parent() {
    if std::env::var_os(DIE_WITH_PARENT).is_some() {
        // Where the kernel does not do it, the process ends by itself a little later, with nothing to drill.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
}

/// A token that the first signal from now on cancels.
pub(crate) fn abort_token(pictures: watch::Receiver<Picture>, state: PathBuf) -> CancellationToken {
    let token = CancellationToken::new();
    let heard = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let cancelled = token.clone();
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = heard else {
            out::error(
                "signals cannot be heard; the drill can only be stopped by killing it, and is then undone at the next start",
            );
            return;
        };
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        cancelled.cancel();
        out::aside("\nstopping: undoing what was done, then reporting (again: leave at once)\n");
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        let owed = pictures.borrow().owed.clone();
        let mut text = String::from("\nleft at once. ");
        if owed.is_empty() {
            text.push_str("Nothing is owed.\n");
        } else {
            text.push_str("Still there:\n");
            for what in &owed {
                let _ = writeln!(text, "  - {what}");
            }
            let _ = writeln!(text, "Put it back with: firedrill undo --state {}", state.display());
        }
        out::aside(&text);
        std::process::exit(if owed.is_empty() { 4 } else { 6 });
    });
    token
}
