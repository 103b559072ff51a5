//! `check` and `schema`.

use crate::cli::exit::Exit;
use crate::cli::{Form, Setting, out};
use crate::spec;
use clap::Args;
use std::path::PathBuf;

/// Are these files right?
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Experiments, estates, or directories of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The estate that the experiments must fit: its name or its file
    #[arg(long, value_name = "FILE")]
    estate: Option<PathBuf>,
}

impl Check {
    pub(crate) fn go(&self, setting: &Setting) -> Exit {
        let report = spec::check::check(&self.files, self.estate.as_deref());
        match setting.form {
            Form::Json => out::json(&report),
            Form::Text => out::text(&report.render(out::look())),
        }
        if report.sound { Exit::Pass } else { Exit::Usage }
    }
}

/// The JSON Schemas of estates, experiments, a daemon's configuration and reports.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Only this one: `estate`, `experiment`, `daemon` or `report`
    name: Option<String>,
    /// Write them into this directory instead of printing them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Schema {
    pub(crate) fn go(&self) -> Exit {
        let all = schemas();
        let chosen: Vec<_> = match &self.name {
            None => all,
            Some(name) => all.into_iter().filter(|(file, _)| file.strip_suffix(".schema.json") == Some(name)).collect(),
        };
        if chosen.is_empty() {
            out::error("there is no schema of that name; there are `estate`, `experiment`, `daemon` and `report`");
            return Exit::Usage;
        }
        for (file, schema) in chosen {
            match &self.out {
                None => out::json(&schema),
                Some(dir) => {
                    let path = dir.join(file);
                    let text = format!("{schema:#}\n");
                    if let Err(e) = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, text)) {
                        out::error(&format!("cannot write {}: {e}", path.display()));
                        return Exit::Usage;
                    }
                }
            }
        }
        Exit::Pass
    }
}

/// Every schema, with the name of its file in `schema/`.
fn schemas() -> Vec<(&'static str, serde_json::Value)> {
    let mut all = spec::schema::schemas();
    all.push(("report.schema.json", firedrill_core::report::schema()));
    all
}
