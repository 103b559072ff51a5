//! Staging is made ready: the scratch's server started, its role, database and extensions made.

use super::archive::Contents;
use super::fetch::free_bytes;
use super::toc::{self, Extension, Extensions, Selection};
use crate::scratch::binaries::Binaries;
use crate::scratch::handle::{DATABASE, OWNER, SUPERUSER, Scratch, ScratchError, ServerPlan, random_secret};
use crate::spec::estate::Tuning;
use crate::targets::quote::{identifier, literal, said};
use firedrill_core::restore::Staged;
use firedrill_core::time::Known;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Row};

/// Where a backup is restored into.
#[derive(Clone, Debug)]
pub struct Destination {
    /// As the role that will own everything.
    pub login: PgConnectOptions,
    /// As a superuser, where there is one: a scratch.
    pub superuser: Option<PgConnectOptions>,
    /// A connection string for `pg_restore`, without the password.
    pub connection: String,
    /// The password of the role.
    pub password: SecretString,
    /// The same for the superuser, for `pg_amcheck`.
    pub superuser_connection: Option<(String, SecretString)>,
    /// What of the dump is restored.
    pub selection: Selection,
}

/// Why staging is not ready.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The scratch.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The staging server refused a statement.
    #[error("the staging server refused to {doing}: {why}")]
    Sql {
        /// What was attempted.
        doing: String,
        /// What it said.
        why: String,
    },
    /// Something the dump needs is not installed with the staging server.
    #[error(
        "the dump needs the extension {name}, which cannot be made here ({why}): install it on the staging machine"
    )]
    Extension {
        /// Its name.
        name: String,
        /// What the server said.
        why: String,
    },
    /// Not enough room.
    #[error("the staging disk has {free} bytes free, and twice the estimate, {needed}, are needed")]
    NoRoom {
        /// What is free.
        free: u64,
        /// What is needed.
        needed: u64,
    },
}

fn sql_error(doing: &str) -> impl Fn(sqlx::Error) -> StageError {
    let doing = doing.to_owned();
    move |error| StageError::Sql { doing: doing.clone(), why: said(&error) }
}

/// Starts a scratch's server and makes it ready for this dump.
///
/// # Errors
/// See [`StageError`]. None of them says anything of the backup.
pub async fn scratch(
    scratch: &mut Scratch,
    binaries: &Binaries,
    tuning: Tuning,
    contents: &Contents,
    data_bytes: u64,
) -> Result<(Destination, Staged), StageError> {
    let free = free_bytes(scratch.directory())
        .map_err(|e| StageError::Sql { doing: "look at the disk".to_owned(), why: e.to_string() })?;
    let needed = data_bytes.saturating_mul(2);
    if free < needed {
        return Err(StageError::NoRoom { free, needed });
    }
    let (encoding, locale) = toc::encoding_and_locale(contents);
    let settings = settings(tuning, free);
    let plan =
        ServerPlan { binaries: binaries.directory.clone(), encoding: "UTF8".to_owned(), settings: settings.clone() };
    let server = scratch.start_server(&plan).await?;
    let password =
        random_secret().map_err(|e| StageError::Sql { doing: "make a password".into(), why: e.to_string() })?;
    let superuser = |database: &str| server.login(SUPERUSER, server.superuser_password(), database);
    let mut admin = connect(&superuser("postgres")).await?;
    let mut notes = vec!["owners and privileges of the dump are not restored: one role owns the copy".to_owned()];
    run(
        &mut admin,
        "make the owner",
        &format!("create role {OWNER} login nosuperuser password {}", literal(password.expose_secret())),
    )
    .await?;
    make_database(&mut admin, &encoding, locale.as_deref(), &mut notes).await?;
    let (version, identifier) = identity(&mut admin).await?;
    drop(admin.close().await);
    let mut admin = connect(&superuser(DATABASE)).await?;
    let made_schemas = make_extensions(&mut admin, &toc::extensions(contents)).await?;
    drop(admin.close().await);
    let host = server.socket_directory().display().to_string();
    let connection =
        |user: &str| format!("host={} port={} user={user} dbname={DATABASE}", conninfo_value(&host), server.port());
    let staged = Staged {
        what: "scratch PostgreSQL, reached by a Unix socket only, destroyed afterwards".to_owned(),
        server_version: version,
        system_identifier: Known::Known(identifier),
        settings: settings.iter().map(|(name, value)| format!("{name} = {value}")).collect(),
        free_bytes: Known::Known(free),
        notes,
    };
    let destination = Destination {
        login: server.login(OWNER, &password, DATABASE),
        superuser: Some(superuser(DATABASE)),
        connection: connection(OWNER),
        password,
        superuser_connection: Some((connection(SUPERUSER), server.superuser_password().clone())),
        selection: toc::select(contents, Extensions::MadeBeforehand, &made_schemas),
    };
    Ok((destination, staged))
}

