//! Dumps of a generated shop, made once by a real `pg_dump` in each of the ways that people make them.

use super::postgres::Postgres;
use std::sync::OnceLock;

pub struct Dumps {
    /// Compressed, into a file: offsets known.
    pub file: Vec<u8>,
    /// Compressed, into a pipe: offsets unknown.
    pub pipe: Vec<u8>,
    /// Not compressed, into a file.
    pub plain: Vec<u8>,
    /// When the dumps were begun, at the latest, in nanoseconds since 1970.
    pub before_wall_ns: i64,
}

/// Five tables with keys, a sequence, large objects, a view, a function, an extension, and a canary.
pub const SCHEMA: &str = "
    create extension pgcrypto;
    create table products (id serial primary key, name text not null, price numeric not null check (price > 0));
    create table orders (id bigserial primary key, product int not null references products, placed timestamptz not null, note text);
    create index on orders (product);
    create table empty_one (id int);
    create table canary (at timestamptz not null);
    create schema audit;
    create table audit.entries (id int generated always as identity, what text);
    create view cheap as select * from products where price < 10;
    create function total() returns numeric language sql as $$ select sum(price) from products $$;
    insert into products (name, price) select 'product ' || i, 1 + i % 50 from generate_series(1, 200) i;
    insert into orders (product, placed, note)
        select 1 + i % 200, now() - i * interval '1 minute', md5(i::text) || md5((i + 1)::text) from generate_series(1, 3000) i;
    insert into audit.entries (what) select 'entry ' || i from generate_series(1, 50) i;
    insert into canary select now() - interval '90 seconds' union all select now() - interval '30 seconds';
    select lo_from_bytea(0, decode(repeat('ab', 9000), 'hex')), lo_from_bytea(0, 'small');
";

pub fn dumps() -> &'static Dumps {
    static DUMPS: OnceLock<Dumps> = OnceLock::new();
    DUMPS.get_or_init(|| {
        let source = Postgres::start("source");
        source.sql("postgres", "create database shop");
        source.sql("shop", SCHEMA);
        let before_wall_ns = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
        Dumps {
            file: source.dump("shop", "file.dump", &[]),
            pipe: source.dump_to_pipe("shop"),
            plain: source.dump("shop", "plain.dump", &["--compress=0"]),
            before_wall_ns,
        }
    })
}
