//! `sql` against a real PostgreSQL.

use crate::support::harvest::Harvest;
use crate::support::postgres::Postgres;
use firedrill_core::sample::Failure;
use firedrill_probes::config::{ProbeConfig, Question};
use firedrill_probes::scalar::{Name, Span};
use firedrill_probes::sql::Sql;

fn probe(server: &Postgres, query: &str, expect: Option<&str>) -> ProbeConfig {
    let spec = Sql {
        target: Name::parse("orders-db").unwrap(),
        query: query.to_owned(),
        expect: expect.map(str::to_owned),
        every: Some(Span::ms(50)),
        fresh_every: Some(Span::ms(200)),
        timeout: Some(Span::secs(30)),
    };
    let pace = spec.pace();
    let question = Question::Sql { url: server.url("admin"), spec };
    ProbeConfig { name: "orders-read".to_owned(), question, pace, excluded: None, detour: None }
}

#[tokio::test]
async fn answers_are_compared_as_text() {
    let server = Postgres::start().await;
    server.execute("create table orders (id int, total numeric(8,2)); insert into orders values (1, 9.5)").await;
    let right = [
        ("select count(*) > 0 from orders", Some("true")),
        ("select total from orders", Some("9.50")),
        ("select id from orders order by id;", Some("1")),
        ("select 'anything'", None),
        ("select null", None),
    ];
    let wrong = [
        ("select count(*) from orders", Some("2")),
        ("select null", Some("1")),
        ("select id from orders where false", Some("1")),
    ];
    let probes: Vec<_> = right.iter().chain(&wrong).map(|(query, expect)| probe(&server, query, *expect)).collect();
    let mut harvest = Harvest::start(&probes);
    for stream in 0..right.len() * 2 {
        harvest.until_ok(stream, 1).await;
    }
    for stream in right.len() * 2..probes.len() * 2 {
        harvest.until_failed(stream, Failure::WrongAnswer).await;
    }
    let (finished, _) = harvest.stop().await;
    assert!(finished.iter().take(right.len() * 2).all(|f| f.summary.failed == 0));
    assert!(finished.iter().skip(right.len() * 2).all(|f| f.summary.ok == 0));
}

#[tokio::test]
async fn a_query_cannot_change_anything() {
    let server = Postgres::start().await;
    server
        .execute(
            "create table orders (id int); insert into orders values (1);
             create function sweep() returns int language sql as 'delete from orders returning 1'",
        )
        .await;
    let probes = [probe(&server, "delete from orders returning id", None), probe(&server, "select sweep()", None)];
    let mut harvest = Harvest::start(&probes);
    for stream in 0..4 {
        harvest.until_failed(stream, Failure::ReadOnly).await;
    }
    harvest.stop().await;
    let left: i64 =
        sqlx::query_scalar("select count(*) from orders").fetch_one(&mut server.admin().await).await.unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn a_query_that_cannot_work_is_an_error() {
    let server = Postgres::start().await;
    let mut harvest = Harvest::start(&[probe(&server, "select * from missing", None)]);
    harvest.until_failed(0, Failure::Error).await;
    let detail = harvest.set.summaries()[0].last_detail.clone().unwrap();
    assert!(detail.contains("42P01") && detail.contains("missing"), "{detail}");
    harvest.stop().await;
}
