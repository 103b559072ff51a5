//! Ctrl-C and SIGTERM: the first undoes and reports; the second says what is left and where, and ends.

use crate::cli::out;
use crate::runner::progress::Picture;
use std::fmt::Write as _;
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};
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

/// SIGINT and SIGTERM, heard from the moment this is made, also before anybody waits for them.
#[derive(Debug)]
pub(crate) struct Stops(Option<(Signal, Signal)>);

impl Stops {
    /// From now on. Says what follows where they cannot be heard.
    pub(crate) fn hear(unheard: &str) -> Self {
        let heard = signal(SignalKind::interrupt()).and_then(|i| Ok((i, signal(SignalKind::terminate())?)));
        if let Err(e) = &heard {
            out::error(&format!("signals cannot be heard ({e}); {unheard}"));
        }
        Self(heard.ok())
    }

    /// Returns with the next of them; never where they cannot be heard.
    pub(crate) async fn next(&mut self) {
        match &mut self.0 {
            Some((interrupt, terminate)) => tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} },
            None => std::future::pending().await,
        }
    }

    /// A token that the next of them cancels.
    pub(crate) fn token(mut self) -> CancellationToken {
        let token = CancellationToken::new();
        let cancelled = token.clone();
        tokio::spawn(async move {
            self.next().await;
            cancelled.cancel();
        });
        token
    }
}

/// A token that the first signal from now on cancels.
pub(crate) fn abort_token(pictures: watch::Receiver<Picture>, state: PathBuf) -> CancellationToken {
    let token = CancellationToken::new();
    let mut stops = Stops::hear("the drill can only be stopped by killing it, and is then undone at the next start");
    let cancelled = token.clone();
    tokio::spawn(async move {
        stops.next().await;
        cancelled.cancel();
        out::aside("\nstopping: undoing what was done, then reporting (again: leave at once)\n");
        stops.next().await;
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
