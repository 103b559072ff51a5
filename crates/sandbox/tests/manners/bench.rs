//! What these tests share: fresh directories, and waiting for an event with a deadline instead of sleeping.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use firedrill_sandbox::process::{ProcStat, start_ticks};

/// The executable under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_firedrill-sandbox");

/// Longer than anything here takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that no other test has; the keeper makes and removes it.
pub(crate) fn fresh_dir(name: &str) -> PathBuf {
    let stamp = firedrill_sandbox::process::boottime_ns();
    std::env::temp_dir().join(format!("firedrill-{name}-{}-{stamp}", std::process::id()))
}

/// Whether this very process (not a successor with its number) still runs.
pub(crate) fn runs(pid: i32, started: Option<u64>) -> bool {
    started.is_some() && start_ticks(pid) == started && ProcStat::of(pid).is_some_and(|stat| stat.state != 'Z')
}

/// Waits until `done`, looking every 5 ms: `/proc` and directories have no event to wait for.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The text of a file once it has one.
pub(crate) async fn written(path: &Path) -> String {
    let begun = Instant::now();
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(begun.elapsed() < PATIENCE, "nothing was written to {}", path.display()),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
