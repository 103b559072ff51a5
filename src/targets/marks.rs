//! Which members the estate's rule marks as the primary: labels say it of pods; a query and repmgr's record are asked of
//! the servers themselves.

use crate::spec::primary_rule::PrimaryRule;
use crate::targets::postgres::brief;
use firedrill_core::sight::Member;
use firedrill_core::time::Known;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use std::collections::BTreeSet;

/// The active primary by a node's own copy of repmgr's record (`repmgr.show_nodes` of repmgr 4 and 5).
const REPMGR_PRIMARIES: &str = "select node_name from repmgr.show_nodes where type = 'primary' and active order by 1";

/// What a member's server said about who is the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It was not asked: labels say it.
    None,
    /// Whether it is the one itself.
    Itself(bool),
    /// The primaries that its record names.
    Names(BTreeSet<String>),
}

/// Asks a server what the rule says, in a transaction that can change nothing.
///
/// # Errors
/// What kept it from an answer, for people.
pub(super) async fn ask(connection: &mut PgConnection, rule: &PrimaryRule) -> Result<Claim, String> {
    match rule {
        PrimaryRule::Label(_) => Ok(Claim::None),
        PrimaryRule::Sql(query) => {
            let rows = read_only(connection, query).await.map_err(|e| format!("the rule `primary.sql`: {e}"))?;
            let one = || "the rule `primary.sql` did not answer with one row of one boolean".to_owned();
            let [row] = rows.as_slice() else { return Err(one()) };
            row.try_get::<bool, _>(0).map(Claim::Itself).map_err(|_| one())
        }
        PrimaryRule::Repmgr(_) => {
            let rows = read_only(connection, REPMGR_PRIMARIES).await.map_err(|e| format!("repmgr.show_nodes: {e}"))?;
            let names = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<_, _>>();
            names.map(Claim::Names).map_err(|e| format!("repmgr.show_nodes: {}", brief(&e)))
        }
    }
}

async fn read_only(connection: &mut PgConnection, query: &str) -> Result<Vec<PgRow>, String> {
    // One message is one transaction, and its first statement makes it read-only, whatever the query says or calls.
    let text = format!("set transaction read only;\n{query}");
    connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(text))).await.map_err(|e| brief(&e))
}

/// Marks the members of which the rule says that they are the primary. What a server says of others counts against it when
/// no member is meant: a record that names nobody here is no answer.
pub(super) fn mark(members: &mut [Member], claims: &[Claim]) {
    let pods: BTreeSet<String> = members.iter().map(|m| m.pod.clone()).collect();
    let mut meant = BTreeSet::new();
    for (member, claim) in members.iter_mut().zip(claims) {
        match claim {
            Claim::None => {}
            Claim::Itself(itself) => member.labelled_primary = *itself,
            Claim::Names(names) => {
                let strangers: Vec<&str> = names.difference(&pods).map(String::as_str).collect();
                if names.is_empty() {
                    member.said = Known::Unknown("its repmgr.show_nodes names no active primary".to_owned());
                } else if !strangers.is_empty() {
                    let strangers = strangers.join(", ");
                    member.said =
                        Known::Unknown(format!("its repmgr.show_nodes names {strangers}, which is no member"));
                }
                meant.extend(names.iter().cloned());
            }
        }
    }
    for member in members.iter_mut().filter(|m| meant.contains(&m.pod)) {
        member.labelled_primary = true;
    }
}
