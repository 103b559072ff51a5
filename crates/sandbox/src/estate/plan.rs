//! The estate on paper: who lives at which address and port, in which namespace, under which names.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    account::RunAs,
    address::Network,
    layout::Layout,
    postgres::{config::Fsync, find_programs},
};

/// A Service of the estate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePlan {
    /// Its name.
    pub name: &'static str,
    /// Its address.
    pub listen: SocketAddr,
    /// The labels of the pods behind it.
    pub selector: Vec<(&'static str, &'static str)>,
    /// How many of them there are when all is well.
    pub endpoints: usize,
}

/// A Deployment of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeploymentPlan {
    /// Its name, which is also its role.
    pub name: &'static str,
    /// How many pods.
    pub replicas: usize,
}

/// The Deployments: the public entry, carts, orders and payments.
pub const DEPLOYMENTS: [DeploymentPlan; 3] = [
    DeploymentPlan { name: "storefront", replicas: 5 },
    DeploymentPlan { name: "cart", replicas: 2 },
    DeploymentPlan { name: "checkout", replicas: 3 },
];

/// The StatefulSet of the databases.
pub const DATABASES: &str = "postgresql";
/// How many databases.
pub const DATABASE_COUNT: usize = 2;
/// The Service that writes go to.
pub const PRIMARY_SERVICE: &str = "orders-primary";
/// The Service that only reads.
pub const REPLICA_SERVICE: &str = "orders-replica";

/// Everything that is decided before anything is started.
#[derive(Debug)]
pub struct Plan {
    /// The namespace everything lives in.
    pub namespace: String,
    /// Annotations that the caller wants on that namespace.
    pub namespace_annotations: Vec<(String, String)>,
    /// The directories.
    pub layout: Layout,
    /// The addresses.
    pub network: Network,
    /// The databases' port.
    pub database_port: u16,
    /// The agents' port.
    pub agent_port: u16,
    /// The shop's port.
    pub shop_port: u16,
    /// The executable that answers `sandbox-part …`.
    pub program: PathBuf,
    /// Directory of PostgreSQL's programs.
    pub postgres_programs: PathBuf,
    /// As whom PostgreSQL runs.
    pub run_as: RunAs,
    /// See [`Fsync`].
    pub fsync: Fsync,
    /// How long the database lease stays taken after a renewal; whole seconds.
    pub lease_ttl: Duration,
}

/// What the caller chooses of a [`Plan`].
#[derive(Debug, Clone)]
pub struct Wishes {
    /// The namespace.
    pub namespace: String,
    /// Annotations on it.
    pub namespace_annotations: Vec<(String, String)>,
    /// The executable that answers `sandbox-part …`.
    pub program: PathBuf,
    /// See [`Fsync`].
    pub fsync: Fsync,
    /// See [`Plan::lease_ttl`].
    pub lease_ttl: Duration,
}

impl Plan {
    /// Claims a network and ports; starts nothing.
    pub fn draw(layout: Layout, wishes: Wishes) -> io::Result<Self> {
        let network = Network::claim()?;
        Ok(Self {
            namespace: wishes.namespace,
            namespace_annotations: wishes.namespace_annotations,
            layout,
            database_port: network.usable_port(5432)?,
            agent_port: network.usable_port(8008)?,
            shop_port: network.usable_port(8080)?,
            network,
            program: wishes.program,
            postgres_programs: find_programs()?,
            run_as: RunAs::detect()?,
            fsync: wishes.fsync,
            lease_ttl: wishes.lease_ttl,
        })
    }

    /// The Services.
    pub fn services(&self) -> Vec<ServicePlan> {
        let database = |name, host, role| ServicePlan {
            name,
            listen: self.network.socket(host, self.database_port),
            selector: vec![("app", DATABASES), ("role", role)],
            endpoints: 1,
        };
        let mut services = vec![database(PRIMARY_SERVICE, 200, "primary"), database(REPLICA_SERVICE, 201, "replica")];
        for (deployment, host) in DEPLOYMENTS.iter().zip(202..) {
            services.push(ServicePlan {
                name: deployment.name,
                listen: self.network.socket(host, self.shop_port),
                selector: vec![("app", deployment.name)],
                endpoints: deployment.replicas,
            });
        }
        services
    }

    /// The address of the Service called `name`.
    pub fn service(&self, name: &str) -> SocketAddr {
        let found = self.services().into_iter().find(|service| service.name == name);
        // The names are constants of this file; the fallback refuses connections.
        found.map_or_else(|| self.network.socket(239, 1), |service| service.listen)
    }

    /// Where the S3 store listens.
    pub fn store(&self) -> SocketAddr {
        self.network.socket(240, 9000)
    }
}
