//! Reading the ledger back: over the service's own address, from a node that has just proven that it takes writes.

use crate::probes::{ledger::Evidence, ledger_table};
use crate::spec::scalar::Name;
use crate::targets::postgres::brief;
use crate::targets::scene::Scene;
use firedrill_core::event::{LedgerReading, WorkResult};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// How often the node is asked before the reading counts as failed.
const TRIES: u32 = 10;
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the rows of this drill.
pub async fn read(scene: &Scene) -> WorkResult {
    let targets = scene.ledger_targets();
    let mut readings = Vec::new();
    for target in &targets {
        match read_target(scene, target).await {
            Ok(reading) => readings.push(reading),
            Err(why) => return WorkResult::Failed(format!("the ledger of {target} could not be read back: {why}")),
        }
    }
    WorkResult::Ledger(readings)
}

async fn read_target(scene: &Scene, target: &Name) -> Result<LedgerReading, String> {
    let mut why = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match tokio::time::timeout(TRY_TIMEOUT, read_once(scene, target)).await {
            Ok(Ok(reading)) => return Ok(reading),
            Ok(Err(e)) => why = e,
            Err(_) => why = format!("no answer within {} s", TRY_TIMEOUT.as_secs()),
        }
    }
    Err(why)
}

async fn read_once(scene: &Scene, target: &Name) -> Result<LedgerReading, String> {
    let (_, url) = scene.postgres(target).map_err(|r| r.why)?;
    let drill = Uuid::parse_str(&scene.drill).map_err(|e| e.to_string())?;
    let options = PgConnectOptions::from_str(url.expose_secret()).map_err(|e| brief(&e))?;
    let options = options.application_name("firedrill").disable_statement_logging();
    let mut connection: PgConnection = options.connect().await.map_err(|e| brief(&e))?;
    let proof =
        ledger_table::prove_writable(&mut connection, drill, Evidence::Full).await.map_err(|e| e.to_string())?;
    let back = ledger_table::read_back(&mut connection, drill).await.map_err(|e| e.to_string())?;
    let closed = connection.close().await;
    if let Err(error) = closed {
        tracing::debug!(error = brief(&error), "the connection of a reading could not be closed politely");
    }
    let rows = back
        .runs
        .into_iter()
        .map(|(stream, runs)| (stream, runs.into_iter().map(|r| (*r.start(), *r.end())).collect()));
    Ok(LedgerReading {
        target: target.to_string(),
        node: proof.node,
        timeline: proof.timeline.unwrap_or(0),
        rows: rows.collect(),
    })
}
