//! The first page: each experiment with its last verdict, how long ago it passed, and when it is due; what is under way, what
//! is wrong; the newest firings.

use crate::daemon::{Glance, Scheduled};
use crate::render::palette;
use crate::render::text::clean;
use crate::store::{FiringRow, Newest, Overview};
use jiff::{SignedDuration, Timestamp};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// How many firings are listed.
pub(super) const FIRINGS_SHOWN: usize = 50;

/// Draws it.
pub(super) fn draw(glance: &Glance, held: &Overview, firings: &[FiringRow], now: Timestamp) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="refresh" content="15";
                title { "firedrill" }
                style { (PreEscaped(sheet())) }
            }
            body {
                main {
                    h1 { "firedrill" }
                    (troubles(glance, held))
                    h2 { "Experiments" }
                    (experiments(glance, held, now))
                    h2 { "Firings" }
                    (table_of_firings(firings))
                }
            }
        }
    };
    let mut page = page.into_string();
    page.push('\n');
    page
}

/// What somebody should look at, first.
fn troubles(glance: &Glance, held: &Overview) -> Markup {
    let left = held.open.saturating_sub(glance.under_way.len() as u64);
    html! {
        @if let Some(halted) = &glance.halted { p class="mind fail" { b { "Nothing begins: " } (clean(halted)) } }
        @if left > 0 {
            p class="mind fail" { b { (left) @if left == 1 { " drill was" } @else { " drills were" } " left open" } ": something of a fault may still be there. See `firedrill status`." }
        }
        @for (file, why) in &glance.bad {
            details class="mind open" { summary { b { (file.display()) } " cannot be used as it is" } pre { (clean(why)) } }
        }
        @for (key, drill) in &glance.under_way { p class="mind" { b { (clean(key)) } " is under way, drill " (clean(drill)) } }
        @if glance.waiting > 0 { p class="mind" { (glance.waiting) " wait for room" } }
    }
}

fn experiments(glance: &Glance, held: &Overview, now: Timestamp) -> Markup {
    html! {
        @if glance.experiments.is_empty() { p { "No experiment has a schedule." } }
        @else {
            div class="wide" { table {
                thead { tr { th { "experiment" } th { "where" } th { "last verdict" } th { "last pass" } th { "due next" } th { "schedule" } } }
                tbody {
                    @for scheduled in glance.experiments.values() {
                        @let newest = held.newest.get(&scheduled.experiment);
                        tr {
                            td { (clean(&scheduled.experiment)) }
                            td { (clean(&scheduled.environment)) }
                            td { (verdict(newest)) }
                            td { (last_pass(scheduled, newest, now)) }
                            td { (scheduled.next.map_or_else(|| "never".to_owned(), utc)) }
                            td { (clean(&scheduled.schedule)) }
                        }
                    }
                }
            } }
        }
    }
}

fn verdict(newest: Option<&Newest>) -> Markup {
    html! {
        @match newest {
            None => { "no drill yet" },
            Some(newest) => { a class=(class(&newest.verdict)) href=(format!("/drills/{}", newest.drill)) { (newest.verdict) } },
        }
    }
}

fn class(verdict: &str) -> &'static str {
    match verdict {
        "PASS" => "pass",
        "FAIL" => "fail",
        "INCONCLUSIVE" => "open",
        "ABORTED" => "stopped",
        _ => "refused",
    }
}

fn last_pass(scheduled: &Scheduled, newest: Option<&Newest>, now: Timestamp) -> Markup {
    let ago = newest.and_then(|n| n.last_pass_ns).map(|ns| now.duration_since(time(ns)));
    let late = scheduled.pass_every.is_some_and(|within| ago.is_none_or(|ago| ago > within.signed()));
    let words = ago.map_or_else(|| "never".to_owned(), ago_words);
    html! { @if late { b class="fail" { (words) " (too long ago)" } } @else { (words) } }
}

fn ago_words(ago: SignedDuration) -> String {
    match ago.as_hours() {
        0 => "within the hour".to_owned(),
        hours @ 1..=47 => format!("{hours} h ago"),
        hours => format!("{} days ago", hours / 24),
    }
}

fn table_of_firings(firings: &[FiringRow]) -> Markup {
    html! {
        @if firings.is_empty() { p { "Nothing was due yet." } }
        @else {
            div class="wide" { table {
                thead { tr { th { "planned" } th { "experiment" } th { "where" } th { "became" } th { "why" } } }
                tbody {
                    @for row in firings {
                        tr {
                            td { (utc(time(row.planned_ns))) }
                            td { (clean(&row.experiment)) }
                            td { (clean(&row.environment)) }
                            td {
                                @match (&row.drill, row.state) {
                                    (Some(drill), crate::store::FiringState::Executed) => { a href=(format!("/drills/{drill}")) { "executed" } },
                                    _ => { (row.state.word()) },
                                }
                            }
                            td { (clean(&row.why)) }
                        }
                    }
                }
            } }
        }
    }
}

fn utc(at: Timestamp) -> String {
    at.strftime("%a %Y-%m-%d %H:%M:%S UTC").to_string()
}

fn time(ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The colours are those of reports, where a test keeps their contrast.
fn sheet() -> String {
    let scheme = |s: &palette::Scheme| {
        let pair = |name: &str, (ink, ground): (&str, &str)| format!("--{name}:{ink};--{name}-ground:{ground};");
        [
            format!("--page:{};--ink:{};--muted:{};--line:{};--card:{};", s.page, s.ink, s.muted, s.line, s.card),
            pair("pass", s.pass),
            pair("fail", s.fail),
            pair("open", s.open),
            pair("stopped", s.stopped),
            pair("refused", s.refused),
        ]
        .concat()
    };
    let words: String = ["pass", "fail", "open", "stopped", "refused"]
        .map(|w| format!("a.{w},b.{w},.mind.{w}{{color:var(--{w});background:var(--{w}-ground)}}"))
        .concat();
    format!(
        ":root{{{}}}@media(prefers-color-scheme:dark){{:root{{{}}}}}\
         body{{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}}\
         main{{max-width:72rem;margin:0 auto;padding:1.5rem 1rem}}h1{{margin:0 0 1rem;font-size:1.4rem}}h2{{font-size:1.1rem;margin:2rem 0 .5rem}}\
         .wide{{overflow-x:auto}}table{{border-collapse:collapse;width:100%;font-size:.92rem}}\
         th,td{{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}}th{{color:var(--muted);font-weight:600}}\
         td:first-child{{white-space:nowrap}}a{{color:inherit}}a.pass,a.fail,a.open,a.stopped,a.refused,b.fail{{padding:.1rem .5rem;border-radius:.3rem;font-weight:600}}\
         .mind{{background:var(--card);padding:.6rem .9rem;border-radius:.4rem;margin:.5rem 0}}pre{{white-space:pre-wrap;margin:.5rem 0 0}}{words}",
        scheme(&palette::LIGHT),
        scheme(&palette::DARK),
    )
}
