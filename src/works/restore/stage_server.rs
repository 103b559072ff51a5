//! Staging on a server that is there already: every guard is asked again just before the first write.

use super::archive::Contents;
use super::stage::Destination;
use super::toc::{self, Extensions};
use crate::guards::staging::{refusals, survey};
use crate::targets::quote::said;
use crate::targets::staging::{Login, StagingServer, connect, held, login};
use firedrill_core::restore::Staged;
use firedrill_core::time::Known;
use sqlx::{Connection, Row};

/// A staging server that the drill holds: its database is marked with the drill (the effect `database`).
#[derive(Clone, Debug)]
pub struct ReadyServer {
    /// Which server.
    pub server: StagingServer,
    /// The drill that holds it.
    pub drill: String,
}

impl ReadyServer {
    /// Asks every guard again, just before the first write, and says where the restore goes.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn stage(&self, contents: &Contents) -> Result<(Destination, Staged), String> {
        let against = refusals(&survey(&self.server).await);
        if !against.is_empty() {
            return Err(against.join("; "));
        }
        let mut connection = connect(&self.server).await?;
        let holder = held(&mut connection).await?.by;
        if holder.as_deref() != Some(self.drill.as_str()) {
            let holder = holder.unwrap_or_else(|| "nobody".to_owned());
            return Err(format!("the staging database is held by {holder}, not by drill {}", self.drill));
        }
        let seen = sqlx::query(
            "select current_setting('server_version'), system_identifier::text, current_database()::text
             from pg_control_system()",
        );
        let seen = seen.fetch_one(&mut connection).await.map_err(|e| said(&e))?;
        // The connection is done with; how it closes decides nothing.
        let _ = connection.close().await;
        let parsed = Login::parse(&self.server.url)?;
        let staged = Staged {
            what: "a server that was there already, behind every guard".to_owned(),
            server_version: seen.get(0),
            system_identifier: Known::Known(seen.get(1)),
            settings: Vec::new(),
            free_bytes: Known::Unknown("the disk of a server elsewhere is not seen from here".to_owned()),
            notes: vec![
                "owners and privileges of the dump are not restored: one role owns the copy".to_owned(),
                format!("restored into the database {}", seen.get::<String, _>(2)),
            ],
        };
        let destination = Destination {
            login: login(&self.server)?,
            superuser: None,
            connection: parsed.bare,
            password: parsed.password,
            superuser_connection: None,
            selection: toc::select(contents, Extensions::FromTheDump, &[]),
        };
        Ok((destination, staged))
    }
}
