//! The shop's database: roles, schema and seed data, laid once by the first agent.

use std::fmt::Write as _;

use sqlx::{Connection as _, PgConnection};

use super::{credentials::Credentials, postgres::verifier::verifier};

/// The name of the shop's database.
pub const DATABASE: &str = "ultramarket";
/// An account of the seed data that can log in, with [`SEEDED_PASSWORD`].
pub const SEEDED_EMAIL: &str = "test@ultramarket.example";
/// The seeded account's password: invented, in no way a secret.
pub const SEEDED_PASSWORD: &str = "TestPassword123!";

const SCHEMA: &str = include_str!("catalogue.sql");

/// Makes the roles. `backup` may read everything and write nothing; `firedrill` may make a schema of its own
/// for its ledger and see replication, nothing more.
pub async fn create_roles(superuser: &mut PgConnection, passwords: &Credentials) -> sqlx::Result<()> {
    let mut sql = String::new();
    for (clause, password) in [
        ("ALTER ROLE postgres", &passwords.superuser),
        ("CREATE ROLE replicator LOGIN REPLICATION", &passwords.replicator),
        ("CREATE ROLE storefront LOGIN", &passwords.storefront),
        ("CREATE ROLE firedrill LOGIN", &passwords.firedrill),
        ("CREATE ROLE backup LOGIN", &passwords.backup),
        ("CREATE ROLE truth LOGIN", &passwords.truth),
    ] {
        let _ = writeln!(sql, "{clause} PASSWORD '{}';", verifier(password)?);
    }
    sql.push_str("GRANT pg_monitor TO firedrill; GRANT pg_read_all_data TO backup;");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *superuser).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {DATABASE}"))).execute(&mut *superuser).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("GRANT CREATE ON DATABASE {DATABASE} TO firedrill")))
        .execute(superuser)
        .await?;
    Ok(())
}

/// Makes the tables and fills them; `shop` is connected to [`DATABASE`] as superuser.
pub async fn create_schema(shop: &mut PgConnection) -> sqlx::Result<()> {
    let mut transaction = shop.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    transaction.commit().await
}
