//! Finding the primary: from labels as failover managers set them, by a query, by repmgr's record; and what is refused, with
//! the reason. The pods are real servers.

use crate::support::scene::SOON;
use crate::support::servers::{NAMESPACE, Servers, look_with};
use firedrill::spec::scalar::SecretRef;
use firedrill::targets::cluster::USER_AGENT;
use firedrill::targets::secrets::resolve;
use firedrill_core::sight::PostgresView;
use firedrill_sandbox::faults::{Fault, Rule, Selection};
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::PostParams;
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

type Labels = &'static [(&'static str, &'static str)];

/// How a manager labels its pods: the primary, a replica, and a pod of the cluster that is no member.
struct Labelled {
    manager: &'static str,
    primary: Labels,
    replica: Labels,
    other: Labels,
}

macro_rules! labels {
    ($($key:literal = $value:literal),* $(,)?) => { &[$(($key, $value)),*] };
}

/// By the managers' own documentation; see `src/spec/manager.rs`.
const LABELLED: &[Labelled] = &[
    // Patroni 3, and Patroni 4.
    Labelled {
        manager: "patroni",
        primary: labels!["application" = "patroni", "cluster-name" = "orders", "role" = "master"],
        replica: labels!["application" = "patroni", "cluster-name" = "orders", "role" = "replica"],
        other: labels!["application" = "haproxy", "role" = "primary"],
    },
    Labelled {
        manager: "patroni",
        primary: labels!["application" = "patroni", "cluster-name" = "orders", "role" = "primary"],
        replica: labels!["application" = "patroni", "cluster-name" = "orders", "role" = "replica"],
        other: labels!["application" = "patroni", "cluster-name" = "carts", "role" = "primary"],
    },
    Labelled {
        manager: "cloudnative-pg",
        primary: labels![
            "cnpg.io/cluster" = "orders",
            "cnpg.io/instanceName" = "orders-1",
            "cnpg.io/instanceRole" = "primary",
            "cnpg.io/podRole" = "instance",
            "role" = "primary"
        ],
        replica: labels![
            "cnpg.io/cluster" = "orders",
            "cnpg.io/instanceName" = "orders-2",
            "cnpg.io/instanceRole" = "replica",
            "cnpg.io/podRole" = "instance",
            "role" = "replica"
        ],
        other: labels![
            "cnpg.io/cluster" = "orders",
            "cnpg.io/poolerName" = "orders-pooler",
            "cnpg.io/podRole" = "pooler"
        ],
    },
    Labelled {
        manager: "zalando",
        primary: labels!["application" = "spilo", "cluster-name" = "orders", "spilo-role" = "master"],
        replica: labels!["application" = "spilo", "cluster-name" = "orders", "spilo-role" = "replica"],
        other: labels!["application" = "db-connection-pooler", "cluster-name" = "orders"],
    },
    // Spilo with Patroni 4, where it is set so.
    Labelled {
        manager: "zalando",
        primary: labels!["application" = "spilo", "cluster-name" = "orders", "spilo-role" = "primary"],
        replica: labels!["application" = "spilo", "cluster-name" = "orders", "spilo-role" = "replica"],
        other: labels!["application" = "spilo", "cluster-name" = "carts", "spilo-role" = "primary"],
    },
    Labelled {
        manager: "crunchy",
        primary: labels![
            "postgres-operator.crunchydata.com/cluster" = "orders",
            "postgres-operator.crunchydata.com/data" = "postgres",
            "postgres-operator.crunchydata.com/instance-set" = "instance1",
            "postgres-operator.crunchydata.com/role" = "master"
        ],
        replica: labels![
            "postgres-operator.crunchydata.com/cluster" = "orders",
            "postgres-operator.crunchydata.com/data" = "postgres",
            "postgres-operator.crunchydata.com/instance-set" = "instance1",
            "postgres-operator.crunchydata.com/role" = "replica"
        ],
        other: labels![
            "postgres-operator.crunchydata.com/cluster" = "orders",
            "postgres-operator.crunchydata.com/data" = "pgbackrest"
        ],
    },
    Labelled {
        manager: "percona",
        primary: labels![
            "postgres-operator.crunchydata.com/cluster" = "orders",
            "postgres-operator.crunchydata.com/data" = "postgres",
            "postgres-operator.crunchydata.com/role" = "primary"
        ],
        replica: labels![
            "postgres-operator.crunchydata.com/cluster" = "orders",
            "postgres-operator.crunchydata.com/data" = "postgres",
            "postgres-operator.crunchydata.com/role" = "replica"
        ],
        other: labels![
            "postgres-operator.crunchydata.com/cluster" = "orders",
            "postgres-operator.crunchydata.com/role" = "pgbouncer"
        ],
    },
    // An older version.
    Labelled {
        manager: "percona",
        primary: labels![
            "postgres-operator.crunchydata.com/cluster" = "orders",
            "postgres-operator.crunchydata.com/data" = "postgres",
            "postgres-operator.crunchydata.com/role" = "master"
        ],
        replica: labels![
            "postgres-operator.crunchydata.com/cluster" = "orders",
            "postgres-operator.crunchydata.com/data" = "postgres",
            "postgres-operator.crunchydata.com/role" = "replica"
        ],
        other: labels![
            "postgres-operator.crunchydata.com/cluster" = "orders",
            "postgres-operator.crunchydata.com/data" = "pgbackrest"
        ],
    },
    Labelled {
        manager: "stackgres",
        primary: labels![
            "app" = "StackGresCluster",
            "stackgres.io/cluster" = "true",
            "stackgres.io/cluster-name" = "orders",
            "role" = "primary"
        ],
        replica: labels![
            "app" = "StackGresCluster",
            "stackgres.io/cluster" = "true",
            "stackgres.io/cluster-name" = "orders",
            "role" = "replica"
        ],
        other: labels![
            "app" = "StackGresCluster",
            "stackgres.io/cluster-name" = "orders",
            "stackgres.io/scheduled-backup" = "true"
        ],
    },
    Labelled {
        manager: "repmgr",
        primary: labels![
            "app.kubernetes.io/name" = "postgresql-ha",
            "app.kubernetes.io/instance" = "orders",
            "app.kubernetes.io/component" = "postgresql",
            "role" = "data"
        ],
        replica: labels![
            "app.kubernetes.io/name" = "postgresql-ha",
            "app.kubernetes.io/instance" = "orders",
            "app.kubernetes.io/component" = "postgresql",
            "role" = "data"
        ],
        other: labels![
            "app.kubernetes.io/name" = "postgresql-ha",
            "app.kubernetes.io/instance" = "orders",
            "app.kubernetes.io/component" = "pgpool"
        ],
    },
];

