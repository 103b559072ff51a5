//! A server that is there already may be restored into only when every one of these agrees; each alone refuses, and so
//! does one that could not be asked. Nothing here writes.

use crate::targets::quote::said;
use crate::targets::staging::{CONTENT, Login, MARKER, Permission, StagingServer, connect, database_setting};
use firedrill_core::restore::Check;
use firedrill_core::time::Known;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// How long the staging server has to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The guards that the server itself is asked for, and what each expects.
const ASKED: [(&str, &str); 5] = [
    ("staging marker", "firedrill.staging set on the database as the estate says"),
    ("staging is empty", "nothing of users in the database"),
    ("another server than the source", "a system identifier that differs from the source's"),
    ("staging is writable", "a server that is not in recovery"),
    ("nobody else is connected", "no other client in the database"),
];

/// Asks every guard. Restoring is allowed only when all are [`Known::Known`]`(true)`: see [`refusals`].
pub async fn survey(server: &StagingServer) -> Vec<Check> {
    let mut checks = vec![permission(server.permission), credentials(server)];
    let asked = match tokio::time::timeout(ANSWER_WITHIN, connect(server)).await {
        Ok(Ok(mut connection)) => {
            let asked = tokio::time::timeout(ANSWER_WITHIN, ask(server, &mut connection, ASKED)).await;
            asked.map_err(|_| format!("staging did not answer within {} s", ANSWER_WITHIN.as_secs()))
        }
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("staging did not let firedrill in within {} s", ANSWER_WITHIN.as_secs())),
    };
    match asked {
        Ok(asked) => checks.extend(asked),
        Err(why) => checks.extend(ASKED.map(|(name, expected)| Check::unknown(name, expected, why.clone()))),
    }
    checks
}

/// Why a restore is refused, guard by guard. Empty: it may begin.
pub fn refusals(checks: &[Check]) -> Vec<String> {
    let against = checks.iter().filter(|c| c.ok != Known::Known(true));
    against
        .map(|check| match &check.found {
            Known::Known(found) => format!("{}: expected {}, found {found}", check.name, check.expected),
            Known::Unknown(why) => format!("{}: cannot be told: {why}", check.name),
        })
        .collect()
}

fn permission(permission: Permission) -> Check {
    const NAME: &str = "restore allowed by the estate";
    const EXPECTED: &str = "restore-backup in its `allow`";
    match permission {
        Permission::Allowed => Check::answered(NAME, EXPECTED, "it is", true),
        Permission::NotAllowed => Check::answered(NAME, EXPECTED, "it is not", false),
    }
}

/// Neither the same login nor the same place. Nothing of either is printed.
fn credentials(server: &StagingServer) -> Check {
    const NAME: &str = "credentials differ from production's";
    const EXPECTED: &str = "another user or password, and another database";
    let production = match &server.production {
        Known::Known(production) => production,
        Known::Unknown(why) => return Check::unknown(NAME, EXPECTED, why.clone()),
    };
    let (staging, production) = match (Login::parse(&server.url), Login::parse(production)) {
        (Ok(staging), Ok(production)) => (staging, production),
        (Err(why), _) => return Check::unknown(NAME, EXPECTED, format!("staging: {why}")),
        (_, Err(why)) => return Check::unknown(NAME, EXPECTED, format!("production: {why}")),
    };
    let same_password = staging.password.expose_secret() == production.password.expose_secret();
    if staging.place == production.place {
        Check::answered(NAME, EXPECTED, "the very database of production", false)
    } else if staging.user == production.user && same_password {
        Check::answered(NAME, EXPECTED, "production's user with production's password", false)
    } else {
        Check::answered(NAME, EXPECTED, "they differ", true)
    }
}

async fn ask(server: &StagingServer, connection: &mut PgConnection, names: [(&str, &str); 5]) -> Vec<Check> {
    let found = [
        marker(connection, &server.marker).await,
        emptiness(connection).await,
        another_server(connection, &server.source_system_identifier).await,
        writable(connection).await,
        alone(connection).await,
    ];
    let checks = names.into_iter().zip(found);
    checks
        .map(|((name, expected), found)| match found {
            Ok((holds, found)) => Check::answered(name, expected, found, holds),
            Err(why) => Check::unknown(name, expected, why),
        })
        .collect()
}

