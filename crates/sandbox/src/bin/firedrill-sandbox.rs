//! The sandbox's parts without the rest of firedrill: what this crate's own tests re-execute.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(word) if word == "sandbox-part" => firedrill_sandbox::part_main(args),
        _ => ExitCode::from(2),
    }
}
