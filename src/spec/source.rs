//! A file that was read: its text with secrets hidden, its tree, and the place of everything in it.

use crate::spec::mask::mask;
use crate::spec::path::NodePath;
use crate::spec::tree::{Extent, Kind, Node};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// A place in a file, as editors and terminals open it: `file:line:column`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A file that was read.
#[derive(Clone)]
pub struct Source {
    file: String,
    shown: String,
    tree: Node,
}

impl fmt::Debug for Source {
    /// Only the name: the tree may hold a secret that stood in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Source {
    /// A file with its tree; `secrets` are the bytes of values that must never be shown.
    pub(crate) fn new(file: &str, text: &str, tree: Node, secrets: &[Range<usize>]) -> Self {
        Self { file: file.to_owned(), shown: mask(text, secrets), tree }
    }

    /// A file that could not be parsed.
    pub(crate) fn unparsed(file: &str, text: &str) -> Self {
        Self::new(file, text, Node { at: Extent { line: 1, column: 1, bytes: 0..0 }, kind: Kind::Null }, &[])
    }

    /// The file, as it was named.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its text, every secret in it replaced by asterisks.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Where the node at `path` stands, or the deepest node above it that exists.
    pub(crate) fn extent(&self, path: &NodePath) -> Extent {
        self.tree.locate(path).0
    }

    /// Where the key of the node at `path` stands, for what is wrong with the key itself.
    pub(crate) fn key_extent(&self, path: &NodePath) -> Extent {
        self.tree.locate_key(path).unwrap_or_else(|| self.extent(path))
    }

    /// The place of the node at `path`, for example `method[0].kill-primary.target`; `None` when the file does not name
    /// it and a default stands for it.
    pub fn locate(&self, path: &str) -> Option<Place> {
        let path = NodePath::parse(path);
        let (extent, depth) = self.tree.locate(&path);
        (depth == path.steps().len()).then(|| self.place(&extent))
    }

    /// Says where a value comes from, for a sentence such as "raise guards.lag in production.yaml:14:9" or, when the file
    /// does not name it, "raise guards.lag (not set, so its default holds) in production.yaml".
    pub fn pointer(&self, path: &str) -> String {
        match self.locate(path) {
            Some(place) => format!("{path} in {place}"),
            None => format!("{path} (not set, so its default holds) in {}", self.file),
        }
    }

    pub(crate) fn place(&self, extent: &Extent) -> Place {
        Place { file: self.file.clone(), line: extent.line, column: extent.column }
    }
}

/// The byte at which a line and a column (both from 1, columns in characters) begin; the end of the text when beyond it.
/// Lines end as YAML ends them: by a line feed, a carriage return, or both.
pub(crate) fn offset_of(text: &str, line: u32, column: u32) -> usize {
    let (mut at_line, mut at_column) = (1, 1);
    let mut chars = text.char_indices().peekable();
    while let Some((offset, c)) = chars.next() {
        if (at_line, at_column) >= (line, column) {
            return offset;
        }
        match c {
            '\r' if chars.peek().is_some_and(|(_, next)| *next == '\n') => {}
            '\n' | '\r' => (at_line, at_column) = (at_line + 1, 1),
            _ => at_column += 1,
        }
    }
    text.len()
}

/// The line and column (both from 1, columns in characters) of a byte.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (u32, u32) {
    let (mut line, mut column) = (1, 1);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if at >= offset {
            break;
        }
        match c {
            '\r' if chars.peek().is_some_and(|(_, next)| *next == '\n') => {}
            '\n' | '\r' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
    }
    (line, column)
}
