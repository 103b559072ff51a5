//! The ledger's table on a target's database, and this drill's rows in it.
//!
//! A table that is there already, made from the printed SQL by whoever owns the database, is used and only this drill's
//! rows are taken out again. One that is missing is made, marked as ours, and dropped again.

use super::{Hands, LooksLike};
use crate::probes::ledger_table::{self, Table};
use crate::store::{InjectPermit, UndoPermit};
use crate::targets::postgres::brief;
use firedrill_core::effect::{Holding, Reply, Version};
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// How long one visit to the database may take.
const VISIT_TIMEOUT: Duration = Duration::from_secs(10);

async fn visit<T>(
    url: Option<&SecretString>,
    what: impl AsyncFnOnce(&mut PgConnection) -> Result<T, String>,
) -> Result<T, String> {
    let url = url.ok_or("the target has no connection URL here")?;
    let visited = async {
        let options = PgConnectOptions::from_str(url.expose_secret()).map_err(|e| brief(&e))?;
        let options = options.application_name("firedrill").disable_statement_logging();
        let mut connection = options.connect().await.map_err(|e| brief(&e))?;
        let result = what(&mut connection).await?;
        // What was done is done; a goodbye that fails changes nothing.
        let _ = connection.close().await;
        Ok(result)
    };
    match tokio::time::timeout(VISIT_TIMEOUT, visited).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} s", VISIT_TIMEOUT.as_secs())),
    }
}

fn database(error: &ledger_table::LedgerError) -> String {
    error.to_string()
}

/// The mark on a table that this drill made.
fn mark(drill: &str) -> String {
    format!("made by firedrill for drill {drill}")
}

fn id(drill: &str) -> Result<Uuid, String> {
    Uuid::parse_str(drill).map_err(|e| format!("the drill's id is no UUID: {e}"))
}

pub(super) async fn apply(hands: &Hands, target: &str, _permit: InjectPermit) -> Reply {
    let made = visit(hands.urls.get(target), async |c| {
        let found = ledger_table::survey(c).await.map_err(|e| database(&e))?;
        match found.table {
            Table::Usable => Ok(()),
            Table::Forbidden => {
                Err("this role may not write into firedrill.ledger; grant it insert, select and delete".to_owned())
            }
            Table::Missing => {
                let mark = mark(&id(&hands.drill)?.to_string());
                ledger_table::create_marked(c, &mark).await.map_err(|e| database(&e))
            }
        }
    });
    made.await.map_or_else(Reply::Unknown, |()| Reply::Applied)
}

/// Waits out a session that a dead runner left behind while it was making the table.
pub(super) async fn touch(hands: &Hands, target: &str) -> Result<(), String> {
    visit(hands.urls.get(target), async |c| ledger_table::await_creation(c).await.map_err(|e| database(&e))).await
}

/// Rows of this drill, or a table that it made, are ours.
pub(super) async fn look(hands: &Hands, target: &str) -> LooksLike {
    let drill = id(&hands.drill)?;
    let ours = visit(hands.urls.get(target), async |c| ours(c, drill).await).await?;
    Ok((if ours == Ours::Nothing { Holding::Gone } else { Holding::Ours }, Version::default()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ours {
    Nothing,
    Rows,
    TheTable,
}

async fn ours(connection: &mut PgConnection, drill: Uuid) -> Result<Ours, String> {
    let found = ledger_table::survey(connection).await.map_err(|e| database(&e))?;
    if found.table == Table::Missing {
        return Ok(Ours::Nothing);
    }
    let sql = "select coalesce(obj_description(to_regclass('firedrill.ledger'), 'pg_class'), ''),
               exists (select from firedrill.ledger where drill = $1::text::uuid)";
    let asked: Result<(String, bool), _> = sqlx::query_as(sql).bind(drill.to_string()).fetch_one(connection).await;
    let (comment, rows) = asked.map_err(|e| brief(&e))?;
    Ok(match (comment == mark(&drill.to_string()), rows) {
        (true, _) => Ours::TheTable,
        (false, true) => Ours::Rows,
        (false, false) => Ours::Nothing,
    })
}

pub(super) async fn undo(hands: &Hands, target: &str, _permit: UndoPermit) -> Result<(), String> {
    let drill = id(&hands.drill)?;
    visit(hands.urls.get(target), async |c| {
        let ours = ours(c, drill).await?;
        if ours != Ours::Nothing {
            ledger_table::purge(c, drill).await.map_err(|e| database(&e))?;
        }
        if ours == Ours::TheTable {
            // Rows of another drill keep it: then only the mark goes.
            ledger_table::drop_if_empty(c).await.map_err(|e| database(&e))?;
        }
        Ok(())
    })
    .await
}
