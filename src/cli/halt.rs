//! `halt` and `resume`: nothing is injected by any runner with this state directory until it is lifted.

use crate::cli::exit::Exit;
use crate::cli::{Form, Setting, out, run};
use crate::halt;
use clap::Args;
use serde_json::json;
use std::io;

/// No injection anywhere until resumed; what is under way is undone.
#[derive(Debug, Args)]
pub(crate) struct Halt {
    /// Why, for whoever finds it
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
}

/// Lift the halt.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Resume {}

impl Halt {
    pub(crate) fn go(&self, setting: &Setting) -> Exit {
        let since = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let halt = halt::Halt { by: run::person(), since, why: self.why.clone() };
        let dir = setting.state_dir();
        match halt.set(&dir) {
            Ok(()) => {
                match setting.form {
                    Form::Json => out::json(&json!({ "format": "firedrill.halt/1", "halt": halt })),
                    Form::Text => out::line(&format!(
                        "{}. Runners with the state directory {} stop within a second and undo. Lift it with: firedrill resume",
                        halt.words(),
                        dir.display()
                    )),
                }
                Exit::Pass
            }
            Err(e) => failed(&e, &halt::Halt::file(&dir).display().to_string()),
        }
    }
}

impl Resume {
    pub(crate) fn go(setting: &Setting) -> Exit {
        let dir = setting.state_dir();
        match halt::Halt::lift(&dir) {
            Ok(stood) => {
                match setting.form {
                    Form::Json => out::json(&json!({ "format": "firedrill.halt/1", "halt": null, "stood": stood })),
                    Form::Text if stood => out::line("the halt is lifted: drills may begin again"),
                    Form::Text => out::line("no halt stood"),
                }
                Exit::Pass
            }
            Err(e) => failed(&e, &halt::Halt::file(&dir).display().to_string()),
        }
    }
}

fn failed(error: &io::Error, path: &str) -> Exit {
    out::error(&format!("{path}: {error}. Make the state directory writable, or name another with --state."));
    Exit::Refused
}
