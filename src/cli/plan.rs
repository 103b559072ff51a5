//! `plan`: what a drill would change, before and after. It opens no journal and touches nothing.

use crate::cli::exit::Exit;
use crate::cli::run::failed;
use crate::cli::{Form, Setting, out};
use crate::probes::ledger_table;
use crate::runner::{self, Order, RunError};
use crate::spec::load;
use clap::Args;
use firedrill_core::drill::Surveyed;
use firedrill_core::effect::{Effect, Fence};
use firedrill_core::plan::Plan as DrillPlan;
use firedrill_core::report::Trigger;
use firedrill_core::time::Known;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

/// What would be changed, before and after. Touches nothing.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The experiment
    #[arg(value_name = "FILE")]
    experiment: PathBuf,
    /// The estate: a name that stands for `estates/NAME.yaml` beside the experiment, or a file
    #[arg(long, value_name = "NAME")]
    estate: Option<String>,
}

impl Plan {
    pub(crate) async fn go(&self, setting: &Setting) -> Exit {
        match self.plan(setting).await {
            Ok(surveyed) => {
                match setting.form {
                    Form::Json => out::json(&as_json(&surveyed)),
                    Form::Text => out::text(&as_text(&surveyed)),
                }
                if surveyed.plan.is_ok() { Exit::Pass } else { Exit::Refused }
            }
            Err(e) => failed(&e),
        }
    }

    async fn plan(&self, setting: &Setting) -> Result<Surveyed, RunError> {
        let estate = load::find_estate(&self.experiment, self.estate.as_deref())?;
        let order = Order::read(&self.experiment, &estate)?;
        let by = Trigger::Hand("a plan".to_owned());
        let prepared = runner::prepare(order, runner::new_drill(), by, &setting.state_dir()).await?;
        Ok(prepared.fault().survey(&prepared.scene).await)
    }
}

fn as_json(surveyed: &Surveyed) -> serde_json::Value {
    let (plan, refusal) = match &surveyed.plan {
        Ok(plan) => (Some(plan), None),
        Err(refusal) => (None, Some(refusal)),
    };
    json!({
        "format": "firedrill.plan/1",
        "checks": surveyed.checks,
        "plan": plan,
        "ledger_sql": plan.and_then(ledger_sql),
        "refused": refusal,
    })
}

fn as_text(surveyed: &Surveyed) -> String {
    let mut text = String::new();
    for check in &surveyed.checks {
        let mark = match &check.ok {
            Known::Known(true) => "✓",
            Known::Known(false) => "✗",
            Known::Unknown(_) => "?",
        };
        let _ = writeln!(text, " {mark} {}: {}", check.name, check.found);
    }
    match &surveyed.plan {
        Ok(plan) => changes(plan, &mut text),
        Err(refusal) => {
            let _ = writeln!(text, "\n REFUSED  {}\n          {}", refusal.why, refusal.help);
        }
    }
    text
}

/// What makes the ledger's table, if the plan has a ledger.
fn ledger_sql(plan: &DrillPlan) -> Option<&'static str> {
    plan.steps.iter().any(|step| matches!(step.effect, Effect::Ledger { .. })).then(ledger_table::ddl)
}

fn changes(plan: &DrillPlan, text: &mut String) {
    let _ = writeln!(text, "\n would");
    for step in &plan.steps {
        let fence = match step.effect.fence() {
            Fence::OnVersion => "",
            Fence::Local => "  (ends with this runner)",
            Fence::LockOnly => "  (only the lock keeps a second runner from it)",
        };
        let _ = writeln!(text, "   {}{fence}", step.effect.describe());
    }
    if let Some(sql) = ledger_sql(plan) {
        let _ = writeln!(text, " the ledger's table, where it is not there yet, is made by");
        for line in sql.lines() {
            let _ = writeln!(text, "   {line}");
        }
    }
    for untouched in &plan.untouched {
        let _ = writeln!(text, " would not touch {untouched}");
    }
    for fact in &plan.facts {
        let _ = writeln!(text, " {}: {}  ({})", fact.label, fact.value, fact.source);
    }
    let _ = writeln!(text, " nothing was touched");
}
