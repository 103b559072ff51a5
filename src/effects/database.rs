//! What a restore puts into a database that is there already. The drill's mark on the database, in its comment and so
//! outside its data, comes first and goes last; between them everything in it is the drill's, because it was empty when
//! the mark was made.

use crate::targets::quote::{identifier, literal, said};
use crate::targets::staging::{CONTENT, Held, StagingServer, application_name, connect, held};
use firedrill_core::effect::{Holding, Reply};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

/// Marks the empty database with the drill.
pub async fn apply(server: &StagingServer, drill: &str) -> Reply {
    let mut connection = match connect(server).await {
        Ok(connection) => connection,
        Err(why) => return Reply::Rejected(why),
    };
    match content_and_holder(&mut connection).await {
        Err(why) => return Reply::Rejected(why),
        Ok((_, Some(holder))) => return Reply::Rejected(format!("the staging database is held by drill {holder}")),
        Ok((Some(content), None)) => return Reply::Rejected(format!("the staging database is not empty: {content}")),
        Ok((None, None)) => {}
    }
    let reply = match set(&mut connection, Some(drill)).await {
        Ok(()) => Reply::Applied,
        Err(SetError::Refused(why)) => Reply::Rejected(why),
        Err(SetError::Unknown(why)) => Reply::Unknown(why),
    };
    // The connection is done with; how it closes decides nothing.
    let _ = connection.close().await;
    reply
}

/// Whose the database is.
///
/// # Errors
/// Why it could not be looked at.
pub async fn look(server: &StagingServer, drill: &str) -> Result<Holding, String> {
    let mut connection = connect(server).await?;
    let seen = content_and_holder(&mut connection).await?;
    let _ = connection.close().await;
    Ok(match seen {
        (_, Some(holder)) if holder == drill => Holding::Ours,
        (_, Some(holder)) => Holding::Other(format!("held by drill {holder}")),
        (Some(content), None) => Holding::Other(format!("not marked, and not empty: {content}")),
        (None, None) => Holding::Prior,
    })
}

/// Empties the database, sees that it is empty, and takes the mark away. Only while the mark is this drill's.
pub async fn undo(server: &StagingServer, drill: &str) -> Reply {
    match look(server, drill).await {
        Ok(Holding::Ours) => {}
        Ok(Holding::Prior) => return Reply::Applied,
        Ok(other) => return Reply::Rejected(format!("{other:?}")),
        Err(why) => return Reply::Unknown(why),
    }
    match empty(server, drill).await {
        Ok(()) => Reply::Applied,
        Err(why) => Reply::Unknown(why),
    }
}

async fn content_and_holder(connection: &mut PgConnection) -> Result<(Option<String>, Option<String>), String> {
    let content = sqlx::query_scalar::<_, String>(CONTENT).fetch_all(&mut *connection).await;
    let content = content.map_err(|e| said(&e))?;
    let holder = held(connection).await?.by;
    Ok(((!content.is_empty()).then(|| content.join(", ")), holder))
}

async fn set(connection: &mut PgConnection, drill: Option<&str>) -> Result<(), SetError> {
    let comment = held(connection).await.map_err(SetError::Unknown)?.comment;
    let database = "select current_database()::text";
    let database: String = sqlx::query_scalar(database).fetch_one(&mut *connection).await.map_err(SetError::of)?;
    let written = Held { comment, by: drill.map(str::to_owned) }.write();
    let written = if written.is_empty() { "null".to_owned() } else { literal(&written) };
    let sql = AssertSqlSafe(format!("comment on database {} is {written}", identifier(&database)));
    sqlx::raw_sql(sql).execute(connection).await.map(drop).map_err(SetError::of)
}

/// Why the mark was not written.
enum SetError {
    /// The server refused: certainly not.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
}

impl SetError {
    #[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
    fn of(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(answer) => Self::Refused(answer.message().to_owned()),
            other => Self::Unknown(said(other)),
        }
    }
}

/// How many rounds of dropping there are: what depends on something else may need a second one.
const ROUNDS_MAX: usize = 4;

async fn empty(server: &StagingServer, drill: &str) -> Result<(), String> {
    let text = |e: sqlx::Error| said(&e);
    let mut connection = connect(server).await?;
    // A pg_restore whose runner was killed may still write.
    let sessions = format!(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and application_name = {}",
        literal(&application_name(drill))
    );
    sqlx::raw_sql(AssertSqlSafe(sessions)).execute(&mut connection).await.map_err(text)?;
    for _ in 0..ROUNDS_MAX {
        sqlx::raw_sql(DROP_ALL).execute(&mut connection).await.map_err(text)?;
        if content_and_holder(&mut connection).await?.0.is_none() {
            break;
        }
    }
    if let (Some(content), _) = content_and_holder(&mut connection).await? {
        return Err(format!("the staging database is not empty again: {content}"));
    }
    if let Err(SetError::Refused(why) | SetError::Unknown(why)) = set(&mut connection, None).await {
        return Err(format!("the mark on the staging database was not taken away: {why}"));
    }
    // The connection is done with; how it closes decides nothing.
    let _ = connection.close().await;
    Ok(())
}

/// Drops what [`CONTENT`] counts. Each statement on its own: one that fails does not keep the others.
const DROP_ALL: &str = "
    do $$
    declare it record;
    begin
        for it in
            select 'drop extension if exists ' || quote_ident(extname) || ' cascade' as statement from pg_extension
                where extname not in ('plpgsql', 'amcheck', 'pg_stat_statements')
            union all
            select 'drop server if exists ' || quote_ident(srvname) || ' cascade' from pg_foreign_server
            union all
            select 'drop schema if exists ' || quote_ident(nspname) || ' cascade' from pg_namespace n
                where nspname not like 'pg\\_%' and nspname not in ('information_schema', 'public')
                and not exists (select from pg_depend d where d.classid = 'pg_namespace'::regclass
                    and d.objid = n.oid and d.deptype = 'e')
            union all
            select case relkind when 'v' then 'drop view if exists ' when 'm' then 'drop materialized view if exists '
                    when 'S' then 'drop sequence if exists ' when 'f' then 'drop foreign table if exists '
                    else 'drop table if exists ' end || c.oid::regclass || ' cascade'
                from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
                and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                    and d.objid = c.oid and d.deptype = 'e')
            union all
            select 'drop routine if exists ' || p.oid::regprocedure || ' cascade' from pg_proc p
                where pronamespace = 'public'::regnamespace and prokind <> 'a'
                and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass
                    and d.objid = p.oid and d.deptype = 'e')
            union all
            select 'drop aggregate if exists ' || p.oid::regprocedure || ' cascade' from pg_proc p
                where pronamespace = 'public'::regnamespace and prokind = 'a'
                and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass
                    and d.objid = p.oid and d.deptype = 'e')
            union all
            select 'drop type if exists ' || t.oid::regtype || ' cascade' from pg_type t
                where typnamespace = 'public'::regnamespace and typrelid = 0 and typelem = 0
                and typtype in ('e', 'd', 'b', 'r')
                and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass
                    and d.objid = t.oid and d.deptype = 'e')
            union all
            select 'select lo_unlink(' || oid || ')' from pg_largeobject_metadata
        loop
            begin
                execute it.statement;
            exception when others then
                raise notice '%: %', it.statement, sqlerrm;
            end;
        end loop;
    end $$";
