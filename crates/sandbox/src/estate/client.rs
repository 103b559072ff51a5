//! Kubernetes clients for the sandbox's own programs: the ordinary client, without retries and with short deadlines.

use std::{path::Path, time::Duration};

use axum::http::{HeaderValue, header::USER_AGENT};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// A client of the API server that `KUBECONFIG` names, each of whose requests ends within `within`.
///
/// # Errors
/// When the kubeconfig cannot be read or is wrong.
pub async fn from_environment(within: Duration, who: &str) -> Result<Client, String> {
    let path = std::env::var_os("KUBECONFIG").ok_or("the environment variable KUBECONFIG is missing")?;
    from_file(Path::new(&path), Some(within), who).await
}

/// A client of the API server that the kubeconfig at `path` names; `within: None` for watches, which must not end early.
/// `who` stands in the user agent, so that audit logs tell the estate's own requests from a guest's.
pub async fn from_file(path: &Path, within: Option<Duration>, who: &str) -> Result<Client, String> {
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| error.to_string())?;
    // Nothing here speaks TLS, and loading the system's roots takes longer than connecting.
    config.root_cert = Some(Vec::new());
    config.default_retry = false;
    config.connect_timeout = Some(within.unwrap_or(Duration::from_secs(2)));
    config.read_timeout = within;
    config.write_timeout = within;
    let agent = HeaderValue::from_str(&format!("sandbox/{who}")).map_err(|error| error.to_string())?;
    config.headers.push((USER_AGENT, agent));
    Client::try_from(config).map_err(|error| error.to_string())
}
