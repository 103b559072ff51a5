//! The shop's database: roles, schema and seed data, laid once by the first agent.

use sqlx::{Connection as _, PgConnection};

use super::credentials::Credentials;

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
    let login = |name: &str, password: &str| format!("CREATE ROLE {name} LOGIN PASSWORD '{password}';");
    let sql = [
        format!("CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{}';", passwords.replicator.reveal()),
        login("storefront", passwords.storefront.reveal()),
        login("firedrill", passwords.firedrill.reveal()),
        login("backup", passwords.backup.reveal()),
        login("truth", passwords.truth.reveal()),
        "GRANT pg_monitor TO firedrill; GRANT pg_read_all_data TO backup;".to_owned(),
    ]
    .concat();
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
