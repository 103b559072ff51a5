//! What is wrong with a file: typed, with its place, what was found, what was expected and what to do next.

use crate::spec::path::NodePath;
use crate::spec::source::{Place, Source};
use crate::spec::tree::Extent;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use serde::Serialize;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The kind of a problem, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The file cannot be read.
    Unreadable,
    /// It is not UTF-8.
    Encoding,
    /// It is larger or deeper than any such file is.
    TooLarge,
    /// It is not YAML.
    Syntax,
    /// It holds nothing.
    Empty,
    /// It is neither an estate nor an experiment.
    Unrecognised,
    /// A key or a name is given twice.
    Duplicate,
    /// A key is not known.
    UnknownKey,
    /// A key is missing.
    MissingKey,
    /// A word is not among those that may stand there.
    UnknownWord,
    /// A value has the wrong type.
    WrongType,
    /// A key has no value.
    EmptyValue,
    /// A value is out of range, or cannot be read as what it should be.
    Value,
    /// A secret stands in the file.
    InlineSecret,
    /// It is known and not built yet.
    NotBuilt,
    /// A name refers to nothing.
    UnknownName,
    /// A name refers to a thing of the wrong kind.
    WrongKind,
    /// The estate does not allow it.
    NotAllowed,
    /// Two values contradict each other.
    Contradiction,
    /// A schedule can never fire, or not be read.
    Schedule,
}

/// Another place that has to do with a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Related {
    /// Where.
    pub place: Place,
    /// What is there.
    pub label: String,
    #[serde(skip)]
    bytes: Range<usize>,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// Where.
    pub place: Place,
    /// Which node, as `recover.deadline`; empty for the whole file.
    pub path: String,
    /// One sentence: what is wrong.
    pub message: String,
    /// What stands there.
    pub found: Option<String>,
    /// What should.
    pub expected: Option<String>,
    /// The known name that is most like what was found.
    pub nearest: Option<String>,
    /// What to do next.
    pub help: Option<String>,
    /// Other places that have to do with it.
    pub related: Vec<Related>,
    #[serde(skip)]
    bytes: Range<usize>,
    #[serde(skip)]
    source: Option<Arc<Source>>,
}

impl Problem {
    /// A problem at a place of a file whose source is given later, by [`Problem::in_source`].
    pub(crate) fn at(code: Code, extent: &Extent, path: &NodePath, message: impl Into<String>) -> Self {
        Self {
            code,
            place: Place { file: String::new(), line: extent.line, column: extent.column },
            path: clean(path.to_string()),
            message: clean(message.into()),
            found: None,
            expected: None,
            nearest: None,
            help: None,
            related: Vec::new(),
            bytes: extent.bytes.clone(),
            source: None,
        }
    }

    /// A problem of the file as a whole.
    pub(crate) fn whole(code: Code, message: impl Into<String>) -> Self {
        let extent = Extent { line: 1, column: 1, bytes: 0..0 };
        Self::at(code, &extent, &NodePath::default(), message)
    }

    /// A problem of the node at `path` of a source, or of what stands above it when it is not there.
    pub(crate) fn of(source: &Arc<Source>, path: &str, code: Code, message: impl Into<String>) -> Self {
        let path = NodePath::parse(path);
        Self::at(code, &source.extent(&path), &path, message).in_source(source)
    }

    /// A problem of the key of the node at `path`.
    pub(crate) fn of_key(source: &Arc<Source>, path: &NodePath, code: Code, message: impl Into<String>) -> Self {
        Self::at(code, &source.key_extent(path), path, message).in_source(source)
    }

    #[must_use]
    pub(crate) fn in_source(mut self, source: &Arc<Source>) -> Self {
        source.file().clone_into(&mut self.place.file);
        for related in &mut self.related {
            if related.place.file.is_empty() {
                source.file().clone_into(&mut related.place.file);
            }
        }
        self.source = Some(Arc::clone(source));
        self
    }

    #[must_use]
    pub(crate) fn in_file(self, file: &str) -> Self {
        self.in_source(&Arc::new(Source::unparsed(file, "")))
    }

