//! Kubernetes clients for the sandbox's own programs: the ordinary client, without retries and with short deadlines.

use std::time::Duration;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// A client of the API server that `KUBECONFIG` names, each of whose requests ends within `within`.
///
/// # Errors
/// When the kubeconfig cannot be read or is wrong.
pub async fn from_environment(within: Duration) -> Result<Client, String> {
    let path = std::env::var_os("KUBECONFIG").ok_or("the environment variable KUBECONFIG is missing")?;
    let kubeconfig = Kubeconfig::read_from(&path).map_err(|error| error.to_string())?;
    from_kubeconfig(kubeconfig, Some(within)).await
}

/// A client of the API server that `kubeconfig` names; `within: None` for watches, which must not end early.
pub async fn from_kubeconfig(kubeconfig: Kubeconfig, within: Option<Duration>) -> Result<Client, String> {
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(|error| error.to_string())?;
    // Nothing here speaks TLS, and loading the system's roots takes longer than connecting.
    config.root_cert = Some(Vec::new());
    config.default_retry = false;
    config.connect_timeout = Some(within.unwrap_or(Duration::from_secs(2)));
    config.read_timeout = within;
    config.write_timeout = within;
    Client::try_from(config).map_err(|error| error.to_string())
}
