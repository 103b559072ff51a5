//! `status`, `history`, `report`: what the journal knows.

use crate::cli::exit::Exit;
use crate::cli::run::failed;
use crate::cli::{Form, Setting, file, out};
use crate::halt::Halt;
use crate::render;
use crate::runner::{RunError, reporting};
use crate::store::{DrillLock, DrillRow, FiringRow, FiringState, Journal, Outside, Verified};
use clap::{Args, Subcommand, ValueEnum};
use firedrill_core::drill::Drill;
use firedrill_core::report::Report as DrillReport;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

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
        let halted = Halt::stands(journal.dir());
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
            Form::Json => out::json(&json!({ "format": "firedrill.status/1", "halted": halted, "open": entries })),
            Form::Text => {
                if let Some(halted) = &halted {
                    out::line(&format!("{halted} (lift it with: firedrill resume)"));
                }
                if entries.is_empty() {
                    out::line("nothing is under way, and nothing is owed");
                }
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
    #[command(subcommand)]
    what: Option<HistoryOf>,
    /// Only those of this experiment
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// How many, the newest first
    #[arg(long, default_value_t = 50, value_name = "N")]
    most: usize,
}

#[derive(Debug, Subcommand)]
enum HistoryOf {
    /// Is the journal what its runners wrote? Finds what was changed, is missing or was cut off
    Verify {
        /// Hold it also against the reports that were filed below this directory
        #[arg(long, value_name = "DIR")]
        filed: Option<PathBuf>,
    },
}

impl History {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        if let Some(HistoryOf::Verify { filed }) = &self.what {
            let outside = match filed.as_deref().map_or(Ok(Vec::new()), filed_below) {
                Ok(outside) => outside,
                Err(why) => {
                    out::error(&why);
                    return Exit::Usage;
                }
            };
            return verify(setting, &outside).await.unwrap_or_else(|e| failed(&e));
        }
        match self.rows(setting).await {
            Ok((drills, firings)) => {
                match setting.form {
                    Form::Json => {
                        let drills: Vec<Value> = drills.iter().map(row_json).collect();
                        let firings: Vec<Value> = firings.iter().map(firing_json).collect();
                        out::json(&json!({ "format": "firedrill.history/1", "drills": drills, "firings": firings }));
                    }
                    Form::Text => tell(&drills, &firings, self.most),
                }
                Exit::Pass
            }
            Err(e) => failed(&e),
        }
    }

    /// The drills, and the firings of schedules; the newest first.
    async fn rows(&self, setting: &Setting) -> Result<(Vec<DrillRow>, Vec<FiringRow>), RunError> {
        let journal = Journal::open(&setting.state_dir()).await?;
        let wanted = |experiment: &String| self.experiment.as_ref().is_none_or(|e| e == experiment);
        let mut drills = journal.drills().await?;
        drills.retain(|row| wanted(&row.experiment));
        drills.truncate(self.most);
        let mut firings = journal.firings(usize::MAX).await?;
        firings.retain(|row| wanted(&row.experiment));
        firings.truncate(self.most);
        Ok((drills, firings))
    }
}

/// The reports that lie below a directory.
fn filed_below(dir: &Path) -> Result<Vec<Outside>, String> {
    let mut found = Vec::new();
    let mut below = vec![dir.to_owned()];
    while let Some(path) = below.pop() {
        let unreadable = |e: std::io::Error| format!("{}: {e}", path.display());
        for entry in std::fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.file_type().map_err(unreadable)?.is_dir() {
                below.push(entry.path());
            } else if entry.file_name() == "report.json" {
                let text = std::fs::read_to_string(entry.path()).map_err(unreadable)?;
                found.push(Outside { place: entry.path().display().to_string(), text });
            }
        }
    }
    Ok(found)
}

async fn verify(setting: &Setting, outside: &[Outside]) -> Result<Exit, RunError> {
    let journal = Journal::open(&setting.state_dir()).await?;
    let verified = journal.verify(outside).await?;
    let Verified { drills, records, chunks, reports, tampered } = &verified;
    match setting.form {
        Form::Json => {
            let wrong: Vec<Value> = tampered.iter().map(|t| json!({ "drill": t.drill, "what": t.what })).collect();
            out::json(&json!({
                "format": "firedrill.verify/1", "drills": drills, "records": records, "chunks": chunks,
                "reports": reports, "tampered": wrong,
            }));
        }
        Form::Text => {
            for t in tampered {
                out::line(&format!("drill {}: {}", t.drill, t.what));
            }
            let held = format!("{drills} drills, {records} records, {chunks} chunks of samples, {reports} reports");
            out::line(&match tampered.len() {
                0 => format!("{held}: all as they were written"),
                1 => format!("{held}: one thing is not as it was written"),
                n => format!("{held}: {n} things are not as they were written"),
            });
        }
    }
    Ok(if tampered.is_empty() { Exit::Pass } else { Exit::Fail })
}

/// The drills, and between them the firings that became none.
fn tell(drills: &[DrillRow], firings: &[FiringRow], most: usize) {
    let drilled = drills
        .iter()
        .map(|row| (row.opened_wall_ns, format!("{:<12}  {:<32}  {}", word(row), row.experiment, row.drill)));
    let none = |row: &&FiringRow| !matches!(row.state, FiringState::Executed | FiringState::Begun);
    let others = firings
        .iter()
        .filter(none)
        .map(|row| (row.planned_ns, format!("{:<12}  {:<32}  {}", row.state.word(), row.experiment, row.why)));
    let mut lines: Vec<(i64, String)> = drilled.chain(others).collect();
    lines.sort_by(|a, b| b.cmp(a));
    if lines.is_empty() {
        out::line("no drill yet");
    }
    lines.iter().take(most).for_each(|(at, line)| out::line(&format!("{}  {line}", wall(*at))));
}

fn firing_json(row: &FiringRow) -> Value {
    json!({
        "planned": wall(row.planned_ns), "due": wall(row.due_ns), "experiment": row.experiment,
        "environment": row.environment, "state": row.state.word(), "why": row.why, "drill": row.drill,
    })
}

fn word(row: &DrillRow) -> String {
    row.verdict.clone().unwrap_or_else(|| if row.closed { "unreported" } else { "open" }.to_owned())
}

/// A time of the wall clock, UTC.
fn wall(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns))
        .map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

fn row_json(row: &DrillRow) -> Value {
    json!({ "drill": row.drill, "experiment": row.experiment, "opened": wall(row.opened_wall_ns), "closed": row.closed, "verdict": row.verdict })
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
            None => reporting::remake(&journal, &first.drill).await.map(Some),
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
