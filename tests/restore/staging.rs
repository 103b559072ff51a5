//! A server that is there already: every guard alone refuses, and what was restored is gone afterwards.

use crate::support::bench::{Bench, DRILL, all_checks};
use crate::support::dumps::dumps;
use crate::support::postgres::Postgres;
use firedrill::effects::database;
use firedrill::faults::restore_backup::{Requirement, RestoreChecks};
use firedrill::guards::staging::{refusals, survey};
use firedrill::targets::staging::{Permission, StagingServer};
use firedrill::works::restore::run::{Into, RestoreJob};
use firedrill::works::restore::stage_server::ReadyServer;
use firedrill_core::effect::{Holding, Reply};
use firedrill_core::restore::{Stopped, judge};
use firedrill_core::time::Known;
use secrecy::SecretString;

fn url(server: &Postgres, user: &str, password: &str, database: &str) -> SecretString {
    let directory = server.socket_directory().display();
    SecretString::from(format!("postgres://{user}:{password}@localhost/{database}?host={directory}"))
}

/// A server with a database marked as staging, owned by a role that is no superuser.
fn staging() -> (Postgres, StagingServer) {
    let server = Postgres::start("staging");
    server.sql("postgres", "create role copy login");
    server.sql("postgres", "create database copy owner copy");
    server.sql("postgres", "alter database copy set firedrill.staging = 'drills-welcome'");
    let described = StagingServer {
        url: url(&server, "copy", "pw", "copy"),
        marker: "drills-welcome".to_owned(),
        permission: Permission::Allowed,
        production: Known::Known(SecretString::from("postgres://app:other@db.example/orders")),
        source_system_identifier: Known::Known("7000000000000000001".to_owned()),
    };
    (server, described)
}

async fn refused(server: &StagingServer) -> Vec<String> {
    refusals(&survey(server).await)
}

#[tokio::test]
async fn each_guard_alone_refuses() {
    let (server, good) = staging();
    assert_eq!(refused(&good).await, Vec::<String>::new());
    let one = async |changed: StagingServer, words: &str| {
        let against = refused(&changed).await;
        assert_eq!(against.len(), 1, "{words}: {against:?}");
        assert!(against[0].contains(words), "{words}: {against:?}");
        assert!(!against[0].contains("pw"), "{against:?}");
    };
    one(StagingServer { permission: Permission::NotAllowed, ..good.clone() }, "allowed by the estate").await;
    one(StagingServer { marker: "another".into(), ..good.clone() }, "`drills-welcome`").await;
    one(StagingServer { marker: String::new(), ..good.clone() }, "empty marker").await;
    let same_login = Known::Known(SecretString::from("postgres://copy:pw@db.example/orders"));
    one(StagingServer { production: same_login, ..good.clone() }, "production's user with production's password").await;
    let same_place = Known::Known(url(&server, "else", "entirely", "copy"));
    one(StagingServer { production: same_place, ..good.clone() }, "the very database of production").await;
    let not_known = Known::Unknown("the backups name no `of`".to_owned());
    one(StagingServer { production: not_known, ..good.clone() }, "cannot be told").await;
    let own = server.sql("postgres", "select system_identifier from pg_control_system()");
    one(StagingServer { source_system_identifier: Known::Known(own), ..good.clone() }, "the source itself").await;
    let not_known = Known::Unknown("it was not asked".to_owned());
    one(StagingServer { source_system_identifier: not_known, ..good.clone() }, "it was not asked").await;
    server.sql("postgres", "alter database copy reset firedrill.staging");
    one(good.clone(), "no marker").await;
    // The marker is outside the data: the same setting on a role, or in a table, is none.
    server.sql("postgres", "alter role copy in database copy set firedrill.staging = 'drills-welcome'");
    one(good.clone(), "no marker").await;
    server.sql("postgres", "alter role copy in database copy reset firedrill.staging");
    server.sql("postgres", "alter database copy set firedrill.staging = 'drills-welcome'");
    for (make, drop) in [
        ("create table t (id int)", "drop table t"),
        ("create schema s", "drop schema s"),
        ("create function f() returns int language sql as 'select 1'", "drop function f()"),
        ("create type mood as enum ('a')", "drop type mood"),
        ("create extension pgcrypto", "drop extension pgcrypto"),
        ("select lo_create(77)", "select lo_unlink(77)"),
    ] {
        server.sql("copy", make);
        one(good.clone(), "staging is empty").await;
        server.sql("copy", drop);
    }
    assert_eq!(refused(&good).await, Vec::<String>::new());
    let gone = StagingServer { url: SecretString::from("postgres://copy:pw@localhost/copy?host=/nowhere"), ..good };
    assert_eq!(refused(&gone).await.len(), 5, "what cannot be asked refuses");
}

