//! What marks the primary among the members: a label, a query of the estate's own, or repmgr's record of its nodes.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap as _};
use std::borrow::Cow;
use std::fmt;

/// What marks the primary. Whatever it is, the marked member must say over SQL that it is not in recovery, and be the only
/// one that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrimaryRule {
    /// A label selector that, among the members, only the primary matches.
    Label(String),
    /// A query that every member is asked, read-only: one row with one boolean, true on the primary alone.
    Sql(String),
    /// The database in which repmgr keeps `repmgr.show_nodes`. Every member is asked for the active primary there, by its
    /// node's name, which is the pod's; members that name different ones are a conflict.
    Repmgr(String),
}

impl PrimaryRule {
    /// What the rule is called in a sentence: `by label`.
    pub fn called(&self) -> &'static str {
        match self {
            Self::Label(_) => "label",
            Self::Sql(_) => "the rule's query",
            Self::Repmgr(_) => "repmgr.show_nodes",
        }
    }
}

impl Serialize for PrimaryRule {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (key, text) = match self {
            Self::Label(selector) => return s.serialize_str(selector),
            Self::Sql(query) => ("sql", query),
            Self::Repmgr(database) => ("repmgr", database),
        };
        let mut map = s.serialize_map(Some(1))?;
        map.serialize_entry(key, text)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for PrimaryRule {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Rule;
        impl<'de> Visitor<'de> for Rule {
            type Value = PrimaryRule;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a label selector, `sql: …` or `repmgr: …`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PrimaryRule, E> {
                Ok(PrimaryRule::Label(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PrimaryRule, A::Error> {
                let Some((key, text)) = map.next_entry::<String, String>()? else {
                    return Err(A::Error::custom("no rule; expected `sql: …` or `repmgr: …`"));
                };
                if map.next_key::<String>()?.is_some() {
                    return Err(A::Error::custom("more than one rule"));
                }
                match key.as_str() {
                    "sql" => Ok(PrimaryRule::Sql(text)),
                    "repmgr" => Ok(PrimaryRule::Repmgr(text)),
                    _ => Err(A::Error::unknown_variant(&key, &["sql", "repmgr"])),
                }
            }
        }
        d.deserialize_any(Rule)
    }
}

impl JsonSchema for PrimaryRule {
    fn schema_name() -> Cow<'static, str> {
        "PrimaryRule".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let rule = |key: &str, description: &str| {
            json_schema!({ "type": "object", "additionalProperties": false, "required": [key],
                "properties": { key: { "type": "string", "description": description } } })
        };
        json_schema!({
            "description": "What marks the primary among the members.",
            "oneOf": [
                { "type": "string", "description": "A label selector that only the primary matches." },
                rule("sql", "A query that every member is asked: one boolean, true on the primary alone."),
                rule("repmgr", "The database in which repmgr keeps its record of nodes."),
            ],
        })
    }
}
