//! A staging server that is there already: where it is, what is in it, and whose it is. Read only.

use crate::targets::quote::said;
use firedrill_core::time::Known;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::str::FromStr;
use url::Url;

/// The setting on a database that marks it as staging, outside its data.
pub const MARKER: &str = "firedrill.staging";
/// What the database's comment ends with while a drill holds it. A comment is outside the data, and an ordinary owner may
/// write it; a setting of ours he may not, since PostgreSQL 15.
const HELD_BEFORE: &str = "[held by firedrill drill ";
const HELD_AFTER: &str = "]";

/// A database's comment, and the drill that holds the database by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The comment without the mark.
    pub comment: String,
    /// The drill.
    pub by: Option<String>,
}

impl Held {
    /// Reads a comment.
    pub fn parse(comment: &str) -> Self {
        let marked = comment.strip_suffix(HELD_AFTER).and_then(|c| c.rsplit_once(HELD_BEFORE));
        match marked {
            Some((before, drill)) => Self { comment: before.trim_end().to_owned(), by: Some(drill.to_owned()) },
            None => Self { comment: comment.to_owned(), by: None },
        }
    }

    /// The comment as it is written.
    pub fn write(&self) -> String {
        match &self.by {
            None => self.comment.clone(),
            Some(drill) if self.comment.is_empty() => format!("{HELD_BEFORE}{drill}{HELD_AFTER}"),
            Some(drill) => format!("{} {HELD_BEFORE}{drill}{HELD_AFTER}", self.comment),
        }
    }
}

/// Which drill holds the current database.
///
/// # Errors
/// What the server said.
pub async fn held(connection: &mut PgConnection) -> Result<Held, String> {
    let sql = "select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()";
    let comment = sqlx::query_scalar::<_, Option<String>>(sql).fetch_one(connection).await.map_err(|e| said(&e))?;
    Ok(Held::parse(comment.as_deref().unwrap_or_default()))
}

/// What the estate says of restoring here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// `restore-backup` is in its `allow`.
    Allowed,
    /// It is not.
    NotAllowed,
}

/// A staging server, and what it is held against.
#[derive(Clone, Debug)]
pub struct StagingServer {
    /// A connection URL to the empty database.
    pub url: SecretString,
    /// What `firedrill.staging` must be set to on that database.
    pub marker: String,
    /// What the estate says.
    pub permission: Permission,
    /// The connection URL of the target whose data the backups are.
    pub production: Known<SecretString>,
    /// The system identifier of that target's server.
    pub source_system_identifier: Known<String>,
}

/// A URL, taken apart. Its password is kept apart from everything that is ever shown.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// `host:port/database`, as the URL names them.
    pub place: String,
    /// The URL without the password, as libpq reads it.
    pub bare: String,
}

impl Login {
    /// Takes a `postgres://` URL apart.
    ///
    /// # Errors
    /// A sentence without any part of the URL in it: it may be nothing but a secret.
    pub fn parse(url: &SecretString) -> Result<Self, String> {
        let expected = "expected postgres://user:password@host:port/database";
        let mut url =
            Url::parse(url.expose_secret()).map_err(|e| format!("the URL cannot be read ({e}); {expected}"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(format!("the URL is not one of PostgreSQL; {expected}"));
        }
        let mut password = url.password().map(decoded).unwrap_or_default();
        let mut host = url.host_str().map(decoded).unwrap_or_default();
        let mut port = url.port().unwrap_or(5432).to_string();
        let mut database = decoded(url.path().trim_start_matches('/'));
        let mut user = decoded(url.username());
        let mut kept = Vec::new();
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "password" => password = value.into_owned(),
                other => {
                    match other {
                        "host" | "hostaddr" => host = value.to_string(),
                        "port" => port = value.to_string(),
                        "dbname" => database = value.to_string(),
                        "user" => user = value.to_string(),
                        _ => {}
                    }
                    kept.push((name.into_owned(), value.into_owned()));
                }
            }
        }
        if user.is_empty() || database.is_empty() {
            return Err(format!("the URL names no user or no database; {expected}"));
        }
        let _ = url.set_password(None);
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
        let place = format!("{}:{port}/{database}", host.to_ascii_lowercase());
        Ok(Self { user, password: SecretString::from(password), place, bare: url.to_string() })
    }
}