#[tokio::test]
async fn somebody_else_in_the_database_refuses() {
    let (server, good) = staging();
    let login = <sqlx::postgres::PgConnectOptions as std::str::FromStr>::from_str(
        secrecy::ExposeSecret::expose_secret(&url(&server, "boss", "x", "copy")),
    );
    let other = <sqlx::PgConnection as sqlx::Connection>::connect_with(&login.unwrap()).await.unwrap();
    let against = refused(&good).await;
    assert!(against.len() == 1 && against[0].contains("1 other clients"), "{against:?}");
    sqlx::Connection::close(other).await.unwrap();
}

fn job_into(bench: &Bench, server: &StagingServer) -> RestoreJob {
    let ready = ReadyServer { server: server.clone(), drill: DRILL.to_owned() };
    let checks = RestoreChecks { amcheck: Requirement::Off, ..all_checks() };
    RestoreJob { into: Into::Server(Box::new(ready)), checks, ..bench.job() }
}

#[tokio::test]
async fn a_restore_into_a_server_passes_and_leaves_it_as_it_was() {
    let (server, staging) = staging();
    let bench = Bench::with(&dumps().file).await;
    assert_eq!(database::look(&staging, DRILL).await, Ok(Holding::Prior));
    assert_eq!(database::apply(&staging, DRILL).await, Reply::Applied);
    assert_eq!(database::look(&staging, DRILL).await, Ok(Holding::Ours));
    assert!(matches!(database::apply(&staging, "another").await, Reply::Rejected(_)));
    let record = bench.restore(&job_into(&bench, &staging)).await;
    let judged = judge(&record);
    assert!(judged.is_good(), "{judged:?}");
    assert_eq!(server.sql("copy", "select count(*) from orders"), "3000");
    assert!(matches!(database::undo(&staging, "another").await, Reply::Rejected(_)));
    assert_eq!(server.sql("copy", "select count(*) from orders"), "3000", "another drill's undo changed nothing");
    assert_eq!(database::undo(&staging, DRILL).await, Reply::Applied);
    assert_eq!(database::look(&staging, DRILL).await, Ok(Holding::Prior));
    assert_eq!(database::undo(&staging, DRILL).await, Reply::Applied, "undoing twice changes nothing");
    assert_eq!(refused(&staging).await, Vec::<String>::new(), "as before: empty, and still marked as staging");
}

#[tokio::test]
async fn without_its_mark_or_behind_a_guard_nothing_is_written() {
    let (server, staging) = staging();
    let bench = Bench::with(&dumps().file).await;
    let record = bench.restore(&job_into(&bench, &staging)).await;
    let Some(Stopped::Refused(why)) = &record.stopped else { panic!("{:?}", record.stopped) };
    assert!(why.contains("held by nobody"), "{why}");
    assert_eq!(database::apply(&staging, DRILL).await, Reply::Applied);
    // Between preflight and the first write somebody makes a table.
    server.sql("copy", "create table hand_made (id int)");
    let record = bench.restore(&job_into(&bench, &staging)).await;
    assert!(
        matches!(&record.stopped, Some(Stopped::Refused(why)) if why.contains("hand_made")),
        "{:?}",
        record.stopped
    );
    assert_eq!(judge(&record).refusals.len(), 1);
    assert_eq!(server.sql("copy", "select string_agg(relname, ',') from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"), "hand_made");
}

#[tokio::test]
async fn amcheck_that_cannot_be_made_is_unknown() {
    let (_server, staging) = staging();
    let bench = Bench::with(&dumps().file).await;
    assert_eq!(database::apply(&staging, DRILL).await, Reply::Applied);
    let job = RestoreJob { checks: all_checks(), ..job_into(&bench, &staging) };
    let judged = judge(&bench.restore(&job).await);
    assert!(judged.defects.is_empty(), "{judged:?}");
    assert!(judged.unknowns.len() == 1 && judged.unknowns[0].contains("only a superuser"), "{judged:?}");
    assert_eq!(database::undo(&staging, DRILL).await, Reply::Applied);
}
