//! A YAML document as a tree in which every node knows its line and column, so that all that is wrong can be told at once.

use crate::spec::path::{NodePath, Step};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::fmt;
use std::ops::Range;

/// Where a node or a key stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The line, from 1.
    pub(crate) line: u32,
    /// The column, from 1, in characters.
    pub(crate) column: u32,
    /// The bytes. Of a mapping or a list in block style only the place where it begins.
    pub(crate) bytes: Range<usize>,
}

impl Extent {
    fn of(location: Location) -> Self {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        let span = location.span();
        let start = span.byte_offset().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        let len = span.byte_len().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        Self {
            line: number(location.line()),
            column: number(location.column()),
            bytes: start..start.saturating_add(len),
        }
    }
}

/// A node of the document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it stands; for an alias, where it is used.
    pub(crate) at: Extent,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Nothing: `key:` without a value, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the document, repeated keys included.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) key_at: Extent,
    /// The value.
    pub(crate) value: Node,
}

impl Node {
    /// The value of a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|e| e.key == key),
            _ => None,
        }
    }

    /// The keys of a mapping; none of anything else.
    pub(crate) fn keys(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().map(|e| e.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// The place of the node at `path`, or of the deepest node above it that exists, and how many steps were found.
    /// An empty value and a block collection stand where their key stands.
    pub(crate) fn locate(&self, path: &NodePath) -> (Extent, usize) {
        let mut node = self;
        let mut at = self.first();
        for (depth, step) in path.steps().iter().enumerate() {
            let found = match (step, &node.kind) {
                (Step::Key(key), _) => node.get(key).map(|e| (&e.value, e.value.shown(&e.key_at))),
                (Step::Index(index), Kind::List(items)) => items.get(*index).map(|n| (n, n.first())),
                _ => None,
            };
            let Some((next, place)) = found else { return (at, depth) };
            (node, at) = (next, place);
        }
        (at, path.steps().len())
    }

    /// The place of the key of the node at `path`.
    pub(crate) fn locate_key(&self, path: &NodePath) -> Option<Extent> {
        let (last, above) = path.steps().split_last()?;
        let mut node = self;
        for step in above {
            node = match (step, &node.kind) {
                (Step::Key(key), _) => &node.get(key)?.value,
                (Step::Index(index), Kind::List(items)) => items.get(*index)?,
                _ => return None,
            };
        }
        match last {
            Step::Key(key) => node.get(key).map(|e| e.key_at.clone()),
            Step::Index(_) => None,
        }
    }

    fn shown(&self, key_at: &Extent) -> Extent {
        match self.kind {
            Kind::Null | Kind::List(_) | Kind::Map(_) => key_at.clone(),
            _ => self.at.clone(),
        }
    }

    /// Where it begins, with something to underline: the first key of a mapping, the first item of a list.
    pub(crate) fn first(&self) -> Extent {
        match &self.kind {
            Kind::Map(entries) if self.at.bytes.is_empty() => {
                entries.first().map_or_else(|| self.at.clone(), |e| e.key_at.clone())
            }
            Kind::List(items) if self.at.bytes.is_empty() => items.first().map_or_else(|| self.at.clone(), Self::first),
            _ => self.at.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(d)?;
        Ok(Self { at: Extent::of(spanned.referenced), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }
    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Int(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Int(value.into()))
    }
    fn visit_i128<E>(self, value: i128) -> Result<Kind, E> {
        Ok(Kind::Int(value))
    }
    fn visit_u128<E>(self, value: u128) -> Result<Kind, E> {
        Ok(i128::try_from(value).map_or(Kind::Float(value as f64), Kind::Int))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Kind::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = items.next_entry::<Spanned<String>, Node>()? {
            map.push(Entry { key_at: Extent::of(key.referenced), key: key.value, value });
        }
        Ok(Kind::Map(map))
    }
}
