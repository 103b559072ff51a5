//! What a caller may know of a running sandbox: where things are. Passwords only as files.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The sandbox's directory; it goes when the sandbox goes.
    pub dir: PathBuf,
    /// An ordinary kubeconfig.
    pub kubeconfig: PathBuf,
    /// The namespace everything lives in.
    pub namespace: String,
    /// The Services' addresses, by name.
    pub services: BTreeMap<String, SocketAddr>,
    /// The Deployments and their replicas.
    pub deployments: BTreeMap<String, usize>,
    /// The database.
    pub database: DatabaseFacts,
    /// The shop's public entry, without a path.
    pub storefront_url: String,
    /// The backups.
    pub store: StoreFacts,
    /// Where ephemeral staging servers may be made; owned by the unprivileged account when we are root.
    pub staging: PathBuf,
    /// What the truth writes. Not for whoever measures.
    pub truth_file: PathBuf,
}

/// The database pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseFacts {
    /// The StatefulSet; its pods are labelled `app` with this name and `role` with `primary` or `replica`.
    pub stateful_set: String,
    /// The database's name.
    pub name: String,
    /// The port on which each database pod listens at its own address.
    pub port: u16,
    /// The Service that takes writes.
    pub primary_service: String,
    /// The Service that only reads.
    pub replica_service: String,
    /// Each role's URL, in a file of its own: `firedrill`, `storefront`, `backup`, `postgres` (superuser).
    pub url_files: BTreeMap<String, PathBuf>,
    /// Each role's Secret in the namespace, with the keys `url`, `username`, `password`, `database`.
    pub secrets: BTreeMap<String, String>,
    /// The table whose newest row tells the age of a restored copy, and its column of times.
    pub heartbeat: (String, String),
    /// Directory of PostgreSQL's programs.
    pub programs: PathBuf,
    /// `on` or `off`: to be stated wherever figures from a sandbox are shown.
    pub fsync: String,
}

/// The store of backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreFacts {
    /// The endpoint's URL; path style.
    pub endpoint: String,
    /// The region it says it is in.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The prefix of the dumps.
    pub prefix: String,
    /// Credentials in the form of an AWS credentials file.
    pub credentials_file: PathBuf,
    /// The access key alone.
    pub access_key_file: PathBuf,
    /// The secret key alone.
    pub secret_key_file: PathBuf,
    /// The Secret in the namespace, with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
}