/// A value in a connection string.
fn conninfo_value(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Connects.
pub(crate) async fn connect(login: &PgConnectOptions) -> Result<PgConnection, StageError> {
    PgConnection::connect_with(login).await.map_err(sql_error("let firedrill in"))
}

async fn run(connection: &mut PgConnection, doing: &str, sql: &str) -> Result<(), StageError> {
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(connection).await.map(drop).map_err(sql_error(doing))
}

async fn make_database(
    admin: &mut PgConnection,
    encoding: &str,
    locale: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<(), StageError> {
    let create = |locale: &str| {
        format!(
            "create database {DATABASE} owner {OWNER} template template0 encoding {} lc_collate {locale} lc_ctype {locale}",
            literal(encoding),
            locale = literal(locale)
        )
    };
    if let Some(locale) = locale {
        match run(admin, "make the database", &create(locale)).await {
            Ok(()) => return Ok(()),
            Err(StageError::Sql { why, .. }) => {
                notes.push(format!("the dump's locale {locale} is not on this machine, C was used: {why}"));
            }
            Err(other) => return Err(other),
        }
    }
    run(admin, "make the database", &create("C")).await
}

async fn identity(connection: &mut PgConnection) -> Result<(String, String), StageError> {
    let row = sqlx::query("select current_setting('server_version'), system_identifier::text from pg_control_system()")
        .fetch_one(connection)
        .await
        .map_err(sql_error("say who it is"))?;
    Ok((row.get(0), row.get(1)))
}

/// Makes what only a superuser may make, before the owner restores. Gives the schemas that it had to make for it.
async fn make_extensions(admin: &mut PgConnection, wanted: &[Extension]) -> Result<Vec<String>, StageError> {
    let mut made = Vec::new();
    for Extension { name, schema } in wanted {
        if let Some(schema) = schema.as_deref().filter(|s| *s != "public" && *s != "pg_catalog") {
            let sql = format!("create schema if not exists {} authorization {OWNER}", identifier(schema));
            run(admin, "make a schema for an extension", &sql).await?;
            made.push(schema.to_owned());
        }
        let schema = schema.as_deref().map(|s| format!(" with schema {}", identifier(s))).unwrap_or_default();
        let sql = format!("create extension if not exists {}{schema} cascade", identifier(name));
        run(admin, "make an extension", &sql)
            .await
            .map_err(|error| StageError::Extension { name: name.clone(), why: error.to_string() })?;
    }
    // Data of an extension's own tables are part of a dump: the owner has to be able to write them.
    let grant = format!(
        "do $$ declare it record; begin
            for it in select c.oid::regclass as name from pg_class c join pg_depend d on d.objid = c.oid
                and d.classid = 'pg_class'::regclass and d.deptype = 'e' where c.relkind in ('r', 'p', 'S')
            loop execute format('grant all on %s to {OWNER}', it.name); end loop;
            for it in select fdwname as name from pg_foreign_data_wrapper
            loop execute format('grant usage on foreign data wrapper %I to {OWNER}', it.name); end loop;
        end $$"
    );
    run(admin, "let the owner write the extensions' tables", &grant).await?;
    Ok(made)
}

/// Settings of a scratch. Archiving, replication and preloaded libraries are off whatever the tuning: the copy must not
/// act like production.
fn settings(tuning: Tuning, free_bytes: u64) -> Vec<(String, String)> {
    let mut settings = vec![
        ("listen_addresses", String::new()),
        ("archive_mode", "off".to_owned()),
        ("max_wal_senders", "0".to_owned()),
        ("max_logical_replication_workers", "0".to_owned()),
        ("shared_preload_libraries", String::new()),
        ("max_connections", "100".to_owned()),
        ("logging_collector", "off".to_owned()),
    ];
    if tuning == Tuning::Throwaway {
        let memory_mb = memory_mb();
        let wal_mb = (free_bytes / 4 / (1 << 20)).clamp(256, 4_096);
        settings.extend([
            ("fsync", "off".to_owned()),
            ("synchronous_commit", "off".to_owned()),
            ("full_page_writes", "off".to_owned()),
            ("wal_level", "minimal".to_owned()),
            ("autovacuum", "off".to_owned()),
            ("max_wal_size", format!("{wal_mb}MB")),
            ("checkpoint_timeout", "60min".to_owned()),
            ("shared_buffers", format!("{}MB", (memory_mb / 8).clamp(64, 2_048))),
            ("maintenance_work_mem", format!("{}MB", (memory_mb / 16).clamp(64, 1_024))),
        ]);
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn memory_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).map_or(1_024, |kib| kib / 1_024)
}
