//! Tests over every look: the same text each time, safe against hostile names, well-formed, self-contained.

use super::fixtures::{all, look};
use super::terminal::{Beside, Paint, closing};
use super::{html, json, junit, markdown};
use firedrill_core::report::{Report, Verdict, schema};
use firedrill_core::time::{Known, Nanos};

/// One tag a line, so that a change of a snapshot can be read.
fn by_line(markup: &str) -> String {
    markup.replace("><", ">\n<")
}

#[test]
fn pages() {
    // The pages differ by what they show; these three show everything.
    for name in ["failover-lost-writes", "scale-to-zero-pass", "restore-cut-dump"] {
        insta::assert_snapshot!(format!("html-{name}"), by_line(&html::render(&look(name))));
    }
}

#[test]
fn short_faces() {
    for (name, report) in all() {
        insta::assert_snapshot!(format!("markdown-{name}"), markdown::render(&report));
        insta::assert_snapshot!(format!("junit-{name}"), junit::render(&report));
        let beside = Beside { truth: None, filed: Some("reports/2026-11-21T050003Z/report.html"), width: None };
        insta::assert_snapshot!(format!("terminal-{name}"), closing(&report, Paint::Plain, beside));
    }
}

#[test]
fn every_look_is_drawn_the_same_twice_and_survives_its_json() {
    let schema = jsonschema::validator_for(&schema()).expect("the schema is one");
    for (name, report) in all() {
        assert_eq!(html::render(&report), html::render(&report), "{name}");
        let text = json::render(&report);
        assert_eq!(Report::from_json(&text).expect("readable"), report, "{name}");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let errors: Vec<String> = schema.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn a_page_needs_no_network_and_no_script() {
    for (name, report) in all() {
        let page = html::render(&report);
        for forbidden in
            ["<script", "<link", "<img", "<iframe", "src=", "@import", "url(", "javascript:", "<object", "<a "]
        {
            assert!(!page.contains(forbidden), "{name} holds {forbidden}");
        }
    }
}

#[test]
fn the_first_words_are_the_verdict_the_cause_and_what_to_do() {
    for (name, report) in all() {
        let page = html::render(&report);
        let at = |what: &str| page.find(what).unwrap_or_else(|| panic!("{name} does not say {what}"));
        let escaped =
            |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let verdict = at(&format!("<span>{}</span>", report.judgement.verdict.word()));
        let cause = at(&escaped(&report.judgement.cause));
        let next = at(&escaped(&report.judgement.next_action));
        let figures = at("class=\"cards");
        assert!(verdict < cause && cause < next && next < figures, "{name}");
    }
}

#[test]
fn ids_are_unique_and_references_hit() {
    for (name, report) in all() {
        let page = html::render(&report);
        let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name} has an id twice");
        for reference in page.split(" aria-labelledby=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            for id in reference.split(' ') {
                assert!(ids.contains(&id), "{name} refers to {id}");
            }
        }
    }
}

/// Everything a name may hold that somebody would have to be ashamed of.
const HOSTILE: &str =
    "<script>alert(1)</script>\"' onload=x ]]> --> &amp; \u{202e}gnp.exe\u{0}\u{1b}[2J|`*_@channel\n# x\r\n\u{fffe}";

