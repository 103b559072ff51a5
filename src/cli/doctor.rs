//! `doctor`: is everything there that the drills need? It touches nothing.

use crate::cli::exit::Exit;
use crate::cli::{Form, Setting, out};
use crate::doctor::{self, Finding, Mark, Named, Scope};
use crate::spec::problem::Problems;
use clap::Args;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Is everything there that the drills need? Touches nothing.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Experiments, or directories of them; those beside the estate that fit it by default
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The estate: a name that stands for `estates/NAME.yaml` beside the experiments, or a file
    #[arg(long, value_name = "NAME")]
    estate: Option<String>,
}

/// What the doctor says, for programs.
#[derive(Debug, Serialize)]
struct Report {
    /// The form of this report.
    format: &'static str,
    /// Whether no drill would be refused for what was looked at.
    sound: bool,
    /// What is wrong with the files; nothing else is looked at then.
    problems: Problems,
    /// What was looked at.
    findings: Vec<Finding>,
}

impl Doctor {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        let state_dir = setting.state_dir();
        let named = Named { files: &self.files, estate: self.estate.as_deref(), state_dir: &state_dir };
        let (problems, findings) = match Scope::load(named) {
            Ok(scope) => (Problems::default(), doctor::examine(&scope).await),
            Err(problems) => (problems, Vec::new()),
        };
        let exit = exit(&problems, &findings);
        match setting.form {
            Form::Json => {
                out::json(&Report { format: "firedrill.doctor/1", sound: exit == Exit::Pass, problems, findings });
            }
            Form::Text if problems.0.is_empty() => out::text(&as_text(&findings)),
            Form::Text => out::aside(&problems.render(out::look())),
        }
        exit
    }
}

fn exit(problems: &Problems, findings: &[Finding]) -> Exit {
    if !problems.0.is_empty() {
        Exit::Usage
    } else if findings.iter().any(|f| f.mark == Mark::Against) {
        Exit::Refused
    } else {
        Exit::Pass
    }
}

fn as_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut subject = "";
    for finding in findings {
        if finding.subject != subject {
            subject = &finding.subject;
            let _ = writeln!(text, " {subject}");
        }
        line(finding, &mut text);
    }
    let count = |mark: Mark| findings.iter().filter(|f| f.mark == mark).count();
    let (doubtful, against) = (count(Mark::Doubtful), count(Mark::Against));
    let end = match (against, doubtful) {
        (0, 0) => "all is there that these drills need".to_owned(),
        (0, d) => format!("all is there that these drills need; {d} worth a look"),
        (a, d) => format!("{a} of {} would keep a drill from beginning; {d} worth a look", findings.len()),
    };
    let _ = writeln!(text, "\n {end}; nothing was touched");
    text
}

fn line(finding: &Finding, text: &mut String) {
    let Finding { name, found, expected, .. } = finding;
    match finding.mark {
        Mark::Fine => {
            let _ = writeln!(text, "   ✓ {name}: {found}");
        }
        mark => {
            let sign = if mark == Mark::Against { "✗" } else { "?" };
            let _ = writeln!(text, "   {sign} {name}: {found} (expected: {expected})");
        }
    }
    if let Some(help) = &finding.help {
        let _ = writeln!(text, "     {help}");
    }
    for pasted in finding.paste.iter().flat_map(|p| p.lines()) {
        let _ = writeln!(text, "       {pasted}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_against_a_drill_is_an_exit_code() {
        let fine = Finding::fine("cluster", "clock", "right", "right");
        let odd = Finding::doubtful("cluster", "clock", "right", "slow", "Set it.");
        let bad = Finding::against("cluster", "rights", "all", "none", "Grant:").paste("a: 1\nb: 2\n");
        let of = |findings: &[Finding]| exit(&Problems::default(), findings);
        assert_eq!(of(&[]), Exit::Pass);
        assert_eq!(of(&[fine.clone(), odd.clone()]), Exit::Pass);
        assert_eq!(of(&[fine.clone(), bad.clone(), odd.clone()]), Exit::Refused);
        let text = as_text(&[fine, odd, bad]);
        assert_eq!(
            text,
            " cluster
   ✓ clock: right
   ? clock: slow (expected: right)
     Set it.
   ✗ rights: none (expected: all)
     Grant:
       a: 1
       b: 2

 1 of 3 would keep a drill from beginning; 1 worth a look; nothing was touched
"
        );
    }
}
