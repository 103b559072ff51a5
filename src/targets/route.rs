//! The way to a database: its connection URL as it stands, or the same through a door that follows the Service it names.

use crate::probes::detour::Detour;
use crate::spec::estate::{PostgresTarget, Reach};
use crate::targets::aim::{self, Aim, ServicePort};
use crate::targets::cluster::{ClusterError, Reader, Right};
use crate::targets::door::Door;
use k8s_openapi::api::core::v1::Service;
use secrecy::{ExposeSecret, SecretString};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use url::Url;

/// What `reach: port-forward` needs in the namespace of the pods and the Service.
pub const FORWARD_RIGHTS: &[Right] = &[
    Right::to("create", "", "pods/portforward"),
    Right::to("get", "", "pods"),
    Right::to("get", "", "services"),
    Right::to("list", "discovery.k8s.io", "endpointslices"),
    Right::to("watch", "discovery.k8s.io", "endpointslices"),
];

/// From one question whether the API answers to the next: a failed probe is believed only when it did meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Why there is no way to a database. No part of its URL but the host is in it.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// There is no cluster to go through.
    #[error("`reach: port-forward` needs a cluster, and none is configured")]
    NoCluster,
    /// The URL cannot be read.
    #[error("the connection URL cannot be read; expected postgres://user:password@service.namespace.svc:port/database")]
    Url,
    /// Its host is no Service.
    #[error(
        "`reach: port-forward` leads to Services, and `{0}` in the connection URL names none; expected `service`, \
         `service.namespace` or `service.namespace.svc`"
    )]
    NotAService(String),
    /// The name in the certificate cannot be checked against loopback.
    #[error(
        "`reach: port-forward` cannot check the server's name, as sslmode=verify-full asks; use verify-ca, or reach: direct"
    )]
    VerifyFull,
    /// The Service is not there, or has no such port.
    #[error("there is no Service {0} with the port of the connection URL")]
    Missing(String),
    /// The API did not say.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The system gave no port.
    #[error("no door could be opened on loopback: {0}")]
    Door(#[from] std::io::Error),
}

/// A way to a database.
#[derive(Debug)]
pub struct Route {
    /// What to connect to.
    pub url: SecretString,
    /// The URL as the estate has it: what it is held against when something must be another server.
    pub named: SecretString,
    /// The door, and what is known of the way through it; none where the URL is used as it stands.
    pub door: Option<(Door, Detour)>,
}

impl Route {
    /// A URL that is used as it stands.
    pub fn direct(url: SecretString) -> Self {
        Self { url: url.clone(), named: url, door: None }
    }

    /// The way to a target.
    ///
    /// # Errors
    /// When it leads through a door, and none can be opened.
    pub async fn to(target: &PostgresTarget, url: SecretString, reader: Option<&Reader>) -> Result<Self, RouteError> {
        if target.reach == Reach::Direct {
            return Ok(Self::direct(url));
        }
        let reader = reader.ok_or(RouteError::NoCluster)?;
        let named = Named::parse(&url, target.namespace.as_str())?;
        let shown = || format!("{}/{}", named.namespace, named.service);
        let service = reader.service(&named.namespace, &named.service).await?;
        let port =
            service.as_ref().and_then(|s| port_name(s, named.port)).ok_or_else(|| RouteError::Missing(shown()))?;
        let of = ServicePort { namespace: named.namespace.clone(), service: named.service.clone(), name: port };
        let detour = Detour::default();
        let (followed, following) = aim::follow(reader.clone(), of, detour.clone());
        let door = Door::open(reader.clone(), Aim::Service(followed), detour.clone()).await?;
        let door = door.with(following).with(ask(reader.clone(), detour.clone()));
        let through = named.through(door.port())?;
        Ok(Self { url: through, named: url, door: Some((door, detour)) })
    }

    /// The same URL, at the own address of one member.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn at(url: &SecretString, address: IpAddr, port: u16) -> Result<SecretString, RouteError> {
        let url = Url::parse(url.expose_secret()).map_err(|_| RouteError::Url)?;
        moved(url, address, port)
    }

    /// What is known of the way, where it is not the URL's own.
    pub fn detour(&self) -> Option<Detour> {
        self.door.as_ref().map(|(_, detour)| detour.clone())
    }
}

/// Asks the API again and again whether it answers.
async fn ask(reader: Reader, detour: Detour) {
    let mut tick = tokio::time::interval(ASK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = crate::clock::now();
        match tokio::time::timeout(ANSWER_WITHIN, reader.answers()).await {
            Ok(Ok(())) => detour.answered(asked),
            Ok(Err(_)) | Err(_) => detour.broke(asked),
        }
    }
}

