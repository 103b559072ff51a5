//! After a drill, for people: where its report lies, and how it ended.

use crate::cli::exit::Exit;
use crate::cli::{Form, Setting, out};
use crate::filers::directory::{Directory, Layout};
use crate::filers::{Filer, FilerSpec};
use crate::render;
use crate::runner::{RunError, reporting};
use crate::store::Journal;
use firedrill_core::report::Report;
use std::path::Path;

/// Reports a drill, and says what could not be filed. Where it was filed comes with it.
///
/// # Errors
/// When the journal cannot be read or written.
pub(crate) async fn report(
    journal: &Journal,
    drill: &str,
    to: &[FilerSpec],
    out_dir: Option<&Path>,
) -> Result<(Report, Vec<String>), RunError> {
    let reported = reporting::report(journal, drill, &filers(to, out_dir)).await?;
    reported.unfiled.iter().for_each(|why| out::error(why));
    Ok((reported.report, reported.filed))
}

/// The filers of an estate, after a directory that was asked for besides.
pub(crate) fn filers(to: &[FilerSpec], out_dir: Option<&Path>) -> Vec<Box<dyn Filer>> {
    let besides = out_dir.map(|dir| Box::new(Directory::new(dir, Layout::Plain)) as Box<dyn Filer>);
    besides.into_iter().chain(to.iter().map(FilerSpec::build)).collect()
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
