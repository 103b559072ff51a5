//! The report as `JUnit` XML, for build servers: one test suite a drill.
//!
//! | what | in `JUnit` |
//! |---|---|
//! | verdict PASS | passed |
//! | verdict FAIL | `failure` |
//! | verdict INCONCLUSIVE, ABORTED, REFUSED | `error`: nothing is proven, and a build that shows no proof must not be green |
//! | residue outstanding | `error` |
//! | objective missed, check after the recovery failed, acknowledged writes lost | `failure` |
//! | check before the injection failed | `error`: it is the drill's, not the service's |
//! | anything undecided, unknown or not reached | `skipped`, with the reason; the verdict's own case tells the build |

use super::figure;
use super::text::clean;
use firedrill_core::report::{
    Attainment, Check, CheckStatus, Exercise, Judgement, Objective, Report, ResidueState, UndoOutcome, Verdict,
};
use firedrill_core::time::Known;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// What a test case came to.
enum Came {
    Passed,
    Failure(String),
    Error(String),
    Skipped(String),
}

/// A test case.
struct Case {
    group: &'static str,
    name: String,
    came: Came,
    said: String,
}

/// The document.
pub fn render(report: &Report) -> String {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(&mut xml, report).expect("writing into memory does not fail");
    let mut text = String::from_utf8(xml.into_inner()).expect("only text was written");
    text.push('\n');
    text
}

type Xml = Writer<Vec<u8>>;

fn write(xml: &mut Xml, report: &Report) -> std::io::Result<()> {
    let cases = cases(report);
    let number = |wanted: fn(&Came) -> bool| cases.iter().filter(|c| wanted(&c.came)).count().to_string();
    let seconds = format!("{:.3}", report.clock.closed_ns.since(firedrill_core::report::Moment(0)).as_secs_f64());
    let (tests, failures) = (cases.len().to_string(), number(|c| matches!(c, Came::Failure(_))));
    let (errors, skipped) = (number(|c| matches!(c, Came::Error(_))), number(|c| matches!(c, Came::Skipped(_))));
    let utc = report.clock.opened.wall().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let name = clean(&report.experiment.name);
    let attributes = [
        ("name", name.as_str()),
        ("tests", &tests),
        ("failures", &failures),
        ("errors", &errors),
        ("skipped", &skipped),
        ("time", &seconds),
        ("timestamp", &utc),
    ];
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.write_event(Event::Start(element("testsuites", &[("name", "firedrill")])))?;
    xml.write_event(Event::Start(element("testsuite", &attributes)))?;
    properties(xml, report)?;
    for case in &cases {
        write_case(xml, &name, case)?;
    }
    xml.write_event(Event::End(BytesEnd::new("testsuite")))?;
    xml.write_event(Event::End(BytesEnd::new("testsuites")))
}

fn element<'e>(name: &'e str, attributes: &[(&str, &str)]) -> BytesStart<'e> {
    let mut element = BytesStart::new(name);
    for attribute in attributes {
        element.push_attribute(*attribute);
    }
    element
}

fn properties(xml: &mut Xml, report: &Report) -> std::io::Result<()> {
    xml.write_event(Event::Start(BytesStart::new("properties")))?;
    let schema = report.schema_version.to_string();
    for (name, value) in [
        ("schema-version", &schema),
        ("report", &report.identity.report),
        ("drill", &report.identity.drill),
        ("verdict", &report.judgement.verdict.word().to_owned()),
        ("environment", &report.estate.environment),
        ("experiment-sha256", &report.experiment.spec_sha256),
        ("journal-chain-head", &report.evidence.journal.chain_head),
        ("firedrill", &report.tool.version),
    ] {
        xml.write_event(Event::Empty(element("property", &[("name", name), ("value", &clean(value))])))?;
    }
    xml.write_event(Event::End(BytesEnd::new("properties")))
}

fn write_case(xml: &mut Xml, suite: &str, case: &Case) -> std::io::Result<()> {
    let class = format!("firedrill.{suite}.{}", case.group);
    let start = element("testcase", &[("classname", &class), ("name", &clean(&case.name))]);
    xml.write_event(Event::Start(start))?;
    let (tag, message) = match &case.came {
        Came::Passed => (None, ""),
        Came::Failure(message) => (Some("failure"), message.as_str()),
        Came::Error(message) => (Some("error"), message.as_str()),
        Came::Skipped(message) => (Some("skipped"), message.as_str()),
    };
    if let Some(tag) = tag {
        xml.write_event(Event::Empty(element(tag, &[("message", &clean(message))])))?;
    }
    if !case.said.is_empty() {
        xml.write_event(Event::Start(BytesStart::new("system-out")))?;
        xml.write_event(Event::Text(BytesText::new(&clean(&case.said))))?;
        xml.write_event(Event::End(BytesEnd::new("system-out")))?;
    }
    xml.write_event(Event::End(BytesEnd::new("testcase")))
}

