//! The label schemes of failover managers: from a manager's name and a cluster's to the selectors of its members and of its
//! primary. A scheme says what a manager writes on its pods by default, as far as is known; none of them is certified, and a
//! label alone never decides.

use crate::spec::leader_lock::LeaderLock;
use crate::spec::primary_rule::PrimaryRule;
use crate::spec::scalar::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A cluster that a failover manager looks after, by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ManagedCluster {
    /// The namespace of its pods.
    pub namespace: Name,
    /// What its manager calls it: a scope, a Cluster's name, a Helm release.
    pub cluster: Name,
}

/// What marks the primary, before it is in a target.
#[derive(Clone, Copy, Debug)]
enum Marks {
    Label(&'static str),
    Repmgr(&'static str),
}

/// On what the manager elects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Election {
    /// A Lease of the cluster's name.
    OnLease,
    /// The annotations that Patroni writes itself.
    OnAnnotations,
    /// What is not known well enough to be read.
    Elsewhere,
}

/// How one failover manager marks its pods.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    /// The word that stands for it in an estate.
    pub word: &'static str,
    /// The selector of the database pods; `{}` is the cluster's name.
    members: &'static str,
    primary: Marks,
    election: Election,
}

/// Every manager whose labels are known.
///
/// - `patroni`: "Kubernetes configuration settings" of its documentation: `scope_label` is `cluster-name`, `role_label` is
///   `role`; the leader's value is `primary` since version 4, `master` before. All of it can be configured otherwise. Who
///   leads stands in the annotations of an object of the scope's name ("Using Patroni with Kubernetes").
/// - `cloudnative-pg`: "Labels and annotations" of its documentation. `cnpg.io/podRole` tells instances from poolers; jobs
///   have none. The older label `role` is deprecated there. Newer versions elect on a Lease of the cluster's name.
/// - `zalando`: the user's guide of postgres-operator (`application=spilo,cluster-name=…,spilo-role=master`); Spilo with
///   Patroni 4 may be set to `primary`.
/// - `crunchy`: "Connect to a Postgres cluster" of its documentation, and the `data` label of its instances, which poolers
///   have not and repository hosts have with another value.
/// - `percona`: made from the same operator; `primary` in newer versions, `master` in older ones.
/// - `stackgres`: its tutorials (`app=StackGresCluster,stackgres.io/cluster-name=…`, `stackgres.io/cluster=true` for the pods
///   of members), `role` as Patroni has it.
/// - `repmgr`: Bitnami's chart `postgresql-ha`, by its release. It marks no primary: repmgr's own record of nodes is asked.
///
/// Only `patroni` was held against running clusters, of versions 3 and 4. The others' words are those that people's own
/// scripts and the operators' tests select by; the Lease of CloudNativePG could not be looked up. See with `firedrill plan`
/// that they find your pods.
pub const SCHEMES: &[Scheme] = &[
    Scheme {
        word: "patroni",
        members: "cluster-name={}",
        primary: Marks::Label("role in (primary,master)"),
        election: Election::OnAnnotations,
    },
    Scheme {
        word: "cloudnative-pg",
        members: "cnpg.io/cluster={},cnpg.io/podRole=instance",
        primary: Marks::Label("cnpg.io/instanceRole=primary"),
        election: Election::OnLease,
    },
    Scheme {
        word: "zalando",
        members: "application=spilo,cluster-name={}",
        primary: Marks::Label("spilo-role in (master,primary)"),
        election: Election::Elsewhere,
    },
    Scheme {
        word: "crunchy",
        members: "postgres-operator.crunchydata.com/cluster={},postgres-operator.crunchydata.com/data=postgres",
        primary: Marks::Label("postgres-operator.crunchydata.com/role in (master,primary)"),
        election: Election::Elsewhere,
    },
    Scheme {
        word: "percona",
        members: "postgres-operator.crunchydata.com/cluster={},postgres-operator.crunchydata.com/data=postgres",
        primary: Marks::Label("postgres-operator.crunchydata.com/role in (primary,master)"),
        election: Election::Elsewhere,
    },
    Scheme {
        word: "stackgres",
        members: "app=StackGresCluster,stackgres.io/cluster=true,stackgres.io/cluster-name={}",
        primary: Marks::Label("role in (primary,master)"),
        election: Election::Elsewhere,
    },
    Scheme {
        word: "repmgr",
        members: "app.kubernetes.io/instance={},app.kubernetes.io/component=postgresql,role=data",
        primary: Marks::Repmgr("repmgr"),
        election: Election::Elsewhere,
    },
];

impl Scheme {
    /// The scheme of a manager, by its word in an estate.
    pub fn of(word: &str) -> Option<&'static Self> {
        SCHEMES.iter().find(|s| s.word == word)
    }

    /// The selector of a cluster's members.
    pub fn members(&self, cluster: &Name) -> String {
        self.members.replace("{}", cluster.as_str())
    }

    /// What marks the primary among them.
    pub fn primary(&self) -> PrimaryRule {
        match self.primary {
            Marks::Label(selector) => PrimaryRule::Label(selector.to_owned()),
            Marks::Repmgr(database) => PrimaryRule::Repmgr(database.to_owned()),
        }
    }

    /// The lock on which a cluster's members elect, where it is known.
    pub fn leader_lock(&self, cluster: &Name) -> Option<LeaderLock> {
        match self.election {
            Election::OnLease => Some(LeaderLock::Lease(cluster.clone())),
            Election::OnAnnotations => Some(LeaderLock::Patroni(cluster.clone())),
            Election::Elsewhere => None,
        }
    }
}

/// The words of all schemes, in the order of documentation.
pub fn words() -> impl Iterator<Item = &'static str> {
    SCHEMES.iter().map(|s| s.word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::selector;

    #[test]
    fn every_scheme_makes_selectors_that_kubernetes_takes() {
        let cluster = Name::parse("orders").unwrap();
        for scheme in SCHEMES {
            let members = scheme.members(&cluster);
            assert_eq!(selector::check(&members), Ok(()), "{}", scheme.word);
            assert!(members.contains("=orders") && !members.contains("{}"), "{members}");
            if let PrimaryRule::Label(primary) = scheme.primary() {
                assert_eq!(selector::check(&format!("{members},{primary}")), Ok(()), "{}", scheme.word);
            }
        }
        let lock = |word: &str| Scheme::of(word).unwrap().leader_lock(&cluster);
        assert_eq!(lock("cloudnative-pg"), Some(LeaderLock::Lease(cluster.clone())));
        assert_eq!(lock("patroni"), Some(LeaderLock::Patroni(cluster.clone())));
    }
}
