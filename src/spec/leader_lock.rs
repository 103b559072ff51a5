//! Where a failover manager keeps who leads: evidence of how a primary parted with its role.

use crate::spec::scalar::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The object on which the members elect their leader, in their namespace. It is only read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeaderLock {
    /// A Lease, by its name.
    Lease(Name),
    /// Patroni's, by its scope: the Endpoints of that name, or the `ConfigMap` of that name and `-leader`.
    Patroni(Name),
}
