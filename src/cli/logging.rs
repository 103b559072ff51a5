//! Logs for operators, on standard error, off unless asked for: `FIREDRILL_LOG=info`, or a filter as `tracing` reads it.

use tracing_subscriber::EnvFilter;

/// Begins logging.
pub(crate) fn begin() {
    let filter = EnvFilter::try_from_env("FIREDRILL_LOG")
        .unwrap_or_else(|_| EnvFilter::new("firedrill=warn,firedrill_sandbox=error"));
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second beginning, as in tests, keeps the first.
    let _ = format.try_init();
}
