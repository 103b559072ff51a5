//! Bytes → tree: everything that keeps a file from being one YAML document of sane size.

use crate::spec::path::NodePath;
use crate::spec::problem::{Code, Problem, Problems};
use crate::spec::source::{Source, line_and_column, offset_of};
use crate::spec::tree::{Extent, Kind, Node};
use serde_saphyr::Error;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use std::sync::Arc;

/// The largest file that is read. The largest estate anyone would write is far below.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// How YAML is read: one document, no merge keys, no tags, no YAML 1.1 booleans, little room for aliases.
pub(crate) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 48,
            max_nodes: 50_000,
            max_events: 200_000,
            max_aliases: 200,
            max_anchors: 200,
            max_documents: 8,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The text of a file, without a byte order mark.
pub(crate) fn text_of<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Problems> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large().in_file(file).into());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(file, bytes, error.valid_up_to()));
    let text = text.map_err(Problems::from)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn not_utf8(file: &str, bytes: &[u8], valid_up_to: usize) -> Problem {
    let problem = |at: &Extent| {
        Problem::at(Code::Encoding, at, &NodePath::default(), "the file is not UTF-8").expected("UTF-8 text")
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let top = Extent { line: 1, column: 1, bytes: 0..0 };
        return problem(&top).found("UTF-16 text").help("save it as UTF-8 in your editor").in_file(file);
    }
    let shown = String::from_utf8_lossy(bytes);
    let (line, column) = line_and_column(&shown, valid_up_to);
    let byte = bytes.get(valid_up_to).copied().unwrap_or_default();
    problem(&Extent { line, column, bytes: valid_up_to..valid_up_to })
        .found(format!("the byte 0x{byte:02x}"))
        .help("save it as UTF-8 in your editor, or convert it, for example with `iconv -f WINDOWS-1251 -t UTF-8`")
        .in_source(&Arc::new(Source::unparsed(file, &shown)))
}

/// The problem of a file beyond [`MAX_BYTES`].
pub(crate) fn too_large() -> Problem {
    Problem::whole(Code::TooLarge, "the file is larger than 1 MiB")
        .found("more than 1 MiB")
        .expected("an estate or an experiment, which take a few kilobytes")
        .help("split it, or name the file that you meant")
}

/// The tree of a text.
pub(crate) fn tree_of(file: &str, text: &str) -> Result<Node, Problems> {
    let source = || Arc::new(Source::unparsed(file, text));
    let tree: Node = serde_saphyr::from_str_with_options(text, options())
        .map_err(|e| translate(&e, text).in_source(&source()))
        .map_err(Problems::from)?;
    if matches!(tree.kind, Kind::Null) {
        return Err(Problem::whole(Code::Empty, "the file is empty")
            .found("nothing, or only comments")
            .expected("an estate (`environment: …`) or an experiment (`experiment: …`)")
            .help("`firedrill schema` prints what belongs in one; the examples are in experiments/")
            .in_source(&source())
            .into());
    }
    Ok(tree)
}

/// An error of the parser in our words. Its texts are stable enough to choose advice by, never to decide anything by.
pub(crate) fn translate(error: &Error, text: &str) -> Problem {
    let at = place(error, text);
    let problem = |code: Code, message: &str| Problem::at(code, &at, &NodePath::default(), message);
    match root_of(error) {
        Error::MultipleDocuments { .. } => problem(Code::Syntax, "the file holds several YAML documents")
            .found("a second document")
            .expected("one estate or one experiment in a file")
            .help("put what follows `---` into a file of its own"),
        Error::MergeKeyNotAllowed { .. } => problem(Code::Syntax, "merge keys (`<<`) are not taken")
            .found("`<<`")
            .expected("the keys themselves")
            .help("write them out: what a drill does should be readable in one place"),
        Error::UnsupportedTag { tag, .. } => problem(Code::Syntax, "tags are not taken")
            .found(format!("the tag `{tag}`"))
            .expected("a plain value")
            .help("remove the tag; put the value in quotes if it must be text"),
        Error::NullIntoString { .. } => problem(Code::Syntax, "there is no key before the `:`")
            .found("a value without a key")
            .expected("`key: value`")
            .help("if the line above is to go on here, put the whole value in quotes"),
        Error::UnknownAnchor { .. } => problem(Code::Syntax, "the alias refers to nothing")
            .found("an alias (`*name`) without an anchor (`&name`) before it")
            .expected("a value")
            .help("if it is text that begins with `*`, put it in quotes"),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            problem(Code::TooLarge, "the file is deeper or larger than any such file should be")
                .found("more levels, values or aliases than are read")
                .expected("at most 48 levels, 50,000 values, 200 aliases")
                .help("write out what aliases repeat, or name the file that you meant")
        }
        Error::NonFiniteFloat { value, .. } => problem(Code::Value, "the number is out of range")
            .found(format!("`{value}`"))
            .expected("a number, or text in quotes"),
        _ => syntax(error, text, &at),
    }
}

/// The error itself, out of what it was found through.
fn root_of(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => root_of(error),
        other => other,
    }
}

fn syntax(error: &Error, text: &str, at: &Extent) -> Problem {
    let full = error.without_snippet().to_string();
    let what = full.rsplit_once(" at line ").map_or(full.as_str(), |(what, _)| what);
    let line = text.get(..at.bytes.start).and_then(|t| t.rsplit(['\n', '\r']).next()).unwrap_or_default();
    let tab = what.contains("tab") || line.contains('\t');
    let advice = if tab {
        "YAML indents with spaces: replace the tab"
    } else if what.contains("mapping values are not allowed") {
        "put a value that has `: ` in it in quotes; or the line is indented deeper than its neighbours"
    } else if what.contains("':'") || what.contains("flow") {
        "is a `[` or `{` opened above and not closed?"
    } else if what.contains("quoted") || what.contains("end of stream") || what.contains("EOF") {
        "is a quote opened above and not closed?"
    } else if what.contains("did not find expected") || what.contains("indent") {
        "hold the indentation of this line against the lines above"
    } else if what.contains("expected string scalar") {
        "a key must be plain text"
    } else if what.contains("\\u{") {
        "take the character out; it is not visible in most editors"
    } else if what.contains("cannot start any token") || what.contains("character") {
        "put a value that begins with a special character in quotes"
    } else {
        "hold the line against the examples in experiments/"
    };
    let found = match text.get(at.bytes.clone()).and_then(|t| t.chars().next()) {
        _ if tab => "a tab".to_owned(),

        Some('\n' | '\r') => "the end of the line".to_owned(),
        Some(c) if c.is_control() => format!("the control character U+{:04X}", u32::from(c)),
        Some(c) => format!("`{c}`"),
        None => "the end of the file".to_owned(),
    };
    let message = if tab { "a tab in the indentation".to_owned() } else { format!("this is not YAML: {what}") };
    Problem::at(Code::Syntax, at, &NodePath::default(), message).found(found).help(advice)
}

/// Where an error stands, always inside the text.
fn place(error: &Error, text: &str) -> Extent {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    let (line, column) = error.location().map_or((1, 1), |l| (number(l.line()), number(l.column())));
    let start = offset_of(text, line, column);
    let (line, column) = line_and_column(text, start);
    let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    Extent { line, column, bytes: start..end }
}
