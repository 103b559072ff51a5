//! Databases: is each reached, which version is it, and may this login do what the ledger and the looks at its members need?

use super::clock::Skew;
use super::finding::Finding;
use super::scope::Scope;
use crate::probes::ledger_table::{self, Survey, Table, Writable};
use crate::spec::estate::{PostgresTarget, Target};
use crate::spec::scalar::Name;
use crate::targets::cluster::Reader;
use crate::targets::postgres::{self, PostgresEyes, brief};
use crate::targets::quote;
use firedrill_core::sight::TargetView;
use firedrill_core::time::Known;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};
use std::str::FromStr;
use std::time::Duration;

/// How long a database has to answer everything.
const WITHIN: Duration = Duration::from_secs(8);

/// What is asked besides the ledger's own survey.
const ASK: &str = "
select current_setting('server_version'), current_user::text, (extract(epoch from clock_timestamp()) * 1000)::bigint,
       has_database_privilege(current_database(), 'create'),
       pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
       has_function_privilege('pg_control_system()', 'execute') and has_function_privilege('pg_control_checkpoint()', 'execute'),
       coalesce((select has_table_privilege(c.oid, 'delete') from pg_class c join pg_namespace n on n.oid = c.relnamespace
                 where n.nspname = 'firedrill' and c.relname = 'ledger'), false)";

/// What a server said of itself and of this login.
#[derive(Clone, Debug)]
struct Said {
    version: String,
    user: String,
    skew: Skew,
    lacks: Vec<Lack>,
    ledger: Result<Survey, String>,
}

/// What a login may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// Make a schema.
    Create,
    /// See what others' sessions do: which replica streams.
    Statistics,
    /// See which server it is.
    Control,
    /// Take rows out of the ledger.
    Purge,
}

/// In the order of [`ASK`]'s columns, from the fourth on.
const LACKS: [Lack; 4] = [Lack::Create, Lack::Statistics, Lack::Control, Lack::Purge];

impl Said {
    fn may(&self, lack: Lack) -> bool {
        !self.lacks.contains(&lack)
    }
}

pub(super) async fn examine(scope: &Scope, reader: Option<&Reader>, urls: &[(Name, SecretString)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, target) in scope.targets() {
        let url = urls.iter().find(|(n, _)| n == name).map(|(_, url)| url);
        let (Target::Postgres(postgres), Some(url)) = (target, url) else { continue };
        let subject = format!("target {name}");
        findings.extend(by_url(scope, name, &subject, url).await);
        if let (true, Some(reader)) = (scope.loses_primary(name), reader) {
            findings.push(members(name, &subject, postgres, reader, url).await);
        }
    }
    findings
}

async fn by_url(scope: &Scope, name: &Name, subject: &str, url: &SecretString) -> Vec<Finding> {
    let said = match tokio::time::timeout(WITHIN, ask(url)).await {
        Ok(Ok(said)) => said,
        Ok(Err(why)) => return vec![unreached(subject, &why)],
        Err(_) => return vec![unreached(subject, &format!("no answer within {} s", WITHIN.as_secs()))],
    };
    let answered = format!("PostgreSQL {}, as {}", said.version, said.user);
    let mut findings = vec![
        Finding::fine(subject, "database", "reached by its URL", answered),
        said.skew.finding(subject, "the database's server"),
    ];
    if scope.ledgered(name) {
        findings.extend(ledger(subject, &said));
    }
    if scope.loses_primary(name) {
        findings.push(insight(subject, &said));
    }
    findings
}

fn unreached(subject: &str, why: &str) -> Finding {
    let help = "See that the URL's host is reached from where firedrill runs, and that its login is right.";
    Finding::against(subject, "database", "reached by its URL", why, help)
}

async fn ask(url: &SecretString) -> Result<Said, String> {
    let options = PgConnectOptions::from_str(url.expose_secret()).map_err(|e| brief(&e))?;
    let options = options.application_name("firedrill").disable_statement_logging();
    let mut connection: PgConnection = options.connect().await.map_err(|e| brief(&e))?;
    let before = Timestamp::now();
    let row = sqlx::query(ASK).persistent(false).fetch_one(&mut connection).await.map_err(|e| brief(&e))?;
    let asked = before..=Timestamp::now();
    let mut lacks = Vec::new();
    for (nth, lack) in LACKS.into_iter().enumerate() {
        if !row.try_get::<bool, _>(nth + 3).map_err(|e| brief(&e))? {
            lacks.push(lack);
        }
    }
    let shown = Timestamp::from_millisecond(row.try_get(2).map_err(|e| brief(&e))?).map_err(|e| e.to_string())?;
    let said = Said {
        version: row.try_get(0).map_err(|e| brief(&e))?,
        user: row.try_get(1).map_err(|e| brief(&e))?,
        skew: Skew::of(shown, 1, &asked),
        lacks,
        ledger: ledger_table::survey(&mut connection).await.map_err(|e| e.to_string()),
    };
    // Everything was asked; a goodbye that fails changes nothing.
    let _ = connection.close().await;
    Ok(said)
}