    #[must_use]
    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(clean(found.into()));
        self
    }

    #[must_use]
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(clean(expected.into()));
        self
    }

    #[must_use]
    pub(crate) fn nearest(mut self, nearest: Option<String>) -> Self {
        self.nearest = nearest.map(clean);
        self
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(clean(help.into()));
        self
    }

    /// Another place of the same file.
    #[must_use]
    pub(crate) fn also(mut self, extent: &Extent, label: impl Into<String>) -> Self {
        let place = Place { file: self.place.file.clone(), line: extent.line, column: extent.column };
        self.related.push(Related { place, label: clean(label.into()), bytes: extent.bytes.clone() });
        self
    }

    /// A node of any source, this file's or another's.
    #[must_use]
    pub(crate) fn see(mut self, source: &Source, path: &str, label: impl Into<String>) -> Self {
        let extent = source.extent(&NodePath::parse(path));
        self.related.push(Related { place: source.place(&extent), label: clean(label.into()), bytes: extent.bytes });
        self
    }

    fn label(&self) -> String {
        match (&self.found, &self.nearest) {
            (_, Some(near)) => format!("did you mean `{near}`?"),
            (Some(found), None) => format!("found {found}"),
            (None, None) => "here".to_owned(),
        }
    }

    fn advice(&self) -> Option<String> {
        // Without a text there is nothing to underline, so what was found is said here.
        let textless = self.source.as_ref().is_none_or(|s| s.shown().is_empty());
        let found = self.found.iter().filter(|_| textless).map(|found| format!("found {found}"));
        let elsewhere = self.related.iter().filter(|r| r.place.file != self.place.file);
        let lines: Vec<String> = found
            .chain(self.expected.iter().map(|expected| format!("expected {expected}")))
            .chain(self.help.clone())
            .chain(elsewhere.map(|r| format!("{} ({})", r.label, r.place)))
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// As text for people, with the lines of the file around it.
    pub fn render(&self, look: Look) -> String {
        let theme = match look {
            Look::Plain => GraphicalTheme::unicode_nocolor(),
            Look::Colour => GraphicalTheme::unicode(),
        };
        let handler =
            GraphicalReportHandler::new_themed(theme).with_links(false).with_width(100).with_break_words(false);
        let mut text = String::new();
        match handler.render_report(&mut text, self) {
            Ok(()) => text,
            Err(fmt::Error) => format!("{self}\n"),
        }
    }
}

/// Text without control characters: what stands in a file must not steer the terminal that shows it.
fn clean(text: String) -> String {
    let steers = |c: char| c.is_control() && c != '\n';
    if text.contains(steers) { text.replace(steers, "\u{fffd}") } else { text }
}

/// How text for people looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Without colours: not a terminal, or `NO_COLOR`.
    Plain,
    /// With colours.
    Colour,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.advice().map(|text| Box::new(text) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_deref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let source = self.source.as_ref()?;
        let first_line = |bytes: &Range<usize>| {
            let text = source.shown().get(bytes.clone()).unwrap_or_default();
            text.find(['\n', '\r']).unwrap_or(text.len())
        };
        let main = LabeledSpan::new_primary_with_span(Some(self.label()), (self.bytes.start, first_line(&self.bytes)));
        let others = self
            .related
            .iter()
            .filter(|r| r.place.file == self.place.file)
            .map(move |r| LabeledSpan::new(Some(r.label.clone()), r.bytes.start, first_line(&r.bytes)));
        Some(Box::new(std::iter::once(main).chain(others)))
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let contents = self.shown().read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.file().to_owned(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}

/// All that is wrong, in the order of the files.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// As text for people.
    pub fn render(&self, look: Look) -> String {
        self.0.iter().map(|p| p.render(look)).collect::<Vec<_>>().join("\n")
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.0.iter().enumerate() {
            let gap = if nth == 0 { "" } else { "\n" };
            write!(f, "{gap}{}: {}", problem.place, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