/// Every string of a report replaced: the report as JSON, its text leaves rewritten, read back.
fn with_every_text(report: &Report, text: &str) -> Report {
    fn rewrite(value: &mut serde_json::Value, text: &str) {
        match value {
            serde_json::Value::String(s) if s.contains(' ') || s.contains('/') || s.contains('.') => s.push_str(text),
            serde_json::Value::Array(items) => items.iter_mut().for_each(|v| rewrite(v, text)),
            serde_json::Value::Object(map) => map.values_mut().for_each(|v| rewrite(v, text)),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(report).expect("JSON");
    rewrite(&mut value, text);
    let mut hostile: Report = serde_json::from_value(value).expect("still a report");
    hostile.experiment.name.push_str(text);
    hostile.estate.environment.push_str(text);
    hostile.exercised.found = Known::Known(text.to_owned());
    hostile.events.iter_mut().for_each(|e| e.word.push_str(text));
    hostile.phases.iter_mut().for_each(|p| p.label.push_str(text));
    hostile.streams.iter_mut().for_each(|s| {
        s.info.stream.probe.push_str(text);
        s.info.kind.push_str(text);
        s.info.excluded = Some(text.to_owned());
    });
    hostile
}

/// Elements of a page by name, from a reader that knows nothing of maud.
fn elements(page: &str) -> Vec<String> {
    page.split('<')
        .skip(1)
        .map(|tag| tag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/' || *c == '!').collect())
        .collect()
}

#[test]
fn names_cannot_add_an_element_an_attribute_or_an_invisible_character_to_a_page() {
    for (name, report) in all() {
        let harmless = with_every_text(&report, &"x".repeat(HOSTILE.chars().count()));
        let page = html::render(&with_every_text(&report, HOSTILE));
        assert!(page.contains("&lt;script&gt;alert(1)"), "{name} does not show the hostile name at all");
        for forbidden in ["<script", "\u{202e}", "\u{0}", "\u{1b}", "\u{fffe}", "\"' onload"] {
            assert!(!page.contains(forbidden), "{name} holds {forbidden:?}");
        }
        // Text may be shortened differently; what the page is made of may not change. Drawn phase names and label
        // parts depend on their width, so only the page outside the drawings is compared.
        let frame = |page: &str| -> Vec<String> {
            elements(page)
                .into_iter()
                .filter(|e| !matches!(e.as_str(), "text" | "/text" | "tspan" | "/tspan" | "rect" | "/rect"))
                .collect()
        };
        assert_eq!(frame(&page), frame(&html::render(&harmless)), "{name}");
    }
}

#[test]
fn junit_is_well_formed_whatever_the_names_are_and_its_counts_are_right() {
    use quick_xml::events::Event;
    for (name, report) in all().into_iter().flat_map(|(name, r)| [(name, with_every_text(&r, HOSTILE)), (name, r)]) {
        let xml = junit::render(&report);
        assert!(!xml.chars().any(|c| c.is_control() && c != '\n'), "{name} holds a control character");
        let mut reader = quick_xml::Reader::from_str(&xml);
        reader.config_mut().check_end_names = true;
        let (mut cases, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
        let mut declared = Vec::new();
        loop {
            match reader.read_event().unwrap_or_else(|e| panic!("{name}: {e}")) {
                Event::Start(e) | Event::Empty(e) => {
                    let attributes: Vec<(String, String)> = e
                        .attributes()
                        .map(|a| a.unwrap_or_else(|e| panic!("{name}: {e}")))
                        .map(|a| (a.key.as_ref().to_owned(), a.value.into_owned()))
                        .collect();
                    match e.name().as_ref() {
                        "testcase" => cases += 1,
                        "failure" => failures += 1,
                        "error" => errors += 1,
                        "skipped" => skipped += 1,
                        "testsuite" => declared = attributes,
                        _ => {}
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let said =
            |key: &str| declared.iter().find(|(k, _)| k == key).map(|(_, v)| v.parse::<u32>().expect("a number"));
        assert_eq!(
            (said("tests"), said("failures"), said("errors"), said("skipped")),
            (Some(cases), Some(failures), Some(errors), Some(skipped)),
            "{name}"
        );
        match report.judgement.verdict {
            Verdict::Pass => assert_eq!((failures, errors), (0, 0), "{name}"),
            Verdict::Fail => assert!(failures > 0, "{name}"),
            _ => assert!(errors > 0, "{name}: a build would be green without a proof"),
        }
    }
}

#[test]
fn names_cannot_repaint_a_terminal_or_break_a_table() {
    for (name, report) in all() {
        let hostile = with_every_text(&report, HOSTILE);
        let block = closing(&hostile, Paint::Plain, Beside { truth: None, filed: Some(HOSTILE), width: Some(60) });
        assert!(!block.chars().any(|c| c.is_control() && c != '\n'), "{name}: {block:?}");
        let page = markdown::render(&hostile);
        assert!(!page.contains("<script") && !page.contains("@channel"), "{name}");
        let plain = markdown::render(&report);
        assert_eq!(page.lines().count(), plain.lines().count(), "{name}: a name made a line");
    }
}

#[test]
fn colour_is_only_what_the_caller_asked_for() {
    let report = look("failover-pass");
    let beside = Beside { truth: Some(Nanos(1_901_000_000)), filed: None, width: Some(200) };
    let plain = closing(&report, Paint::Plain, beside);
    let coloured = closing(&report, Paint::Colour, beside);
    assert!(!plain.contains('\u{1b}') && plain.contains("truth 1.901 s"));
    assert_eq!(coloured.replace("\u{1b}[1;32m", "").replace("\u{1b}[0m", ""), plain);
}

#[test]
fn what_is_not_known_is_said_with_its_reason_on_every_face() {
    let mut report = look("failover-pass");
    let why = "the ledger could not be read: no writable node";
    report.loss = Known::Unknown(why.into());
    assert!(html::render(&report).contains(why));
    assert!(closing(&report, Paint::Plain, Beside::default()).contains("loss not known"));
}

#[test]
fn the_schema_that_is_kept_is_the_one_of_this_code() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/report.schema.json");
    let kept = std::fs::read_to_string(&path).expect("schema/report.schema.json");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    assert!(
        kept == schema(),
        "the report has changed: run `firedrill schema --out schema`, and raise SCHEMA_VERSION if a reader of the last version could misread it"
    );
}

/// The report with every length and every point of the drill multiplied.
fn stretched(report: &Report, by: f64) -> Report {
    fn stretch(value: &mut serde_json::Value, key: &str, by: f64) {
        match value {
            serde_json::Value::Number(n) if key.ends_with("_ns") => {
                let product = n.as_f64().expect("a number") * by;
                *value = serde_json::from_str(&format!("{product:.0}")).expect("a whole number");
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(|v| stretch(v, key, by)),
            // The opening is a date, and dates are not stretched.
            serde_json::Value::Object(map) => {
                map.iter_mut().filter(|(key, _)| *key != "opened").for_each(|(key, v)| stretch(v, key, by));
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(report).expect("JSON");
    stretch(&mut value, "", by);
    serde_json::from_value(value).expect("still a report")
}

#[test]
fn drills_of_no_length_of_microseconds_and_of_weeks_are_drawn_too() {
    for (name, report) in all() {
        for by in [0.0, 1e-6, 1e-3, 60.0, 3_600.0, 100_000.0] {
            let page = html::render(&stretched(&report, by));
            assert!(!page.contains("NaN") && !page.contains("inf\""), "{name} × {by}");
            assert!(page.len() < 400_000, "{name} × {by} has {} bytes", page.len());
            markdown::render(&stretched(&report, by));
            junit::render(&stretched(&report, by));
        }
    }
}
