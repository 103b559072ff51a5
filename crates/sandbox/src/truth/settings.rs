//! What the truth is told: a JSON file, since it is a process of its own.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Everything the truth process needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TruthSettings {
    /// The JSON-lines file it writes.
    pub file: PathBuf,
    /// An answer that comes later is none, in milliseconds.
    pub timeout_ms: u64,
    /// For how long it stays dense after the last sign of trouble, in milliseconds.
    pub dense_for_ms: u64,
    /// The services to watch.
    pub services: Vec<ServiceSettings>,
    /// Kubeconfig of the API whose endpoints are watched; `None`: none are.
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of those endpoints.
    pub namespace: String,
    /// Where the database agents report their postmasters' process ids; `None`: unknown.
    pub control: Option<PathBuf>,
}

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSettings {
    /// Its name in the records.
    pub name: String,
    /// Where it is asked: the Service's address.
    pub address: SocketAddr,
    /// What it is asked.
    pub protocol: Protocol,
    /// How the kept view asks.
    pub kept: ViewSettings,
    /// How the fresh view asks; connections and logins cost the service far more than requests.
    pub fresh: ViewSettings,
}

/// How a view asks.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ViewSettings {
    /// From one sample to the next while all is well, in microseconds.
    pub calm_us: u64,
    /// From one sample to the next while something is wrong, in microseconds.
    pub dense_us: u64,
    /// Connections, which bound how many samples a stall can hold.
    pub slots: usize,
}

/// What a service is asked, and what a correct answer is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A GET, correct with this status and this text in its body.
    Http {
        /// Path and query.
        path: String,
        /// The only correct status.
        status: u16,
        /// A text that a correct body holds; empty for any body.
        contains: String,
    },
    /// A committed UPDATE of one row of `truth.beat`.
    PostgresWrite {
        /// The database.
        database: String,
        /// The role.
        role: String,
        /// The file with its password, sent in clear.
        password_file: PathBuf,
    },
}
