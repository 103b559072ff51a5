//! The report as JSON: the contract, described by `schema/report.schema.json`.

use firedrill_core::report::Report;

/// The document, indented, with a newline at its end.
pub fn render(report: &Report) -> String {
    let mut json = serde_json::to_string_pretty(report).expect("a report is plain data with string keys");
    json.push('\n');
    json
}
