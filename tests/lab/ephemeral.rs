//! PostgreSQL servers of the staging namespace that live as long as their pod, fit to be restored into.

use crate::lab::{Lab, STAGING};
use crate::runner::{LOOK_EVERY, SOON};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

/// What the database is marked with.
pub const MARKER: &str = "lab";

/// A server with an empty database `restored` that is marked as staging, and a role that is not production's. In the same
/// pod stands a copy of it that is in recovery, and stays there.
pub struct Ephemeral {
    name: String,
    /// The database `restored`.
    pub url: String,
    /// The same database, of the copy.
    pub recovering: String,
    /// The database `postgres` of the same server.
    pub beside: String,
}

impl Ephemeral {
    pub async fn start(lab: &Lab) -> Self {
        let name = format!("restored-{}", uuid::Uuid::now_v7());
        let password = uuid::Uuid::new_v4();
        let script = format!(
            "set -e; cd /tmp; bin=/usr/lib/postgresql/15/bin
             export PGHOST=/tmp PGUSER=restorer PGPASSWORD={password}
             $bin/initdb -D data -A scram-sha-256 -U restorer --pwfile=<(echo $PGPASSWORD) >/dev/null
             echo 'host all all all scram-sha-256' >>data/pg_hba.conf
             echo \"unix_socket_directories = '/tmp'\" >>data/postgresql.conf
             $bin/pg_ctl -D data -w -s -l log -o \"-c listen_addresses=''\" start
             $bin/psql -q postgres -c 'create database restored' \
               -c \"alter database restored set firedrill.staging = '{MARKER}'\"
             $bin/psql -q restored -c 'create extension amcheck'
             $bin/pg_ctl -D data -w -s stop
             cp -a data copy && touch copy/standby.signal
             $bin/postgres -D copy -c listen_addresses='*' -p 5433 &
             exec $bin/postgres -D data -c listen_addresses='*'"
        );
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": { "app": "restored" } },
            "spec": {
                "automountServiceAccountToken": false,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "postgres", "image": "docker.io/firedrill-lab/patroni:1", "imagePullPolicy": "Never",
                    "command": ["bash", "-c", script],
                }],
            },
        }))
        .unwrap();
        let pods = lab.api::<Pod>(STAGING);
        pods.create(&PostParams::default(), &pod).await.unwrap();
        let addressed = async {
            loop {
                if let Some(address) = pods.get(&name).await.unwrap().status.and_then(|s| s.pod_ip) {
                    return address;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let address = tokio::time::timeout(SOON, addressed).await.expect("it has an address");
        let url = |port: u16, database: &str| format!("postgres://restorer:{password}@{address}:{port}/{database}");
        let ephemeral =
            Self { name, url: url(5432, "restored"), recovering: url(5433, "restored"), beside: url(5432, "postgres") };
        for url in [&ephemeral.url, &ephemeral.recovering] {
            tokio::time::timeout(SOON, until_serving(url)).await.expect("it serves");
        }
        ephemeral
    }

    pub async fn end(self, lab: &Lab) {
        lab.api::<Pod>(STAGING).delete(&self.name, &DeleteParams::default()).await.unwrap();
    }
}

/// Waits until a server lets in whoever the URL names.
async fn until_serving(url: &str) {
    loop {
        if let Ok(session) = PgConnection::connect(url).await {
            session.close().await.unwrap();
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Adds a staging server to the test's estate.
pub fn add_server(lab: &Lab, name: &str, url: &str, marker: &str) {
    std::fs::write(lab.path(name), url).unwrap();
    let estate = std::fs::read_to_string(lab.path("estate.yaml")).unwrap();
    let target = format!("  {name}:\n    staging: {{ server: {{ url: {{ file: {name} }}, marker: {marker} }} }}\n");
    std::fs::write(lab.path("estate.yaml"), estate.replace("probes:\n", &format!("{target}probes:\n"))).unwrap();
}
