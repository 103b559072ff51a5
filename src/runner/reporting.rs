//! After a drill: its report is made from the journal, filed, and kept there. Filing never changes a verdict.

use crate::filers::{Filer, FilerSpec};
use crate::render;
use crate::runner::{RunError, points};
use crate::spec::load;
use crate::store::Journal;
use firedrill_core::assemble::{self, Material, StoredChunk};
use firedrill_core::drill::Drill;
use firedrill_core::report::Report;

/// A report, and what became of it.
#[derive(Debug)]
pub struct Reported {
    /// The report.
    pub report: Report,
    /// The page of each place where it was filed.
    pub filed: Vec<String>,
    /// Where it was not filed, and why, in sentences. It is kept in the journal all the same.
    pub unfiled: Vec<String>,
}

/// Makes the report of a drill, files it, and then keeps it in the journal: a drill whose runner dies in between has no
/// report there, and is reported by the next one.
///
/// # Errors
/// When the journal cannot be read or written.
pub async fn report(journal: &Journal, drill: &str, filers: &[Box<dyn Filer>]) -> Result<Reported, RunError> {
    points::reached("before report");
    let report = drawn(journal, drill).await?;
    let (filed, unfiled) = file(&report, filers);
    points::reached("before keeping the report");
    keep(journal, &report).await?;
    points::reached("after report");
    Ok(Reported { report, filed, unfiled })
}

/// Makes the report of a drill from its journal alone, and keeps it there.
///
/// # Errors
/// When the journal cannot be read or written.
pub async fn remake(journal: &Journal, drill: &str) -> Result<Report, RunError> {
    let report = drawn(journal, drill).await?;
    keep(journal, &report).await?;
    Ok(report)
}

/// Where the estate of a drill wants reports, from the journal's own copy of it.
pub fn estate_filers(drill: &Drill) -> Vec<FilerSpec> {
    let source = drill.opening.as_ref().and_then(|o| o.sources.iter().find(|s| s.role == "estate"));
    let parsed = source.and_then(|s| load::parse_estate(&s.path, s.text.as_bytes()).ok());
    parsed.map(|e| e.value.file).unwrap_or_default()
}

async fn keep(journal: &Journal, report: &Report) -> Result<(), RunError> {
    let verdict = report.judgement.verdict.word();
    Ok(journal.put_report(&report.identity.drill, verdict, &render::json::render(report)).await?)
}

async fn drawn(journal: &Journal, drill: &str) -> Result<Report, RunError> {
    let (records, chain_head) = journal.records(drill).await?;
    let chunks = journal.samples(drill).await?;
    let before = journal.report_before(drill).await?;
    let chunks =
        chunks.into_iter().map(|c| StoredChunk { epoch: c.epoch, stream: c.stream, chunk: c.chunk, bytes: c.bytes });
    let material = Material { records: &records, chunks: chunks.collect(), chain_head, before };
    Ok(assemble::report(&material))
}

/// Files a report with every filer: the pages, and what could not be filed.
fn file(report: &Report, filers: &[Box<dyn Filer>]) -> (Vec<String>, Vec<String>) {
    let rendered = render::all(report);
    let (mut pages, mut unfiled) = (Vec::new(), Vec::new());
    for filer in filers {
        match filer.file(report, &rendered) {
            Ok(filed) => pages.push(filed.page),
            Err(e) => unfiled.push(format!(
                "the report was not filed to {}: {e}. It is kept in the journal: firedrill report {}",
                filer.name(),
                report.identity.drill
            )),
        }
    }
    (pages, unfiled)
}
