//! This machine: where the journal and the reports go, and whether drills may begin now.

use super::disk::{self, Need};
use super::finding::Finding;
use super::scope::Scope;
use crate::filers::FilerSpec;
use firedrill_core::window::Window;
use std::path::Path;

const SUBJECT: &str = "this machine";

/// The journal keeps every sample of a drill: tens of megabytes for a long one.
const JOURNAL: Need = Need { least_bytes: 16 << 20, ample_bytes: 256 << 20 };
/// A report is a megabyte or two.
const REPORT: Need = Need { least_bytes: 1 << 20, ample_bytes: 64 << 20 };

pub(super) fn examine(scope: &Scope) -> Vec<Finding> {
    let mut findings = vec![files(scope)];
    findings.push(disk::writable(SUBJECT, "state directory", &scope.state_dir, JOURNAL));
    for filer in &scope.estate.file {
        match filer {
            FilerSpec::Directory(path) => {
                findings.push(disk::writable(SUBJECT, "directory of reports", Path::new(path), REPORT));
            }
        }
    }
    findings.extend(scope.estate.window.as_deref().map(|text| window(text, jiff::Timestamp::now())));
    findings
}

fn files(scope: &Scope) -> Finding {
    let (name, environment) = ("experiments", &scope.estate.environment);
    let expected = format!("sound, and fit estate {environment}");
    if scope.experiments.is_empty() {
        let help =
            "Name them: firedrill doctor FILE… --estate NAME. Which rights a drill needs is for its experiment to say.";
        return Finding::doubtful("files", name, expected, "none named, and none beside the estate that fits it", help);
    }
    let names: Vec<&str> = scope.experiments.iter().map(|l| l.experiment.experiment.as_str()).collect();
    Finding::fine("files", name, expected, format!("{} for {}", names.join(", "), scope.estate_file.display()))
}

/// Outside the window a drill that is begun by hand is refused; nothing is wrong with the installation for that.
fn window(text: &str, now: jiff::Timestamp) -> Finding {
    const NAME: &str = "window of the estate";
    match text.parse::<Window>() {
        Ok(window) if window.contains(now) => Finding::fine(SUBJECT, NAME, text, "open now"),
        Ok(_) => {
            let found = format!("closed now, at {}", now.strftime("%a %F %T UTC"));
            Finding::doubtful(SUBJECT, NAME, text, found, "A drill that is begun now is refused. Wait for the window.")
        }
        Err(e) => Finding::against(SUBJECT, NAME, text, e.to_string(), "Correct it in the estate."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    #[test]
    fn a_closed_window_is_worth_a_look_and_no_fault() {
        let text = "Mon-Fri 09:00-16:00 UTC";
        let at = |when: &str| window(text, when.parse().unwrap()).mark;
        assert_eq!(at("2026-11-20T09:00:00Z"), Mark::Fine);
        assert_eq!(at("2026-11-20T16:00:00Z"), Mark::Doubtful);
        assert_eq!(window("never", "2026-11-20T09:00:00Z".parse().unwrap()).mark, Mark::Against);
    }
}