/// `%41` is `A`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok())).flatten();
        if let Some(byte) = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Everything of users in the database: relations, functions, types, schemas beyond `public`, large objects, foreign
/// servers. What belongs to an extension is not counted; of extensions, only those that staging may have beforehand are free.
pub const CONTENT: &str = "
    with user_schemas as (
        select oid, nspname from pg_namespace
        where nspname not like 'pg\\_%' and nspname <> 'information_schema'
    ), members as (select classid, objid from pg_depend where deptype = 'e')
    select what from (
        select 'schema ' || nspname as what from user_schemas n where nspname <> 'public'
            and not exists (select from members where classid = 'pg_namespace'::regclass and objid = n.oid)
        union all select 'relation ' || c.oid::regclass from pg_class c join user_schemas n on n.oid = c.relnamespace
            where not exists (select from members where classid = 'pg_class'::regclass and objid = c.oid)
            and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
        union all select 'function ' || p.oid::regprocedure from pg_proc p join user_schemas n on n.oid = p.pronamespace
            where not exists (select from members where classid = 'pg_proc'::regclass and objid = p.oid)
        union all select 'type ' || t.oid::regtype from pg_type t join user_schemas n on n.oid = t.typnamespace
            where not exists (select from members where classid = 'pg_type'::regclass and objid = t.oid)
            and t.typrelid = 0 and t.typelem = 0 and t.typtype in ('e', 'd', 'b', 'r')
        union all select 'extension ' || extname from pg_extension
            where extname not in ('plpgsql', 'amcheck', 'pg_stat_statements')
        union all select 'foreign server ' || srvname from pg_foreign_server
        union all select 'large object ' || oid from pg_largeobject_metadata
    ) as content order by what limit 6";

/// A login to staging.
///
/// # Errors
/// When the URL cannot be read; it is not quoted.
pub fn login(server: &StagingServer) -> Result<PgConnectOptions, String> {
    // Parsed by sqlx for its own use; its error could quote the URL, so it is not passed on.
    PgConnectOptions::from_str(server.url.expose_secret())
        .map(|options| options.application_name("firedrill"))
        .map_err(|_| "the URL of staging cannot be read".to_owned())
}

/// Connects to staging.
///
/// # Errors
/// What kept firedrill out, without the URL.
pub async fn connect(server: &StagingServer) -> Result<PgConnection, String> {
    PgConnection::connect_with(&login(server)?)
        .await
        .map_err(|e| format!("staging does not let firedrill in: {}", said(&e)))
}

/// A setting on the current database itself, for all roles; `None` when it has none.
///
/// # Errors
/// What the server said.
pub async fn database_setting(connection: &mut PgConnection, name: &str) -> Result<Option<String>, String> {
    let sql =
        "select substr(setting, length($1) + 2) from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase,
        unnest(s.setconfig) as setting
        where d.datname = current_database() and s.setrole = 0 and setting like replace($1, '_', '\\_') || '=%'";
    sqlx::query_scalar::<_, String>(sql).bind(name).fetch_optional(connection).await.map_err(|e| said(&e))
}

/// What the sessions of a restore are called on the server, within the 63 bytes it keeps.
pub fn application_name(drill: &str) -> String {
    format!("firedrill {drill}").chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_its_password_is_still_the_same_place() {
        let url = SecretString::from("postgres://copy:a%40b@staging.example:6432/copy?sslmode=require&password=x");
        let login = Login::parse(&url).unwrap();
        assert_eq!(login.bare, "postgres://copy@staging.example:6432/copy?sslmode=require");
        assert_eq!((login.place.as_str(), login.password.expose_secret()), ("staging.example:6432/copy", "x"));
    }

    #[test]
    fn a_comment_is_kept_beside_the_mark() {
        for comment in ["", "the copy for drills", "odd [held by nobody]"] {
            let held = Held { comment: comment.to_owned(), by: Some("0193-a".to_owned()) };
            assert_eq!(Held::parse(&held.write()), held);
            let free = Held { comment: comment.to_owned(), by: None };
            assert_eq!((Held::parse(&free.write()), free.write().as_str()), (free, comment));
        }
    }
}
