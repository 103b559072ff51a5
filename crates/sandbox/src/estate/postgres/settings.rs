//! What an agent is told by its pod's environment.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{
    config::{Fixed, Fsync},
    server::Server,
};
use crate::estate::{account::RunAs, credentials::Credentials};

/// Names of the environment variables.
pub mod env {
    /// The pod's name; also its identity as a cluster member.
    pub const POD_NAME: &str = "POD_NAME";
    /// The pod's namespace.
    pub const POD_NAMESPACE: &str = "POD_NAMESPACE";
    /// The pod's address.
    pub const POD_IP: &str = "POD_IP";
    /// Directory of PostgreSQL's programs.
    pub const PROGRAMS: &str = "PG_PROGRAMS";
    /// Directory with one volume a pod name.
    pub const VOLUMES: &str = "PG_VOLUMES";
    /// The server's port.
    pub const PORT: &str = "PG_PORT";
    /// `on` or `off`.
    pub const FSYNC: &str = "PG_FSYNC";
    /// The port of the agent's readiness endpoint.
    pub const AGENT_PORT: &str = "AGENT_PORT";
    /// Whole seconds that the lease stays taken after a renewal.
    pub const LEASE_SECONDS: &str = "LEASE_SECONDS";
    /// Directory with the passwords.
    pub const CREDENTIALS: &str = "CREDENTIALS";
    /// Directory with the switches.
    pub const CONTROL: &str = "CONTROL";
}

/// An agent's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The pod's name.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
    /// How long the lease stays taken after a renewal.
    pub lease_ttl: Duration,
    /// Where the agent says whether its server is ready.
    pub readiness: SocketAddr,
    /// The directory of switches and reports.
    pub control: PathBuf,
    /// Every password.
    pub credentials: Credentials,
    /// The server it keeps.
    pub server: Server,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable that is missing or wrong.
    pub fn from_env() -> Result<Self, String> {
        let pod = var(env::POD_NAME)?;
        let address: IpAddr = parsed(env::POD_IP)?;
        let credentials_dir = PathBuf::from(var(env::CREDENTIALS)?);
        let credentials = Credentials::load(&credentials_dir)
            .map_err(|error| format!("reading passwords in {}: {error}", credentials_dir.display()))?;
        let fsync = match var(env::FSYNC)?.as_str() {
            "on" => Fsync::On,
            "off" => Fsync::Off,
            other => return Err(format!("{}={other}: expected on or off", env::FSYNC)),
        };
        let server = Server {
            programs: PathBuf::from(var(env::PROGRAMS)?),
            volume: PathBuf::from(var(env::VOLUMES)?).join(&pod),
            run_as: RunAs::detect().map_err(|error| error.to_string())?,
            fixed: Fixed { name: pod.clone(), address, port: parsed(env::PORT)?, fsync },
            superuser: credentials.superuser.clone(),
        };
        Ok(Self {
            pod,
            namespace: var(env::POD_NAMESPACE)?,
            lease_ttl: Duration::from_secs(parsed::<u64>(env::LEASE_SECONDS)?.max(1)),
            readiness: SocketAddr::new(address, parsed(env::AGENT_PORT)?),
            control: PathBuf::from(var(env::CONTROL)?),
            credentials,
            server,
        })
    }

    /// Whether this pod makes the first cluster: the StatefulSet's ordinal 0.
    pub fn is_first(&self) -> bool {
        self.pod.ends_with("-0")
    }

    /// Where other pods reach this server.
    pub fn address(&self) -> String {
        SocketAddr::new(self.server.fixed.address, self.server.fixed.port).to_string()
    }
}

fn var(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("the environment variable {name} is missing"))
}

fn parsed<T>(name: &str) -> Result<T, String>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = var(name)?;
    text.parse().map_err(|error| format!("{name}={text}: {error}"))
}