fn cases(report: &Report) -> Vec<Case> {
    let mut cases = vec![verdict(&report.judgement)];
    cases.extend(report.objectives.iter().map(objective));
    cases.push(exercised(report));
    cases.extend(loss(report));
    cases.push(residue(report));
    cases.extend(report.verification.iter().map(|c| check(c, "verification")));
    cases.extend(report.preflight.iter().map(|c| check(c, "preflight")));
    cases
}

fn verdict(judgement: &Judgement) -> Case {
    let message = judgement.cause.clone();
    let came = match judgement.verdict {
        Verdict::Pass => Came::Passed,
        Verdict::Fail => Came::Failure(message),
        Verdict::Inconclusive | Verdict::Aborted | Verdict::Refused => {
            Came::Error(format!("{}: {message}", judgement.verdict.word()))
        }
    };
    let said = format!("{} Next: {}", judgement.cause, judgement.next_action);
    Case { group: "verdict", name: "verdict".into(), came, said }
}

fn objective(objective: &Objective) -> Case {
    let limit = figure::duration(objective.limit_ns);
    let measured = match &objective.measured {
        Known::Known(length) => figure::interval(*length),
        Known::Unknown(why) => format!("not known: {why}"),
    };
    let said = format!("measured {measured}, objective {limit}");
    let came = match objective.attainment {
        Attainment::Met => Came::Passed,
        Attainment::Missed => Came::Failure(said.clone()),
        Attainment::Undecided | Attainment::NotReached => Came::Skipped(said.clone()),
    };
    Case { group: "objectives", name: objective.kind.label().to_owned(), came, said }
}

fn exercised(report: &Report) -> Case {
    let exercised = &report.exercised;
    let found = match &exercised.found {
        Known::Known(found) => found.clone(),
        Known::Unknown(why) => format!("not known: {why}"),
    };
    let said = format!("expected {}, found {found}: {}", exercised.expected, exercised.detail);
    let came = if exercised.status == Exercise::AsExpected { Came::Passed } else { Came::Skipped(said.clone()) };
    Case { group: "verification", name: "what was exercised".into(), came, said }
}

fn loss(report: &Report) -> Vec<Case> {
    let Known::Known(loss) = &report.loss else {
        return vec![];
    };
    let case = |ledger: &firedrill_core::report::Ledger| {
        let said = format!(
            "{} of {} acknowledged writes lost, {} of unknown outcome, {} unexpected",
            ledger.lost, ledger.acknowledged, ledger.unknown, ledger.unexpected
        );
        let came = if ledger.lost == 0 {
            Came::Passed
        } else {
            Came::Failure(format!("{said}: {}", ledger.lost_ids.join(" ")))
        };
        Case { group: "loss", name: format!("ledger {}", ledger.probe), came, said }
    };
    loss.ledgers.iter().map(case).collect()
}

fn residue(report: &Report) -> Case {
    let outstanding: Vec<String> = report
        .residue
        .effects
        .iter()
        .filter_map(|effect| match &effect.outcome {
            UndoOutcome::Outstanding { why, by_hand } => Some(format!("{}: {why}. By hand: {by_hand}", effect.object)),
            _ => None,
        })
        .collect();
    let came = match report.residue.state {
        ResidueState::Clean | ResidueState::Superseded => Came::Passed,
        ResidueState::Outstanding => Came::Error(outstanding.join("; ")),
    };
    Case { group: "residue", name: "residue".into(), came, said: report.residue.state.word().to_owned() }
}

fn check(check: &Check, group: &'static str) -> Case {
    let found = match &check.found {
        Known::Known(found) => found.clone(),
        Known::Unknown(why) => format!("not known: {why}"),
    };
    let said = format!("expected {}, found {found}", check.expected);
    let came = match check.status {
        CheckStatus::Ok => Came::Passed,
        CheckStatus::Failed if group == "preflight" => Came::Error(said.clone()),
        CheckStatus::Failed => Came::Failure(said.clone()),
        CheckStatus::Unknown | CheckStatus::NotReached => Came::Skipped(said.clone()),
    };
    Case { group, name: check.name.clone(), came, said }
}
