//! Secrets, read when they are needed and held so that they cannot be printed.

use crate::spec::scalar::SecretRef;
use crate::targets::cluster::{ClusterError, Reader};
use secrecy::SecretString;
use std::path::Path;

/// Why a secret cannot be read. Never says what it holds.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("the environment variable {0} is not set; the estate takes a secret from it")]
    Env(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {source}")]
    File {
        /// Its path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The reference is not `namespace/name` or `namespace/name#key`.
    #[error("`{0}` does not name a Kubernetes Secret; expected `namespace/name` or `namespace/name#key`")]
    Shape(String),
    /// There is no cluster to ask.
    #[error("the secret {0} is in Kubernetes, and no cluster is configured")]
    NoCluster(String),
    /// The cluster could not be asked, or does not let this runner read it.
    #[error("{0}{help}", help = right_help(.0))]
    Cluster(#[from] ClusterError),
    /// The Secret, or its key, is not there.
    #[error("the Kubernetes Secret {secret} has no key `{key}`, or is not there")]
    Missing {
        /// `namespace/name`.
        secret: String,
        /// The key.
        key: String,
    },
}

/// What to do where the right to read is what is missing.
fn right_help(error: &ClusterError) -> &'static str {
    match error {
        ClusterError::Api { source, .. } if matches!(&**source, kube::Error::Api(status) if status.code == 403) => {
            ". Let the runner `get` this one Secret, by name: deploy/roles/secret.yaml; `firedrill doctor` prints the Role"
        }
        _ => "",
    }
}

/// Reads a secret.
///
/// # Errors
/// When it is not there or cannot be read.
pub async fn resolve(secret: &SecretRef, base: &Path, reader: Option<&Reader>) -> Result<SecretString, SecretError> {
    match secret {
        SecretRef::Env(name) => std::env::var(name).map(SecretString::from).map_err(|_| SecretError::Env(name.clone())),
        SecretRef::File(path) => {
            let file = base.join(path);
            let text = std::fs::read_to_string(&file)
                .map_err(|source| SecretError::File { path: file.display().to_string(), source })?;
            Ok(SecretString::from(text.trim_end_matches(['\n', '\r']).to_owned()))
        }
        SecretRef::Secret(reference) => {
            let (object, key) = reference.split_once('#').unwrap_or((reference, "url"));
            let (namespace, name) = object.split_once('/').ok_or_else(|| SecretError::Shape(reference.clone()))?;
            let reader = reader.ok_or_else(|| SecretError::NoCluster(reference.clone()))?;
            let found = reader.secret(namespace, name).await?;
            let bytes = found.and_then(|s| s.data).and_then(|mut data| data.remove(key));
            let text = bytes.and_then(|b| String::from_utf8(b.0).ok());
            text.map(|t| SecretString::from(t.trim_end_matches(['\n', '\r']).to_owned()))
                .ok_or_else(|| SecretError::Missing { secret: object.to_owned(), key: key.to_owned() })
        }
    }
}
