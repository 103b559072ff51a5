//! `status`, `history`, `report`: what the journal knows.

use crate::cli::exit::Exit;
use crate::cli::run::failed;
use crate::cli::{Form, Setting, file, out};
use crate::render;
use crate::runner::RunError;
use crate::store::{DrillLock, DrillRow, Journal};
use clap::{Args, ValueEnum};
use firedrill_core::drill::Drill;
use firedrill_core::report::Report as DrillReport;
use serde_json::{Value, json};

/// What is under way, and what is owed.
#[derive(Debug, Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        match self.status(setting).await {
            Ok(exit) => exit,
            Err(e) => failed(&e),
        }
    }

    async fn status(&self, setting: &Setting) -> Result<Exit, RunError> {
        let journal = Journal::open(&setting.state_dir()).await?;
        let mut exit = Exit::Pass;
        let mut entries: Vec<Value> = Vec::new();
        for row in journal.drills().await?.into_iter().filter(|d| !d.closed) {
            let held = DrillLock::take(journal.dir(), &row.drill)
                .map_err(|source| RunError::Lock { path: journal.dir().to_owned(), source })?
                .is_none();
            let (records, _) = journal.records(&row.drill).await?;
            let drill = Drill::replay(&records).map_err(crate::store::AppendError::from)?;
            let plan = drill.plan.as_ref();
            let owed: Vec<String> =
                drill.outstanding().filter_map(|id| plan.map(|p| p.step(id).effect.describe())).collect();
            if !held {
                exit = Exit::Residue;
            }
            let state = if held { "running" } else { "left by a runner that died" };
            entries.push(json!({ "drill": row.drill, "experiment": row.experiment, "state": state, "owed": owed }));
        }
        match setting.form {
            Form::Json => out::json(&json!({ "format": "firedrill.status/1", "open": entries })),
            Form::Text if entries.is_empty() => out::line("nothing is under way, and nothing is owed"),
            Form::Text => {
                for e in &entries {
                    out::line(&format!("{}  {}  {}", text(e, "drill"), text(e, "experiment"), text(e, "state")));
                    for owed in e["owed"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                        out::line(&format!("    owed: {owed}"));
                    }
                }
                if exit == Exit::Residue {
                    out::line("put it back with: firedrill undo");
                }
            }
        }
        Ok(exit)
    }
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_default()
}

/// The drills of this journal.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Only those of this experiment
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// How many, the newest first
    #[arg(long, default_value_t = 50, value_name = "N")]
    most: usize,
}

impl History {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        match self.rows(setting).await {
            Ok(rows) => {
                match setting.form {
                    Form::Json => {
                        let drills: Vec<Value> = rows.iter().map(row_json).collect();
                        out::json(&json!({ "format": "firedrill.history/1", "drills": drills }));
                    }
                    Form::Text if rows.is_empty() => out::line("no drill yet"),
                    Form::Text => rows.iter().for_each(|row| {
                        out::line(&format!(
                            "{}  {:<12}  {:<32}  {}",
                            opened(row),
                            word(row),
                            row.experiment,
                            row.drill
                        ));
                    }),
                }
                Exit::Pass
            }
            Err(e) => failed(&e),
        }
    }

    async fn rows(&self, setting: &Setting) -> Result<Vec<DrillRow>, RunError> {
        let journal = Journal::open(&setting.state_dir()).await?;
        let mut rows = journal.drills().await?;
        rows.retain(|r| self.experiment.as_ref().is_none_or(|e| *e == r.experiment));
        rows.truncate(self.most);
        Ok(rows)
    }
}

fn word(row: &DrillRow) -> String {
    row.verdict.clone().unwrap_or_else(|| if row.closed { "unreported" } else { "open" }.to_owned())
}

fn opened(row: &DrillRow) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(row.opened_wall_ns))
        .map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

fn row_json(row: &DrillRow) -> Value {
    json!({ "drill": row.drill, "experiment": row.experiment, "opened": opened(row), "closed": row.closed, "verdict": row.verdict })
}

/// The report of a drill, again.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The drill's id, or the beginning of it; the newest drill when it is left out
    drill: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value_t = As::Text)]
    r#as: As,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum As {
    /// The closing block of a run
    Text,
    /// JSON, the contract
    Json,
    /// One page
    Html,
    /// Markdown
    Markdown,
    /// JUnit XML
    Junit,
}

impl Report {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        match self.find(setting).await {
            Ok(Some(report)) => {
                self.show(&report, setting);
                Exit::Pass
            }
            Ok(None) => Exit::Usage,
            Err(e) => failed(&e),
        }
    }

    async fn find(&self, setting: &Setting) -> Result<Option<DrillReport>, RunError> {
        let journal = Journal::open(&setting.state_dir()).await?;
        let wanted = self.drill.as_deref().unwrap_or_default();
        let rows = journal.drills().await?;
        let mut found = rows.iter().filter(|r| r.drill.starts_with(wanted));
        let Some(first) = found.next() else {
            out::error(&format!("no drill begins with `{wanted}`; see: firedrill history"));
            return Ok(None);
        };
        if self.drill.is_some() && found.next().is_some() {
            out::error(&format!("several drills begin with `{wanted}`; give more of the id"));
            return Ok(None);
        }
        // The report as it was kept; one that was never made is made now.
        let kept = journal.report(&first.drill).await?.and_then(|text| DrillReport::from_json(&text).ok());
        match kept {
            Some(report) => Ok(Some(report)),
            None => file::make(&journal, &first.drill).await.map(Some),
        }
    }

    fn show(&self, report: &DrillReport, setting: &Setting) {
        let rendered = render::all(report);
        match (self.r#as, setting.form) {
            (As::Json, _) | (As::Text, Form::Json) => out::text(&rendered.json),
            (As::Html, _) => out::text(&rendered.html),
            (As::Markdown, _) => out::text(&rendered.markdown),
            (As::Junit, _) => out::text(&rendered.junit),
            (As::Text, Form::Text) => {
                file::tell(report, &[], setting);
            }
        }
    }
}
