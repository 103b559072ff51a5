//! What of a table of contents is restored, what is left out on purpose, and what the staging server must have first.

use super::archive::{Contents, Entry};
use std::collections::BTreeMap;

/// Kinds that would make the copy act like production, or that no role but a superuser may create.
const LEFT_OUT: &[(&str, &str)] = &[
    ("SUBSCRIPTION", "the copy must not pull from production"),
    ("SUBSCRIPTION TABLE", "the copy must not pull from production"),
    ("PUBLICATION", "the copy must not publish"),
    ("PUBLICATION TABLE", "the copy must not publish"),
    ("PUBLICATION TABLES IN SCHEMA", "the copy must not publish"),
    ("EVENT TRIGGER", "it would run as a superuser"),
    ("USER MAPPING", "it holds logins of other servers"),
    ("DATABASE", "the staging database is there already"),
    ("DATABASE PROPERTIES", "the staging database keeps its own settings"),
    ("EXTENSION", "made beforehand by a superuser"),
];
/// Extensions that act by themselves: neither they nor their data are restored.
const ACTING_EXTENSIONS: &[(&str, &str)] = &[("pg_cron", "cron"), ("pglogical", "pglogical"), ("pg_net", "net")];

/// Who makes extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extensions {
    /// A superuser, beforehand (a scratch).
    MadeBeforehand,
    /// The restoring role, as far as it may (a server that is there already).
    FromTheDump,
}

/// An extension the dump needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// The schema it is in; `None` when the dump does not say.
    pub schema: Option<String>,
}

/// What is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The text of a list file for `pg_restore --use-list`.
    pub list: String,
    /// How many entries it has.
    pub entries: u64,
    /// What is left out, as `3 × SUBSCRIPTION: reason`.
    pub left_out: Vec<String>,
}

/// The extensions of a dump that have to be there before it is restored. Those that act by themselves are not among them.
pub fn extensions(contents: &Contents) -> Vec<Extension> {
    let wanted = contents.entries.iter().filter(|e| e.kind == "EXTENSION" && !is_acting(&e.tag));
    wanted
        .map(|entry| Extension {
            name: entry.tag.clone(),
            schema: entry.definition.as_deref().and_then(schema_of_extension),
        })
        .collect()
}

/// `CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;`
fn schema_of_extension(definition: &str) -> Option<String> {
    let (_, after) = definition.split_once(" WITH SCHEMA ")?;
    let name = after.trim().trim_end_matches(';').trim();
    Some(match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_owned(),
    })
}

fn is_acting(extension: &str) -> bool {
    ACTING_EXTENSIONS.iter().any(|(name, _)| *name == extension)
}

/// Why an entry is left out; `None` when it is restored. `made_schemas` are there already.
fn why_left_out(entry: &Entry, extensions: Extensions, made_schemas: &[String]) -> Option<&'static str> {
    let kind = entry.kind.as_str();
    if let Some((name, _)) = ACTING_EXTENSIONS.iter().find(|(_, schema)| entry.schema == *schema) {
        return (!name.is_empty()).then_some("its extension acts by itself");
    }
    if kind == "EXTENSION" && extensions == Extensions::FromTheDump && !is_acting(&entry.tag) {
        return None;
    }
    if kind == "SCHEMA" && made_schemas.contains(&entry.tag) {
        return Some("made beforehand for an extension");
    }
    if let Some((_, why)) = LEFT_OUT.iter().find(|(left, _)| *left == kind) {
        return Some(why);
    }
    // Comments and labels on what is left out: their tag begins with its kind.
    let about = ["EXTENSION ", "EVENT TRIGGER ", "PUBLICATION ", "SUBSCRIPTION ", "DATABASE "];
    let is_about = matches!(kind, "COMMENT" | "SECURITY LABEL") && about.iter().any(|a| entry.tag.starts_with(a));
    is_about.then_some("it is about something that is left out")
}

