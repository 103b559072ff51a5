//! Logs for operators, on standard error: `FIREDRILL_LOG=info`, or a filter as `tracing` reads it; as JSON lines with
//! `FIREDRILL_LOG_FORMAT=json`.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// What is said by commands that people look at.
pub(crate) const QUIET: &str = "firedrill=warn,firedrill_sandbox=error";
/// What is said by what nobody looks at.
pub(crate) const FOLLOWED: &str = "firedrill=info,firedrill_sandbox=error";

/// Begins logging, by `filter` unless the environment says otherwise.
pub(crate) fn begin(filter: &str) {
    let filter = EnvFilter::try_from_env("FIREDRILL_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // A second beginning, as in tests, keeps the first.
    let _ = if std::env::var_os("FIREDRILL_LOG_FORMAT").is_some_and(|f| f == "json") {
        format.json().try_init()
    } else {
        format.try_init()
    };
}
