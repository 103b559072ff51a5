//! A server of the staging namespace that is fit to be restored into, until one thing about it is not: each guard refuses
//! alone, and nobody else does.

use crate::ephemeral::{Ephemeral, MARKER, add_server};
use crate::lab::{Lab, Part, SHOP};
use crate::runner::{LOOK_EVERY, Runner, SOON};
use firedrill_core::event::Check;
use firedrill_core::report::{CheckStatus, Verdict};
use firedrill_core::time::Known;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::path::PathBuf;
use url::Url;

/// The lab, and a runner that only plans.
struct Bench {
    lab: Lab,
    runner: Runner,
}

impl Bench {
    fn experiment(&self, into: &str) -> PathBuf {
        let body = format!(
            "objectives: {{ restore: 1m, rpo: 10m }}
method:
  - restore-backup: {{ from: backups, into: {into}, select: newest, verify: {{ amcheck: off }} }}
recover: {{ deadline: 2m }}
"
        );
        self.lab.write(&format!("into-{into}"), &body)
    }

    /// Which checks of a plan to restore into a target do not hold, in order. Exit code 0 when there are none, or else 5.
    async fn against(&self, into: &str) -> Vec<String> {
        let ended = self.runner.plan(&self.experiment(into)).await;
        let plan: serde_json::Value =
            serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{into}: {e}: {ended:?}"));
        let checks: Vec<Check> = serde_json::from_value(plan["checks"].clone()).unwrap();
        assert!(checks.len() >= 7, "{checks:?}");
        let against: Vec<String> = checks.into_iter().filter(|c| c.ok != Known::Known(true)).map(|c| c.name).collect();
        assert_eq!(ended.code(), Some(if against.is_empty() { 0 } else { 5 }), "{ended:?}");
        against
    }
}

/// A session, as whoever owns the thing would have it.
async fn session(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Changes the ephemeral server's database.
async fn change(staging: &Ephemeral, sql: &'static str) {
    let mut within = session(&staging.url).await;
    within.execute(sql).await.unwrap();
    within.close().await.unwrap();
}

/// Waits until nobody is in the database `restored`: a server learns a little late that a client has ended.
async fn until_alone(session: &mut PgConnection) {
    let sql = "select count(*) from pg_stat_activity where datname = 'restored' and backend_type = 'client backend'";
    let looks = async {
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *session).await.unwrap() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(SOON, looks).await.expect("the last client is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_guard_alone_refuses_a_server_that_is_fit_but_for_one_thing() {
    let lab = Lab::enter(Part::Orders).await;
    let runner = Runner::new(&lab, "one");
    let bench = Bench { lab, runner };
    let staging = Ephemeral::start(&bench.lab).await;
    let mut beside = session(&staging.beside).await;
    add_server(&bench.lab, "ephemeral", &staging.url, MARKER);
    assert_eq!(bench.against("ephemeral").await, [""; 0], "it is fit");

    let marked = "alter database restored set firedrill.staging = 'lab'";
    for (spoil, mend, guard) in [
        ("alter database restored reset firedrill.staging", marked, "staging marker"),
        ("alter database restored set firedrill.staging = 'another'", marked, "staging marker"),
        ("create table restored_by_hand ()", "drop table restored_by_hand", "staging is empty"),
    ] {
        change(&staging, spoil).await;
        until_alone(&mut beside).await;
        assert_eq!(bench.against("ephemeral").await, [guard], "{spoil}");
        change(&staging, mend).await;
    }

    until_alone(&mut beside).await;
    let other = session(&staging.url).await;
    assert_eq!(bench.against("ephemeral").await, ["nobody else is connected"]);
    other.close().await.unwrap();

    productions_login(&bench, &staging, &mut beside).await;
    add_server(&bench.lab, "recovering", &staging.recovering, MARKER);
    assert_eq!(bench.against("recovering").await, ["staging is writable"]);
    productions_own_server(&bench).await;
    not_allowed(&bench).await;

    until_alone(&mut beside).await;
    assert_eq!(bench.against("ephemeral").await, [""; 0], "it is as fit as before");
    staging.end(&bench.lab).await;
    bench.lab.assert_nothing_left().await;
}

/// The same server lets production's user in with production's password.
async fn productions_login(bench: &Bench, staging: &Ephemeral, beside: &mut PgConnection) {
    let mut url = Url::parse(&staging.url).unwrap();
    let production = Url::parse(&bench.lab.shop_url().await).unwrap();
    let (user, password) = (production.username(), production.password().unwrap());
    let make = format!("create role {user} login password '{password}'");
    beside.execute(sqlx::AssertSqlSafe(make)).await.unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some(password)).unwrap();
    add_server(&bench.lab, "same-login", url.as_str(), MARKER);
    until_alone(beside).await;
    assert_eq!(bench.against("same-login").await, ["credentials differ from production's"]);
}

/// On the primary of production itself: a database that is empty and marked, and a role of its own. A whole run as well.
async fn productions_own_server(bench: &Bench) {
    let address = bench.lab.address(SHOP, "orders").await;
    let mut owner = session(&bench.lab.superuser_url(&address, "postgres")).await;
    let password = uuid::Uuid::new_v4();
    // One that was interrupted may have left them.
    let away = ["drop database if exists restored with (force)", "drop role if exists restorer"];
    let made = [
        format!("create role restorer login password '{password}'"),
        "create database restored owner restorer".to_owned(),
        format!("alter database restored set firedrill.staging = '{MARKER}'"),
    ];
    for sql in away.map(str::to_owned).into_iter().chain(made) {
        owner.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    let url = format!("postgres://restorer:{password}@{address}:5432/restored");
    add_server(&bench.lab, "of-production", &url, MARKER);
    assert_eq!(bench.against("of-production").await, ["another server than the source"]);
    until_alone(&mut owner).await;
    let report = bench.runner.run(&bench.experiment("of-production")).await.verdict(Verdict::Refused, 5);
    let failed: Vec<&str> =
        report.preflight.iter().filter(|c| c.status != CheckStatus::Ok).map(|c| c.name.as_str()).collect();
    assert_eq!(failed, ["another server than the source"]);
    for sql in away {
        owner.execute(sql).await.unwrap();
    }
}

/// The files alone say no, with their place, before anybody is asked anything.
async fn not_allowed(bench: &Bench) {
    let path = bench.lab.path("estate.yaml");
    let estate = std::fs::read_to_string(&path).unwrap();
    let without = estate.replace(", restore-backup]", "]");
    assert_ne!(without, estate);
    std::fs::write(&path, without).unwrap();
    let ended = bench.runner.plan(&bench.experiment("ephemeral")).await;
    assert_eq!(ended.code(), Some(2), "{ended:?}");
    assert!(ended.stderr.contains("`restore-backup` is not allowed in lab"), "{ended:?}");
    std::fs::write(&path, estate).unwrap();
}
