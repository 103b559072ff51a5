//! The report as Markdown, short enough for a chat, a pull request or a wiki page.

use super::figure;
use super::text::clean;
use firedrill_core::report::{CheckStatus, ClockRule, Objective, Report, ResidueState, UndoOutcome};
use firedrill_core::time::Known;
use std::fmt::Write as _;

/// At most so many ids of lost writes; the rest is in the JSON.
const LOST_IDS_MAX: usize = 20;

/// The page.
pub fn render(report: &Report) -> String {
    let judgement = &report.judgement;
    let mut out = format!("# {} · {}\n\n", judgement.verdict.word(), escape(&report.experiment.title));
    let _ = write!(out, "{}\n\n**Next:** {}\n\n", escape(&judgement.cause), escape(&judgement.next_action));
    out += &outstanding(report);
    out += &figures(report);
    out += &reasons(report);
    out += &lost(report);
    out += &waves(report);
    out += &works(report);
    out += &failed_checks(report);
    out += &events(report);
    out += &proof(report);
    out
}

/// Text that Markdown, and the HTML within it, take as it is.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            // A word joiner: nobody is called because a drill is named after them.
            '@' => out.push_str("@\u{2060}"),
            c => out.push(c),
        }
    }
    out
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut out = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out.push('\n');
    out
}

fn outstanding(report: &Report) -> String {
    if report.residue.state != ResidueState::Outstanding {
        return String::new();
    }
    let mut out =
        "> **Something of this drill is still there.** The target stays locked until it is gone.\n".to_owned();
    for effect in &report.residue.effects {
        if let UndoOutcome::Outstanding { why, by_hand } = &effect.outcome {
            let _ = writeln!(out, "> - {}: {}. By hand: {}", escape(&effect.object), escape(why), escape(by_hand));
        }
    }
    out.push('\n');
    out
}

fn figures(report: &Report) -> String {
    let mut rows: Vec<Vec<String>> = report.objectives.iter().map(objective).collect();
    let mut add = |name: &str, value: String| rows.push(vec![name.to_owned(), value, String::new()]);
    if let Known::Known(loss) = &report.loss {
        for ledger in &loss.ledgers {
            add(
                &format!("Acknowledged writes lost ({})", escape(&ledger.probe)),
                format!("{} of {}", figure::count(ledger.lost), figure::count(ledger.acknowledged)),
            );
        }
    }
    if let Some(recovery) = report.recovery.known().filter(|r| r.rule != ClockRule::RestoreOnly) {
        add("Since the injection", figure::known_interval(&recovery.since_injection));
        add("Users without service", figure::known_interval(&recovery.user_outage));
        add("Redundancy back after", figure::known_interval(&recovery.redundancy));
    }
    let found = report.exercised.found.known().map_or("not known", String::as_str);
    add("What was exercised", format!("{} ({})", escape(found), escape(&report.exercised.detail)));
    add("Residue", report.residue.state.word().to_owned());
    table(&["", "measured", "objective"], &rows)
}

fn objective(objective: &Objective) -> Vec<String> {
    let measured = match &objective.measured {
        Known::Known(length) => figure::interval(*length),
        Known::Unknown(why) => format!("not known: {}", escape(why)),
    };
    vec![super::text::capitalised(&escape(objective.kind.label())), measured, figure::duration(objective.limit_ns)]
}

fn reasons(report: &Report) -> String {
    let mut out = String::new();
    for reason in &report.judgement.reasons {
        let _ = write!(out, "- {}", escape(&reason.text));
        if let Some(remedy) = &reason.remedy {
            let _ = write!(out, " → {}", escape(remedy));
        }
        if let Some(source) = &reason.source {
            let _ = write!(out, " ({})", escape(source));
        }
        out.push('\n');
    }
    if out.is_empty() { out } else { format!("## Why\n\n{out}\n") }
}

fn lost(report: &Report) -> String {
    let ids: Vec<String> = report
        .loss
        .known()
        .into_iter()
        .flat_map(|l| &l.ledgers)
        .flat_map(|l| &l.lost_ids)
        .map(|id| escape(id))
        .collect();
    if ids.is_empty() {
        return String::new();
    }
    let more = if ids.len() > LOST_IDS_MAX { format!(" and {} more", ids.len() - LOST_IDS_MAX) } else { String::new() };
    format!("## Lost writes\n\n{}{more}\n\n", ids[..ids.len().min(LOST_IDS_MAX)].join(", "))
}

fn waves(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .waves
        .iter()
        .flat_map(|wave| wave.workloads.iter().map(move |w| (wave, w)))
        .map(|(wave, w)| {
            let restored = w.restored.known().map_or_else(|| "not known".to_owned(), u32::to_string);
            vec![escape(&w.name), format!("{} → 0 → {restored}", w.captured), escape(&wave.name)]
        })
        .collect();
    let table = table(&["deployment", "replicas", "wave"], &rows);
    if table.is_empty() { table } else { format!("## Scaled to zero and back\n\n{table}") }
}

fn works(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .works
        .iter()
        .flat_map(|w| &w.phases)
        .map(|p| {
            let length = p.span.length();
            let rate = p.bytes.and_then(|b| figure::throughput(b, length)).unwrap_or_default();
            let failure = p.failure.as_ref().map(|f| format!(" **{}**", escape(f))).unwrap_or_default();
            vec![escape(&p.name), figure::duration(length), rate, format!("{}{failure}", escape(&p.detail))]
        })
        .collect();
    let table = table(&["phase", "took", "rate", "what"], &rows);
    if table.is_empty() { table } else { format!("## Restore\n\n{table}") }
}

/// Only what does not hold: the rest is a click away.
fn failed_checks(report: &Report) -> String {
    let all = || report.verification.iter().chain(&report.preflight);
    let rows: Vec<Vec<String>> = all()
        .filter(|c| matches!(c.status, CheckStatus::Failed | CheckStatus::Unknown))
        .map(|c| {
            let found = match &c.found {
                Known::Known(found) => escape(found),
                Known::Unknown(why) => format!("not known: {}", escape(why)),
            };
            vec![escape(&c.name), escape(&c.expected), found]
        })
        .collect();
    let held = all().filter(|c| c.status == CheckStatus::Ok).count();
    format!(
        "## Checks\n\n{held} of {} hold.\n\n{}",
        all().count(),
        table(&["does not hold", "expected", "found"], &rows)
    )
}

fn events(report: &Report) -> String {
    let origin = report.origin();
    let rows: Vec<Vec<String>> = report
        .events
        .iter()
        .map(|e| {
            vec![figure::offset_of(e.at, origin), figure::utc_time(&report.clock, e.at.latest_ns), escape(&e.text)]
        })
        .collect();
    let table = table(&["since injection", "UTC", "event"], &rows);
    if table.is_empty() { table } else { format!("## What happened\n\n{table}") }
}

fn proof(report: &Report) -> String {
    format!(
        "{} · {} · {} · drill {} · experiment sha256 {} · journal of {} records, chain head {} · firedrill {}\n",
        escape(&report.experiment.name),
        escape(&report.estate.environment),
        escape(&figure::date(&report.clock, firedrill_core::report::Moment(0))),
        escape(&report.identity.drill),
        figure::short_hash(&escape(&report.experiment.spec_sha256)),
        figure::count(report.evidence.journal.events),
        figure::short_hash(&escape(&report.evidence.journal.chain_head)),
        escape(&report.tool.version),
    )
}
