//! Who leads, as a failover manager's own lock says.

use crate::spec::leader_lock::LeaderLock;
use crate::targets::cluster::{ClusterError, Reader, is_forbidden};
use firedrill_core::sight::Term;
use firedrill_core::time::Known;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints};
use std::collections::BTreeMap;

/// What the lock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// Who holds it; empty when it was given up.
    pub(super) holder: Known<String>,
    /// For how long. Of Patroni's lock alone: other managers keep their locks in Leases, and what they hold themselves to
    /// beyond the holder's name is not known.
    pub(super) term: Option<Term>,
}

impl Lock {
    fn unknown(why: String) -> Self {
        Self { holder: Known::Unknown(why), term: None }
    }
}

/// Reads the lock.
///
/// # Errors
/// When the API cannot be asked. A lock that is not there, or may not be read, is no error: who leads is unknown then.
pub(super) async fn look(reader: &Reader, namespace: &str, lock: &LeaderLock) -> Result<Lock, ClusterError> {
    match lock {
        LeaderLock::Lease(name) => Ok(match reader.lease(namespace, name.as_str()).await? {
            Some(found) => Lock {
                holder: Known::Known(found.spec.and_then(|s| s.holder_identity).unwrap_or_default()),
                term: None,
            },
            None => Lock::unknown(format!("the Lease {name} is not there")),
        }),
        LeaderLock::Patroni(scope) => match patroni(reader, namespace, scope.as_str()).await {
            Err(ClusterError::Api { what, source }) if is_forbidden(&source) => {
                Ok(Lock::unknown(format!("this runner may not `{what}`, where Patroni keeps who leads")))
            }
            read => read,
        },
    }
}

/// Patroni keeps its lock in Endpoints, or in a `ConfigMap` where it is set up so.
async fn patroni(reader: &Reader, namespace: &str, scope: &str) -> Result<Lock, ClusterError> {
    if let Some(found) = reader.annotations::<Endpoints>(namespace, scope).await?.as_ref().and_then(annotated) {
        return Ok(found);
    }
    let name = format!("{scope}-leader");
    let found = reader.annotations::<ConfigMap>(namespace, &name).await?.as_ref().and_then(annotated);
    let nowhere = || format!("neither the Endpoints {scope} nor the ConfigMap {name} says who leads");
    Ok(found.unwrap_or_else(|| Lock::unknown(nowhere())))
}

/// The lock as Patroni writes it (`patroni/dcs/kubernetes.py`): `ttl` and `renewTime` stay when the holder takes its name
/// away, so that without them it is not Patroni's.
fn annotated(annotations: &BTreeMap<String, String>) -> Option<Lock> {
    let lasts_s = annotations.get("ttl")?.parse().ok()?;
    let renewed = annotations.get("renewTime")?.clone();
    let holder = annotations.get("leader").cloned().unwrap_or_default();
    Some(Lock { holder: Known::Known(holder), term: Some(Term { renewed, lasts_s }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pairs: &[(&str, &str)]) -> Option<Lock> {
        annotated(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_patroni_writes_names_the_leader_and_its_term() {
        let held = [("leader", "orders-0"), ("ttl", "30"), ("renewTime", "2026-01-01T10:00:00+00:00")];
        let lock = written(&held).unwrap();
        assert_eq!(lock.holder, Known::Known("orders-0".to_owned()));
        assert_eq!(lock.term, Some(Term { renewed: "2026-01-01T10:00:00+00:00".to_owned(), lasts_s: 30 }));
        assert_eq!(written(&held[1..]).unwrap().holder, Known::Known(String::new()), "it was given up");
    }

    #[test]
    fn what_is_not_patronis_says_nothing() {
        assert_eq!(written(&[]), None);
        assert_eq!(written(&[("leader", "orders-0")]), None);
        assert_eq!(written(&[("leader", "orders-0"), ("ttl", "soon"), ("renewTime", "now")]), None);
    }
}
