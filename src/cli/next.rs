//! `next`: when drills are due.

use crate::cli::exit::Exit;
use crate::cli::run::failed;
use crate::cli::{Form, Setting, out};
use crate::daemon::{Change, Shelf};
use crate::runner::RunError;
use crate::spec::daemon::load_daemon;
use clap::Args;
use firedrill_core::timetable::Firing;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::path::PathBuf;

/// When drills are due.
#[derive(Debug, Args)]
pub(crate) struct Next {
    /// What is run where
    #[arg(long, value_name = "FILE", default_value = "firedrill.yaml")]
    config: PathBuf,
    /// How many days ahead
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3_700))]
    days: u16,
    /// At most so many
    #[arg(long, default_value_t = 500, value_name = "N")]
    most: usize,
}

/// One line.
struct Coming {
    firing: Firing,
    key: String,
    experiment: String,
    environment: String,
    schedule: String,
    blackout: Option<String>,
}

impl Next {
    pub(crate) fn go(&self, setting: &Setting) -> Exit {
        match self.coming(Timestamp::now()) {
            Ok((coming, bad)) => {
                match setting.form {
                    Form::Json => out::json(&json!({
                        "format": "firedrill.next/1", "days": self.days,
                        "firings": coming.iter().map(as_json).collect::<Vec<_>>(), "bad": bad,
                    })),
                    Form::Text => self.tell(&coming, &bad),
                }
                if bad.is_empty() { Exit::Pass } else { Exit::Usage }
            }
            Err(e) => failed(&e),
        }
    }

    /// What comes, the soonest first; and the files that are bad.
    fn coming(&self, now: Timestamp) -> Result<(Vec<Coming>, Vec<String>), RunError> {
        let config = load_daemon(&self.config)?.value;
        let mut experiments = Shelf::new(config.duties(&self.config));
        let bad = experiments.refresh().into_iter().filter_map(|change| match change {
            Change::Bad { why, .. } => Some(why),
            Change::Loaded { .. } | Change::Gone(_) => None,
        });
        let bad = bad.collect();
        let until = now + SignedDuration::from_hours(24 * i64::from(self.days));
        let mut coming = Vec::new();
        for (key, duty) in experiments.duties() {
            let mut after = now;
            for _ in 0..self.most {
                let Some(firing) = duty.timetable.next(after).filter(|firing| firing.due <= until) else { break };
                after = firing.due;
                let blackout = duty.timetable.blackouts.iter().find(|b| b.contains(firing.planned));
                coming.push(Coming {
                    firing,
                    key: key.clone(),
                    experiment: duty.experiment.clone(),
                    environment: duty.environment.clone(),
                    schedule: duty.schedule.clone(),
                    blackout: blackout.map(ToString::to_string),
                });
            }
        }
        coming.sort_by(|a, b| (a.firing, &a.key).cmp(&(b.firing, &b.key)));
        coming.truncate(self.most);
        Ok((coming, bad))
    }

    fn tell(&self, coming: &[Coming], bad: &[String]) {
        for why in bad {
            out::aside(why);
        }
        if coming.is_empty() {
            out::line(&format!("nothing is due within {} days", self.days));
        }
        let wide = coming.iter().map(|c| c.experiment.len()).max().unwrap_or(0);
        for c in coming {
            let due = c.firing.due.strftime("%a %Y-%m-%d %H:%M:%SZ");
            let blackout = c.blackout.as_ref().map(|b| format!("  not run: blackout {b}")).unwrap_or_default();
            let line = format!("{due}  {:<wide$}  {}  ({}){blackout}", c.experiment, c.environment, c.schedule);
            out::line(&line);
        }
        if coming.len() == self.most {
            out::line(&format!("only the first {} are shown: --most N", self.most));
        }
    }
}

fn as_json(c: &Coming) -> Value {
    json!({
        "due": c.firing.due.to_string(), "planned": c.firing.planned.to_string(), "experiment": c.experiment,
        "environment": c.environment, "schedule": c.schedule, "blackout": c.blackout,
    })
}
