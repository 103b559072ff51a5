//! After a drill: its report is made from the journal, kept there, drawn, and filed. Filing never changes a verdict.

use crate::cli::exit::Exit;
use crate::cli::{Form, Setting, out};
use crate::filers::directory::{Directory, Layout};
use crate::filers::{Filer, FilerSpec};
use crate::render;
use crate::runner::{RunError, points};
use crate::store::Journal;
use firedrill_core::assemble::{self, Material, StoredChunk};
use firedrill_core::report::Report;
use std::path::Path;

/// Makes the report of a drill, files it, and then keeps it in the journal: a drill whose runner dies in between has no
/// report there, and is reported by the next one. Where it was filed comes with it.
///
/// # Errors
/// When the journal cannot be read or written.
pub(crate) async fn report(
    journal: &Journal,
    drill: &str,
    to: &[FilerSpec],
    out_dir: Option<&Path>,
) -> Result<(Report, Vec<String>), RunError> {
    points::reached("before report");
    let report = drawn(journal, drill).await?;
    let mut filers: Vec<Box<dyn Filer>> = to.iter().map(FilerSpec::build).collect();
    if let Some(dir) = out_dir {
        filers.insert(0, Box::new(Directory::new(dir, Layout::Plain)));
    }
    let filed = file(&report, &filers);
    points::reached("before keeping the report");
    keep(journal, &report).await?;
    points::reached("after report");
    Ok((report, filed))
}

/// Makes the report of a drill from its journal alone, and keeps it there.
///
/// # Errors
/// When the journal cannot be read or written.
pub(crate) async fn make(journal: &Journal, drill: &str) -> Result<Report, RunError> {
    let report = drawn(journal, drill).await?;
    keep(journal, &report).await?;
    Ok(report)
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

/// Files a report with every filer, and says where it lies. What cannot be filed is said, and kept in the journal.
fn file(report: &Report, filers: &[Box<dyn Filer>]) -> Vec<String> {
    let rendered = render::all(report);
    let mut pages = Vec::new();
    for filer in filers {
        match filer.file(report, &rendered) {
            Ok(filed) => pages.push(filed.page),
            Err(e) => out::error(&format!(
                "the report was not filed to {}: {e}. It is kept in the journal: firedrill report {}",
                filer.name(),
                report.identity.drill
            )),
        }
    }
    pages
}

/// Says how a drill ended, and gives its exit code.
pub(crate) fn tell(report: &Report, filed: &[String], setting: &Setting) -> Exit {
    match setting.form {
        Form::Json => out::text(&render::json::render(report)),
        Form::Text => {
            let beside =
                render::terminal::Beside { truth: None, filed: filed.first().map(String::as_str), width: out::width() };
            out::text(&render::terminal::closing(report, out::paint(), beside));
        }
    }
    Exit::of(report.judgement.exit_code)
}