/// The ledger writes as the application does, and takes its rows out again.
fn ledger(subject: &str, said: &Said) -> Vec<Finding> {
    let survey = match &said.ledger {
        Ok(survey) => survey,
        Err(why) => {
            let help = "Nothing is counted as written without a table that lasts.";
            return vec![Finding::against(subject, "ledger", "a durable table", why.as_str(), help)];
        }
    };
    let writes = match survey.writable {
        Writable::Yes => Finding::fine(subject, "writes", "taken", format!("by {}", survey.node)),
        Writable::No => {
            let help = "The URL must lead to the primary, through the service that applications write by.";
            let found = format!("{} is read-only or in recovery", survey.node);
            Finding::against(subject, "writes", "taken", found, help)
        }
    };
    let role = quote::identifier(&said.user);
    let grants = format!(
        "grant usage on schema firedrill to {role};\ngrant select, insert, delete on firedrill.ledger to {role};\n"
    );
    let expected = "firedrill.ledger, or the right to make it";
    let table = match (survey.table, said.may(Lack::Create), said.may(Lack::Purge)) {
        (Table::Usable, _, true) => Finding::fine(subject, "ledger", expected, "firedrill.ledger, usable"),
        (Table::Missing, true, _) => Finding::fine(subject, "ledger", expected, "not there; this role may make it"),
        (Table::Missing, false, _) => {
            let help = "Make it, as a role that may create a schema:";
            let found = format!("not there, and {} may not create a schema", said.user);
            Finding::against(subject, "ledger", expected, found, help).paste(format!("{}{grants}", ledger_table::ddl()))
        }
        (Table::Usable, _, false) | (Table::Forbidden, ..) => {
            let help = "Grant it, as the table's owner:";
            let found = format!("{} may not insert into firedrill.ledger, read it and delete from it", said.user);
            Finding::against(subject, "ledger", expected, found, help).paste(grants)
        }
    };
    vec![writes, table]
}

/// Which replica streams, and which server it is, is hidden from ordinary roles on some servers.
fn insight(subject: &str, said: &Said) -> Finding {
    let (name, expected) = ("state of replication", "may be seen by this role");
    if said.may(Lack::Statistics) && said.may(Lack::Control) {
        return Finding::fine(subject, name, expected, "may be seen");
    }
    let hidden = if said.may(Lack::Statistics) { "pg_control_system()" } else { "pg_stat_replication" };
    let found = format!("{hidden} is hidden from {}", said.user);
    let help = "Which replica streams must be seen before a primary is killed. As a superuser:";
    Finding::against(subject, name, expected, found, help)
        .paste(format!("grant pg_monitor to {};\n", quote::identifier(&said.user)))
}

/// A kill asks every member at its own address.
async fn members(name: &Name, subject: &str, target: &PostgresTarget, reader: &Reader, url: &SecretString) -> Finding {
    let (what, expected) = ("members", "every one found by its labels, and answering at its own address");
    let mut eyes = PostgresEyes::new(name.as_str(), target, reader.clone(), url.clone());
    let looked = eyes.look().await;
    postgres::close(eyes).await;
    let view = match looked {
        Ok(sight) => sight.view,
        Err(e) => return Finding::against(subject, what, expected, e.to_string(), "See the rights in its namespace."),
    };
    let TargetView::Postgres(view) = view else { unreachable!("PostgreSQL's eyes see PostgreSQL") };
    let silent: Vec<String> = view
        .members
        .iter()
        .filter_map(|m| match &m.said {
            Known::Unknown(why) => Some(format!("{} ({}): {why}", m.pod, m.address)),
            Known::Known(_) => None,
        })
        .collect();
    if view.members.is_empty() {
        let found = format!("no pod in {} has the labels {}", target.namespace, target.members);
        return Finding::against(subject, what, expected, found, "Correct the selectors in the estate.");
    }
    if silent.is_empty() {
        let found = format!("{} of {} answer", view.members.len(), view.members.len());
        return Finding::fine(subject, what, expected, found);
    }
    let help = "Pods' addresses must be reached from where firedrill runs (inside the cluster they are), with the URL's login.";
    Finding::against(subject, what, expected, silent.join("; "), help)
}