/// What repmgr keeps, as far as it is asked: its own view has more columns.
const REPMGR: &str =
    "create schema repmgr; create table repmgr.nodes (node_id int, node_name text, active bool, type text);
    create view repmgr.show_nodes as select * from repmgr.nodes;";

fn found(view: &PostgresView) -> (Vec<&str>, Option<&str>) {
    (view.members.iter().map(|m| m.pod.as_str()).collect(), view.primary().map(|(m, _)| m.pod.as_str()))
}

fn plain(rule: &str) -> String {
    format!("namespace: {NAMESPACE}, members: app=pg, primary: {rule}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_is_found_by_every_scheme_and_rule() {
    let servers = Servers::start().await;
    let one = servers.primary("orders-0").await;
    servers.pod("orders-other", "exec sleep 1000").await;
    servers.execute(&one, "create database repmgr").await;
    let records = format!(
        "{REPMGR} insert into repmgr.nodes values (1000, 'orders-0', true, 'primary'), (1001, 'orders-1', true, 'standby')"
    );
    servers.execute_in(&one, "repmgr", &records).await;
    servers.standby("orders-1", &one).await;
    for case in LABELLED {
        let (manager, expected) = (case.manager, (vec!["orders-0", "orders-1"], Some("orders-0")));
        for (pod, labels) in [("orders-0", case.primary), ("orders-1", case.replica), ("orders-other", case.other)] {
            servers.label(pod, labels).await;
        }
        let how = format!("{manager}: {{ namespace: {NAMESPACE}, cluster: orders }}");
        assert_eq!(found(&servers.look(&how).await), expected, "{manager}");
        let survey = servers.survey(&how, "").await;
        assert!(survey.plan.is_ok(), "{manager}: {survey:?}");
        // The same labels on the wrong pod must not be believed; repmgr has none.
        if case.primary != case.replica {
            servers.label("orders-0", case.replica).await;
            servers.label("orders-1", case.primary).await;
            let why = servers.refused(&how, "").await;
            assert!(why.contains("by label orders-1; by SQL orders-0"), "{manager}: {why}");
        }
    }
    servers.label("orders-0", labels!["app" = "pg", "role" = "writer"]).await;
    servers.label("orders-1", labels!["app" = "pg"]).await;
    let by_recovery = "{ sql: \"select not pg_is_in_recovery()\" }";
    let by_setting = "{ sql: \"select current_setting('cluster_name') = ''\" }";
    for rule in ["role=writer", by_recovery, by_setting] {
        let view = servers.look(&plain(rule)).await;
        assert_eq!(found(&view), (vec!["orders-0", "orders-1"], Some("orders-0")), "{rule}");
    }
    servers.stop().await;
}

/// As on a machine that is very busy: no look lasts as long as it takes to be let in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_takes_longer_than_a_look_is_there_for_a_later_one() {
    let servers = Servers::start().await;
    let one = servers.primary("pg-0").await;
    servers.label("pg-0", labels!["app" = "pg", "role" = "primary"]).await;
    servers.execute(&one, "alter system set pre_auth_delay = '1s'").await;
    servers.execute(&one, "select pg_reload_conf()").await;
    let delay = Duration::from_secs(1);
    let slow = async {
        loop {
            let began = Instant::now();
            drop(servers.session(&one).await);
            if began.elapsed() >= delay {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, slow).await.expect("the server delays whoever connects");
    let mut eyes = servers.eyes(&plain("role=primary")).await;
    let first = look_with(&mut eyes).await;
    assert_eq!(found(&first), (vec!["pg-0"], None), "let in at once: {first:?}");
    for looks in 2.. {
        // It goes on while nobody looks: others are let in one after the other meanwhile.
        drop(servers.session(&one).await);
        drop(servers.session(&one).await);
        if look_with(&mut eyes).await.primary().is_some() {
            break;
        }
        assert!(looks < 10, "looked {looks} times in vain");
    }
    servers.stop().await;
}

/// The same errors from an API server that does not let the runner read or forward.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_cluster_does_not_allow_is_told_with_the_role_that_would() {
    let servers = Servers::start().await;
    let one = servers.primary("pg-0").await;
    servers.standby("pg-1", &one).await;
    servers.label("pg-0", labels!["app" = "pg", "role" = "primary"]).await;
    servers.label("pg-1", labels!["app" = "pg"]).await;
    let secret = serde_json::from_value(json!({
        "metadata": { "name": "db" }, "stringData": { "url": "postgres://app:hunter2@db.default.svc:5432/app" }
    }));
    servers.api::<Secret>().create(&PostParams::default(), &secret.unwrap()).await.unwrap();
    let reader = servers.reader().await;
    let read = async |name: &str| resolve(&SecretRef::Secret(name.to_owned()), Path::new("."), Some(&reader)).await;
    let found = read("default/db").await.unwrap();
    assert!(found.expose_secret().contains("hunter2") && !format!("{found:?}").contains("hunter2"));
    for (wrong, key) in [("default/db#password", "password"), ("default/other", "url"), ("nowhere/db", "url")] {
        let why = read(wrong).await.unwrap_err().to_string();
        assert!(why.contains(&format!("has no key `{key}`, or is not there")) && !why.contains("hunter2"), "{why}");
    }
    let forbid = |on: Selection| {
        let on = Selection { user_agent: Some(USER_AGENT.to_owned()), ..on };
        servers.cluster().faults().add(Rule::always(on, Fault::Forbidden))
    };
    forbid(Selection::of("get", "secrets"));
    let why = read("default/db").await.unwrap_err().to_string();
    assert!(why.contains("deploy/roles/secret.yaml") && !why.contains("hunter2"), "{why}");

    let service = json!({ "metadata": { "name": "db" }, "spec": { "selector": { "role": "primary" }, "ports": [{ "port": 5432 }] } });
    let service = serde_json::from_value(service).unwrap();
    servers.api::<Service>().create(&PostParams::default(), &service).await.unwrap();
    forbid(Selection { subresource: Some("portforward".to_owned()), ..Selection::of("create", "pods") });
    let how = format!("{}, reach: port-forward", plain("role=primary"));
    let why = servers.refused(&how, "").await;
    assert!(why.starts_with("reach of db: may not create pods/portforward in default"), "{why}");
    servers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_in_doubt_is_refused_with_the_reason() {
    let servers = Servers::start().await;
    let one = servers.primary("pg-0").await;
    let two = servers.standby("pg-1", &one).await;
    servers.label("pg-0", labels!["app" = "pg", "role" = "primary"]).await;
    servers.label("pg-1", labels!["app" = "pg"]).await;
    let by_label = plain("role=primary");
    assert!(servers.survey(&by_label, "").await.plan.is_ok());

    rules_that_say_something_else(&servers).await;
    a_replica_that_lags(&servers, &one, &two).await;
    a_member_that_does_not_answer(&servers).await;
    a_member_of_another_cluster(&servers, &one).await;
    a_member_that_follows_another_history(&servers, &one, &two).await;
    servers.stop().await;
}

async fn rules_that_say_something_else(servers: &Servers) {
    let cases = [
        ("role=absent", "by label none; by SQL pg-0"),
        ("app=pg", "by label pg-0, pg-1; by SQL pg-0"),
        ("{ sql: select true }", "by the rule's query pg-0, pg-1; by SQL pg-0"),
        ("{ sql: select pg_is_in_recovery() }", "by the rule's query pg-1; by SQL pg-0"),
        ("{ sql: select 1 }", "did not answer with one row of one boolean"),
        ("{ sql: select true where false }", "did not answer with one row of one boolean"),
        ("{ sql: create table t (a int) }", "cannot execute CREATE TABLE in a read-only transaction"),
        ("{ repmgr: postgres }", "relation \"repmgr.show_nodes\" does not exist"),
    ];
    for (rule, expected) in cases {
        // `app=pg` alone would be the same selector as that of the members, which no estate may have.
        let rule = if rule == "app=pg" { "app in (pg)" } else { rule };
        let why = servers.refused(&plain(rule), "").await;
        assert!(why.contains(expected), "{rule}: {why}");
    }
}

async fn a_replica_that_lags(servers: &Servers, one: &str, two: &str) {
    servers.execute(two, "select pg_wal_replay_pause()").await;
    servers.execute(one, "create table big as select generate_series(1, 50000) as n").await;
    // The standby has it all, and has told so.
    servers.until(one, "select bool_and(flush_lsn >= pg_current_wal_flush_lsn()) from pg_stat_replication").await;
    let why = servers.refused(&plain("role=primary"), "lag: 64KiB").await;
    assert!(why.starts_with("replication lag") && why.contains("at most 64KiB"), "{why}");
    servers.execute(two, "select pg_wal_replay_resume()").await;
    servers.until_standbys_have_all(one).await;
    assert!(servers.survey(&plain("role=primary"), "lag: 64KiB").await.plan.is_ok());
}

async fn a_member_that_does_not_answer(servers: &Servers) {
    servers.pod("pg-mute", "exec sleep 1000").await;
    servers.label("pg-mute", labels!["app" = "pg"]).await;
    let why = servers.refused(&plain("role=primary"), "").await;
    assert!(why.starts_with("every member answers over SQL: pg-mute: "), "{why}");
    servers.delete("pg-mute").await;
}

/// It is a second primary; as repmgr would see it, its record names another than that of the others.
async fn a_member_of_another_cluster(servers: &Servers, one: &str) {
    let stranger = servers.primary("pg-2").await;
    servers.label("pg-2", labels!["app" = "pg"]).await;
    let why = servers.refused(&plain("role=primary"), "").await;
    assert!(why.contains("by label pg-0; by SQL pg-0, pg-2"), "{why}");

    for (address, name) in [(one, "pg-0"), (&stranger, "pg-2")] {
        let record = format!("insert into repmgr.nodes values (1, '{name}', true, 'primary')");
        servers.execute(address, &format!("{REPMGR} {record}")).await;
    }
    servers.until_standbys_have_all(one).await;
    let why = servers.refused(&plain("{ repmgr: postgres }"), "").await;
    assert!(why.contains("by repmgr.show_nodes pg-0, pg-2"), "{why}");
    servers.execute(&stranger, "update repmgr.nodes set node_name = 'pg-9'").await;
    let why = servers.refused(&plain("{ repmgr: postgres }"), "").await;
    assert!(why.contains("pg-2: its repmgr.show_nodes names pg-9, which is no member"), "{why}");
    servers.execute(&stranger, "update repmgr.nodes set active = false").await;
    let why = servers.refused(&plain("{ repmgr: postgres }"), "").await;
    assert!(why.contains("pg-2: its repmgr.show_nodes names no active primary"), "{why}");

    // A standby of that other cluster is no second primary, and no replica either.
    servers.standby("pg-3", &stranger).await;
    servers.label("pg-2", labels![]).await;
    servers.label("pg-3", labels!["app" = "pg"]).await;
    let why = servers.refused(&plain("role=primary"), "").await;
    assert!(why.starts_with("members of one cluster: pg-3 is of "), "{why}");
    servers.delete("pg-3").await;
    servers.delete("pg-2").await;
}

/// One standby is promoted; another still waits on the timeline before, and cannot take over from it.
async fn a_member_that_follows_another_history(servers: &Servers, one: &str, two: &str) {
    let behind = servers.standby("pg-4", one).await;
    servers.execute(&behind, "alter system set primary_conninfo = ''").await;
    servers.execute(&behind, "select pg_reload_conf()").await;
    servers.until(&behind, "select not exists (select from pg_stat_wal_receiver)").await;
    servers.label("pg-4", labels!["app" = "pg"]).await;
    let why = servers.refused(&plain("role=primary"), "").await;
    assert!(why.starts_with("replicas streaming: 1 of 2 streaming; not pg-4"), "{why}");

    servers.execute(two, "select pg_promote()").await;
    servers.until(two, "select not pg_is_in_recovery()").await;
    let why = servers.refused(&plain("role=primary"), "").await;
    assert!(why.contains("by label pg-0; by SQL pg-0, pg-1"), "{why}");
    servers.label("pg-0", labels![]).await;
    servers.label("pg-1", labels!["app" = "pg", "role" = "primary"]).await;
    let why = servers.refused(&plain("role=primary"), "").await;
    assert!(why.starts_with("timeline of every member: pg-4 on 1 (expected the primary's, 2)"), "{why}");
}