/// Chooses what is restored.
pub fn select(contents: &Contents, extensions: Extensions, made_schemas: &[String]) -> Selection {
    use std::fmt::Write as _;
    let mut list = String::new();
    let mut entries = 0;
    let mut left_out: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for entry in &contents.entries {
        if let Some(why) = why_left_out(entry, extensions, made_schemas) {
            *left_out.entry((entry.kind.clone(), why)).or_default() += 1;
        } else {
            entries += 1;
            // pg_restore reads the number only.
            let _ = writeln!(list, "{}; {}", entry.dump_id, entry.kind);
        }
    }
    let left_out = left_out.into_iter().map(|((kind, why), count)| format!("{count} × {kind}: {why}")).collect();
    Selection { list, entries, left_out }
}

/// The encoding and the locale that the dumped database had, from its own definition.
pub fn encoding_and_locale(contents: &Contents) -> (String, Option<String>) {
    let definition = contents.entries.iter().find(|e| e.kind == "DATABASE").and_then(|e| e.definition.as_deref());
    let value = |name: &str| {
        let (_, after) = definition?.split_once(&format!(" {name} = '"))?;
        after.split_once('\'').map(|(value, _)| value.to_owned())
    };
    (value("ENCODING").unwrap_or_else(|| "UTF8".to_owned()), value("LC_COLLATE").or_else(|| value("LOCALE")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::works::restore::archive::{Compression, DataAt, Head};

    fn contents(entries: &[(&str, &str, &str, Option<&str>)]) -> Contents {
        let head = Head {
            version: (1, 14, 0),
            int_bytes: 4,
            offset_bytes: 8,
            compression: Compression::Gzip,
            created: Err(String::new()),
            database: "shop".into(),
            server_version: "15.8".into(),
            dump_version: "15.8".into(),
        };
        let entries = entries.iter().enumerate().map(|(i, (kind, schema, tag, definition))| Entry {
            dump_id: i64::try_from(i).unwrap() + 1,
            tag: (*tag).into(),
            kind: (*kind).into(),
            schema: (*schema).into(),
            owner: "app".into(),
            definition: definition.map(str::to_owned),
            data: DataAt::Nothing,
        });
        Contents { head, entries: entries.collect(), data_begin: 0 }
    }

    #[test]
    fn what_acts_like_production_is_left_out_and_said() {
        let contents = contents(&[
            ("TABLE", "public", "orders", None),
            ("SUBSCRIPTION", "", "from_prod", None),
            ("EXTENSION", "", "pg_cron", Some("CREATE EXTENSION IF NOT EXISTS pg_cron WITH SCHEMA pg_catalog;")),
            ("TABLE DATA", "cron", "job", None),
            ("COMMENT", "", "EXTENSION pg_cron", None),
            ("COMMENT", "public", "TABLE orders", None),
            ("EXTENSION", "", "pgcrypto", Some("CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA ext;\n\n\n")),
            ("SCHEMA", "", "ext", None),
        ]);
        let selection = select(&contents, Extensions::MadeBeforehand, &["ext".to_owned()]);
        assert_eq!(selection.list, "1; TABLE\n6; COMMENT\n");
        assert_eq!(selection.entries, 2);
        assert!(selection.left_out.contains(&"1 × SUBSCRIPTION: the copy must not pull from production".to_owned()));
        let wanted = extensions(&contents);
        assert_eq!(wanted, [Extension { name: "pgcrypto".into(), schema: Some("ext".into()) }]);
        let other = select(&contents, Extensions::FromTheDump, &[]);
        assert_eq!(other.list, "1; TABLE\n6; COMMENT\n7; EXTENSION\n8; SCHEMA\n");
    }

    #[test]
    fn a_newer_pg_dump_needs_a_newer_pg_restore() {
        let mut dump = contents(&[]);
        assert_eq!(dump.major_needed(), Some(15));
        dump.head.dump_version = "17.2 (Debian 17.2-1)".into();
        assert_eq!(dump.major_needed(), Some(17));
    }

    #[test]
    fn encoding_and_locale_are_the_dumped_database_s() {
        let definition = "CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'LATIN1' LOCALE_PROVIDER = libc LOCALE = 'de_DE';";
        let with = contents(&[("DATABASE", "", "shop", Some(definition))]);
        assert_eq!(encoding_and_locale(&with), ("LATIN1".to_owned(), Some("de_DE".to_owned())));
        assert_eq!(encoding_and_locale(&contents(&[])), ("UTF8".to_owned(), None));
    }
}
