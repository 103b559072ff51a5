//! Printing. A closed pipe ends nothing: the drill behind it goes on.

use crate::render::terminal::Paint;
use crate::spec::problem::Look;
use std::io::{IsTerminal, Write};

/// Prints to standard output, as it is.
pub(crate) fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more; what the command does matters more than what it says.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a line to standard output.
pub(crate) fn line(line: &str) {
    text(&format!("{line}\n"));
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(&text),
        Err(e) => error(&format!("bug: this cannot be said in JSON: {e}")),
    }
}

/// Prints an error to standard error.
pub(crate) fn error(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "error: {}", text.trim_end());
}

/// Prints to standard error, as it is.
pub(crate) fn aside(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

fn colour_wanted(terminal: bool) -> bool {
    terminal
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// How text for people looks on standard output.
pub(crate) fn paint() -> Paint {
    if colour_wanted(std::io::stdout().is_terminal()) { Paint::Colour } else { Paint::Plain }
}

/// How problems look on standard error.
pub(crate) fn look() -> Look {
    if colour_wanted(std::io::stderr().is_terminal()) { Look::Colour } else { Look::Plain }
}

/// The width of the terminal, where there is one.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
