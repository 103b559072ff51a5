//! The parts of the sandbox that run as processes of their own, re-executed from one binary.

use std::ffi::OsString;
use std::process::ExitCode;

/// Exit code for a part that does not exist, as for any wrong usage.
const USAGE: u8 = 2;

/// Runs the part named by the first argument (what follows `sandbox-part` on the command line).
pub fn part_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let name = args.next().unwrap_or_default();
    let rest: Vec<OsString> = args.collect();
    match name.to_str() {
        Some("keeper") => crate::process::keeper_main(&rest),
        Some("launch") => crate::process::launch_main(rest),
        Some("postgres-agent") => crate::estate::postgres::agent::agent_main(),
        Some("storefront") => crate::estate::storefront::storefront_main(),
        Some("truth") => crate::truth::truth_main(&rest),
        Some("serve") => crate::serve::serve_main(&rest),
        _ => ExitCode::from(USAGE),
    }
}
