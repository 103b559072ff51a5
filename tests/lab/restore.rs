//! A backup of the shop's database, kept on the S3 server, is restored into an ephemeral PostgreSQL in the staging
//! namespace, and never into production. (Not into a scratch: the machine's own PostgreSQL may be older than the pods'.)

use crate::ephemeral::{Ephemeral, MARKER, add_server};
use crate::lab::{Lab, Part, SHOP};
use crate::runner::Runner;
use firedrill_core::report::Verdict;
use k8s_openapi::api::core::v1::Pod;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const ROWS: i64 = 2_000;

/// What a test has put into the bucket, which goes with it: a bucket is a directory here.
struct Backups(PathBuf);

impl Drop for Backups {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Fills the shop's database, dumps it, and puts the dump into the bucket.
async fn back_up(lab: &Lab) -> Backups {
    let url = lab.shop_url().await;
    let mut session = PgConnection::connect(&url).await.unwrap();
    let fill = format!(
        "drop table if exists products;
         create table products (id bigint primary key, name text not null, price_cents bigint not null);
         insert into products select n, 'product ' || n, n * 100 from generate_series(1, {ROWS}) n"
    );
    session.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(fill))).await.unwrap();
    session.close().await.unwrap();
    let dump = lab.path("shop.dump");
    let status = Command::new("pg_dump").args(["-Fc", "-f"]).arg(&dump).arg("-d").arg(&url).status().await.unwrap();
    assert!(status.success());
    let (id, secret) = lab.s3_keys();
    let name = format!("shop-{}.dump", uuid::Uuid::now_v7());
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--config", "-"])
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
        .arg("--upload-file")
        .arg(&dump)
        .arg(format!("http://10.244.0.1:7070/backups/{}/{name}", lab.prefix()))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // The keys by standard input: a command line is for everybody to read.
    let mut told = curl.stdin.take().unwrap();
    told.write_all(format!("user = \"{id}:{secret}\"\n").as_bytes()).await.unwrap();
    drop(told);
    assert!(curl.wait().await.unwrap().success());
    Backups(lab.directory().join("s3/backups").join(lab.prefix()))
}

fn experiment(into: &str) -> String {
    format!(
        "objectives: {{ restore: 1m, rpo: 10m }}
method:
  - restore-backup:
      from: backups
      into: {into}
      select: newest
      verify:
        rows: {{ public.products: {ROWS} }}
        sql:
          - {{ name: every product has a price, query: select count(*) from products where price_cents <= 0, expect: \"0\" }}
recover: {{ deadline: 2m }}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_backup_is_restored_into_a_postgresql_of_the_staging_namespace() {
    let lab = Lab::enter(Part::Orders).await;
    let _backups = back_up(&lab).await;
    let staging = Ephemeral::start(&lab).await;
    add_server(&lab, "ephemeral", &staging.url, MARKER);
    Runner::new(&lab, "one").run(&lab.write("into-staging", &experiment("ephemeral"))).await.verdict(Verdict::Pass, 0);
    let mut session = PgConnection::connect(&staging.url).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'")
        .fetch_one(&mut session)
        .await
        .unwrap();
    assert_eq!(left, 0, "what was restored for the drill is gone with it");
    staging.end(&lab).await;
    lab.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pointed_at_production_it_is_refused_for_every_reason_there_is() {
    let lab = Lab::enter(Part::Orders).await;
    let _backups = back_up(&lab).await;
    add_server(&lab, "production", &lab.shop_url().await, MARKER);
    let ended = Runner::new(&lab, "one").run(&lab.write("into-production", &experiment("production"))).await;
    let report = ended.verdict(Verdict::Refused, 5);
    let refused = serde_json::to_string(&report.preflight).unwrap() + &report.judgement.cause;
    for guard in ["staging marker", "staging is empty", "another server than the source", "credentials"] {
        assert!(refused.contains(guard), "{guard}: {refused}");
    }
    let mut session = PgConnection::connect(&lab.shop_url().await).await.unwrap();
    let rows: i64 = sqlx::query_scalar("select count(*) from products").fetch_one(&mut session).await.unwrap();
    assert_eq!(rows, ROWS, "production is as it was");
    let pods = lab.api::<Pod>(SHOP).list(&kube::api::ListParams::default()).await.unwrap();
    assert!(pods.items.iter().all(|p| p.metadata.deletion_timestamp.is_none()));
    lab.assert_nothing_left().await;
}