/// The name of a Service's port, by its number.
fn port_name(service: &Service, port: u16) -> Option<String> {
    let mut ports = service.spec.as_ref()?.ports.iter().flatten();
    ports.find(|p| p.port == i32::from(port)).map(|p| p.name.clone().unwrap_or_default())
}

/// What a connection URL names.
struct Named {
    url: Url,
    service: String,
    namespace: String,
    port: u16,
}

impl Named {
    fn parse(url: &SecretString, namespace: &str) -> Result<Self, RouteError> {
        let url = Url::parse(url.expose_secret()).map_err(|_| RouteError::Url)?;
        let asked = |names: &[&str]| {
            url.query_pairs().find(|(name, _)| names.contains(&name.as_ref())).map(|(_, value)| value.into_owned())
        };
        if asked(&["sslmode", "ssl-mode"]).as_deref() == Some("verify-full") {
            return Err(RouteError::VerifyFull);
        }
        let host = asked(&["host", "hostaddr"]).or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
        let port = match asked(&["port"]) {
            Some(port) => port.parse().map_err(|_| RouteError::Url)?,
            None => url.port().unwrap_or(5432),
        };
        let labels: Vec<&str> = host.split('.').collect();
        let (service, namespace) = match labels.as_slice() {
            [service] => (*service, namespace),
            [service, namespace] | [service, namespace, "svc", ..] => (*service, *namespace),
            _ => return Err(RouteError::NotAService(host)),
        };
        if service.is_empty() || host.parse::<std::net::IpAddr>().is_ok() {
            return Err(RouteError::NotAService(host));
        }
        let (service, namespace) = (service.to_owned(), namespace.to_owned());
        Ok(Self { url, service, namespace, port })
    }

    /// The same URL, through a door.
    fn through(self, port: u16) -> Result<SecretString, RouteError> {
        moved(self.url, Ipv4Addr::LOCALHOST.into(), port)
    }
}

/// The same URL at another place; whatever named the old one is taken out.
fn moved(mut url: Url, address: IpAddr, port: u16) -> Result<SecretString, RouteError> {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !matches!(name.as_ref(), "host" | "hostaddr" | "port"))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    url.set_ip_host(address).map_err(|()| RouteError::Url)?;
    url.set_port(Some(port)).map_err(|()| RouteError::Url)?;
    Ok(SecretString::from(url.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(url: &str) -> Result<Named, RouteError> {
        Named::parse(&SecretString::from(url), "shop")
    }

    #[test]
    fn a_url_names_a_service_as_the_cluster_does() {
        for (url, service, namespace, port) in [
            ("postgres://a:b@orders/db", "orders", "shop", 5432),
            ("postgres://a:b@orders.payments:6432/db", "orders", "payments", 6432),
            ("postgres://a:b@orders.payments.svc.cluster.local/db", "orders", "payments", 5432),
            ("postgres://a:b@elsewhere/db?host=orders.payments.svc&port=5433", "orders", "payments", 5433),
        ] {
            let named = named(url).unwrap_or_else(|e| panic!("{url}: {e}"));
            assert_eq!((named.service.as_str(), named.namespace.as_str(), named.port), (service, namespace, port));
        }
        for url in ["postgres://a:hunter2@10.0.0.7/db", "postgres://a:hunter2@orders.shop.example/db"] {
            let why = named(url).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(why.contains("names none") && !why.contains("hunter2"), "{why}");
        }
        assert!(matches!(named("postgres://a:b@orders/db?sslmode=verify-full"), Err(RouteError::VerifyFull)));
    }

    #[test]
    fn through_a_door_everything_but_the_place_stays() {
        let url = "postgres://app:p%40ss@orders.shop.svc:5432/db?sslmode=require&host=orders.shop.svc";
        let through = named(url).unwrap().through(40_000).unwrap();
        assert_eq!(through.expose_secret(), "postgres://app:p%40ss@127.0.0.1:40000/db?sslmode=require");
    }

    #[test]
    fn at_a_member_everything_but_the_place_stays() {
        let url = SecretString::from("postgres://app:p%40ss@10.96.0.7/db?port=6432&sslmode=require");
        for (address, shown) in [("10.244.0.7", "10.244.0.7"), ("fd00::7", "[fd00::7]")] {
            let at = Route::at(&url, address.parse().unwrap(), 5433).unwrap();
            let wanted = format!("postgres://app:p%40ss@{shown}:5433/db?sslmode=require");
            assert_eq!(at.expose_secret(), wanted);
        }
        let why = Route::at(&SecretString::from("hunter2"), Ipv4Addr::LOCALHOST.into(), 1).unwrap_err().to_string();
        assert!(why.contains("cannot be read") && !why.contains("hunter2"), "{why}");
    }
}
