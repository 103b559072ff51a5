//! What no schema can say about one file: that its values make sense, alone and beside each other.

mod estate;
mod experiment;
mod method;

pub(crate) use estate::estate;
pub(crate) use experiment::{experiment, runbook};

use crate::spec::path::NodePath;
use crate::spec::problem::{Code, Problem};
use crate::spec::scalar::Span;
use crate::spec::source::Source;
use std::sync::Arc;

/// Collects what is wrong with one file.
pub(crate) struct Finder<'a> {
    source: &'a Arc<Source>,
    problems: Vec<Problem>,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(source: &'a Arc<Source>) -> Self {
        Self { source, problems: Vec::new() }
    }

    /// Tells a problem of the node at `path`.
    pub(crate) fn tell(
        &mut self,
        path: &str,
        code: Code,
        message: impl Into<String>,
        more: impl FnOnce(Problem) -> Problem,
    ) {
        self.problems.push(more(Problem::of(self.source, path, code, message)));
    }

    /// Tells a problem that is made already.
    pub(crate) fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Tells a problem of the key of the node at `path`.
    pub(crate) fn tell_key(
        &mut self,
        path: &NodePath,
        code: Code,
        message: impl Into<String>,
        more: impl FnOnce(Problem) -> Problem,
    ) {
        self.problems.push(more(Problem::of_key(self.source, path, code, message)));
    }

    /// Requires text with something in it.
    pub(crate) fn text(&mut self, path: &str, text: &str) {
        if text.trim().is_empty() {
            self.tell(path, Code::EmptyValue, format!("`{path}` is empty"), |p| {
                p.found("no text").help("say it, or remove the line")
            });
        }
    }

    /// Requires a duration within bounds, both included.
    pub(crate) fn within(&mut self, path: &str, value: Option<Span>, least: Span, most: Span) {
        if let Some(value) = value
            && !(least..=most).contains(&value)
        {
            self.tell(path, Code::Value, format!("`{path}` is out of range"), |p| {
                p.found(value.to_string()).expected(format!("from {least} to {most}"))
            });
        }
    }

    /// Requires that nothing is listed twice.
    pub(crate) fn once<'t>(&mut self, path: &str, names: impl IntoIterator<Item = &'t str>) {
        let mut seen: Vec<&str> = Vec::new();
        for (nth, name) in names.into_iter().enumerate() {
            if let Some(first) = seen.iter().position(|s| *s == name) {
                let source = self.source;
                self.tell(&format!("{path}[{nth}]"), Code::Duplicate, format!("`{name}` is listed twice"), |p| {
                    p.found("a second one").help("keep one of the two").see(
                        source,
                        &format!("{path}[{first}]"),
                        "the first is here",
                    )
                });
            }
            seen.push(name);
        }
    }

    pub(crate) fn source(&self) -> &'a Arc<Source> {
        self.source
    }

    /// What was found, in the order of the file.
    pub(crate) fn done(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|p| (p.place.line, p.place.column));
        self.problems
    }
}

/// A day.
pub(crate) const DAY: Span = Span::secs(86_400);
/// An hour.
pub(crate) const HOUR: Span = Span::secs(3_600);
/// The least time that anything is waited for or measured.
pub(crate) const BLINK: Span = Span::ms(100);

/// A sum of durations.
pub(crate) fn sum(spans: impl IntoIterator<Item = Span>) -> Span {
    Span(firedrill_core::time::Nanos(spans.into_iter().fold(0, |total, s| total.saturating_add(s.0.0))))
}
