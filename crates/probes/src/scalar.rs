//! The small values of the YAML: names, durations, sizes, secrets by reference. Parsed once, at the edge.

use firedrill_core::time::Nanos;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::borrow::Cow;
use std::fmt;

/// A name of ours: of an experiment, a target, a probe. Lower-case letters, digits and dashes, at most 63 characters,
/// beginning and ending with a letter or digit, so that it fits in a label, a file name and a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Parses a name.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let edge = |c: Option<char>| c.is_some_and(|c| c != '-');
        if text.len() > 63 {
            return Err(format!("`{text}` has {} characters; a name has at most 63", text.len()));
        }
        if !text.chars().all(inner) || !edge(text.chars().next()) || !edge(text.chars().last()) {
            return Err(format!(
                "`{text}` is not a name: lower-case letters, digits and dashes, beginning and ending with a letter or digit"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
            "description": "Lower-case letters, digits and dashes, at most 63 characters." })
    }
}

/// What a duration looks like, for editors; [`Span::parse`] decides.
const DURATION: &str = "^(0|( *[0-9]+(\\.[0-9]+)? *(nsec|ns|usec|us|µs|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|\
                        hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y) *)+)$";

/// A length of time as people write it: `30s`, `5m`, `1h 30m`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Nanos);

impl Span {
    /// `ms` milliseconds.
    pub const fn ms(ms: u64) -> Self {
        Self(Nanos::from_ms(ms))
    }
    /// `s` seconds.
    pub const fn secs(s: u64) -> Self {
        Self(Nanos::from_secs(s))
    }
    /// For timers.
    pub fn duration(self) -> std::time::Duration {
        self.0.into()
    }
}

impl Span {
    /// The longest time that may be asked for: 100 years, so that sums of times never overflow.
    pub const MAX: Self = Self::secs(100 * 366 * 86_400);

    /// Parses a length of time.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text).map_err(|e| {
            format!("`{text}` is not a duration ({e}); expected for example `250ms`, `30s`, `5m` or `1h 30m`")
        })?;
        let span = Self(duration.into());
        if span > Self::MAX { Err(format!("`{text}` is longer than 100 years")) } else { Ok(span) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.duration()).fmt(f)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": DURATION, "description": "A duration such as 250ms, 30s, 5m or 1h 30m.",
            "examples": ["250ms", "30s", "5m", "1h 30m"] })
    }
}

/// A number of bytes as people write it: `16MiB`, `2GB`, `512KiB`, `0B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const UNITS: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl Bytes {
    /// Parses a size.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not a size; expected for example `16MiB`, `2GB` or `0B`");
        let (unit, factor) = UNITS.iter().find(|(u, _)| text.ends_with(u)).ok_or_else(expected)?;
        let number = text.strip_suffix(unit).unwrap_or_default().trim();
        number.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor)).map(Self).ok_or_else(expected)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match binary.iter().find(|(_, n)| self.0 >= *n && self.0.is_multiple_of(*n)) {
            Some((unit, n)) => write!(f, "{}{unit}", self.0 / n),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ *(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$",
            "examples": ["16MiB", "2GB"] })
    }
}

/// Where a secret is kept. Files hold references only; the value is read when it is needed and never printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// The name of an environment variable.
    Env(String),
    /// The path of a file; a trailing newline is not part of the secret.
    File(String),
    /// A Kubernetes Secret as `namespace/name` (its key `url`) or `namespace/name#key`.
    Secret(String),
}