/// Whether it holds, and what was found; or why it cannot be told.
type Answer = Result<(bool, String), String>;

async fn marker(connection: &mut PgConnection, wanted: &str) -> Answer {
    if wanted.is_empty() {
        return Ok((false, "the estate names an empty marker".to_owned()));
    }
    let how = "make it with: alter database … set firedrill.staging = '…'";
    Ok(match database_setting(connection, MARKER).await? {
        None => (false, format!("no marker; {how}")),
        Some(found) if found == wanted => (true, "it is".to_owned()),
        Some(found) => (false, format!("the marker `{found}`, which is another; {how}")),
    })
}

async fn emptiness(connection: &mut PgConnection) -> Answer {
    let content = sqlx::query_scalar::<_, String>(CONTENT).fetch_all(connection).await.map_err(|e| said(&e))?;
    Ok(match content.as_slice() {
        [] => (true, "it is empty".to_owned()),
        some => (false, some.join(", ")),
    })
}

async fn another_server(connection: &mut PgConnection, source: &Known<String>) -> Answer {
    let source = match source {
        Known::Known(source) => source,
        Known::Unknown(why) => return Err(format!("the source's system identifier is not known: {why}")),
    };
    let own = "select system_identifier::text from pg_control_system()";
    let own = sqlx::query_scalar::<_, String>(own).fetch_one(connection).await.map_err(|e| said(&e))?;
    Ok((own != *source, if own == *source { format!("the source itself, {own}") } else { own }))
}

async fn writable(connection: &mut PgConnection) -> Answer {
    let recovering = sqlx::query_scalar::<_, bool>("select pg_is_in_recovery()");
    let recovering = recovering.fetch_one(connection).await.map_err(|e| said(&e))?;
    Ok((!recovering, if recovering { "a standby" } else { "it is not" }.to_owned()))
}

/// A role that may not see the others' activity still sees that they are there.
async fn alone(connection: &mut PgConnection) -> Answer {
    let others = "select count(*) from pg_stat_activity where datname = current_database()
        and pid <> pg_backend_pid() and coalesce(backend_type, 'client backend') = 'client backend'";
    let others = sqlx::query_scalar::<_, i64>(others).fetch_one(connection).await.map_err(|e| said(&e))?;
    Ok((others == 0, if others == 0 { "nobody".to_owned() } else { format!("{others} other clients") }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    fn server(staging: &str, production: &str) -> StagingServer {
        StagingServer {
            url: SecretString::from(staging),
            marker: "staging".to_owned(),
            permission: Permission::Allowed,
            production: Known::Known(SecretString::from(production)),
            source_system_identifier: Known::Known("1".to_owned()),
        }
    }

    #[test]
    fn the_same_login_or_the_same_place_is_refused_and_never_printed() {
        let production = "postgres://app:s3cret@db.example:5432/orders";
        for same in [
            "postgres://app:s3cret@staging.example/copy",
            "postgres://app:s%33cret@staging.example/copy",
            "postgres://staging.example/copy?user=app&password=s3cret",
            "postgresql://other:else@DB.example/orders",
        ] {
            let check = credentials(&server(same, production));
            assert_eq!(check.ok, Known::Known(false), "{same}");
            assert!(!format!("{check:?}").contains("s3cret"), "{check:?}");
        }
        for differs in ["postgres://app:other@staging.example/copy", "postgres://copy:s3cret@staging.example/copy"] {
            assert_eq!(credentials(&server(differs, production)).ok, Known::Known(true), "{differs}");
        }
        let unreadable = credentials(&server("s3cret", production));
        assert!(matches!(&unreadable.ok, Known::Unknown(why) if !why.contains("s3cret")), "{unreadable:?}");
    }

    #[test]
    fn what_cannot_be_told_refuses() {
        let checks = [Check::answered("a", "x", "x", true), Check::unknown("b", "y", "no answer")];
        assert_eq!(refusals(&checks), ["b: cannot be told: no answer"]);
    }
}
