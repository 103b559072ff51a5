//! Feeds the proxies: one watch over the namespace's Endpoints, one channel a Service.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{EndpointAddress, Endpoints as EndpointsObject};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{Config, Event, watcher},
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::proxy::Endpoints;

/// One sender a Service, by name.
pub type Feeds = HashMap<String, watch::Sender<Endpoints>>;

/// Follows the namespace's Endpoints until cancelled; `client` must have no read timeout.
pub async fn follow(client: Client, namespace: String, feeds: Feeds, cancel: CancellationToken) {
    let api: Api<EndpointsObject> = Api::namespaced(client, &namespace);
    let mut changes = Box::pin(watcher(api, Config::default()).default_backoff());
    loop {
        let change = tokio::select! {
            () = cancel.cancelled() => return,
            change = changes.next() => change,
        };
        match change {
            Some(Ok(Event::Apply(object) | Event::InitApply(object))) => tell(&feeds, &object, read(&object)),
            Some(Ok(Event::Delete(object))) => tell(&feeds, &object, Endpoints::default()),
            Some(Ok(Event::Init | Event::InitDone)) => {}
            // The watcher connects again by itself, and then says everything anew.
            Some(Err(error)) => tracing::warn!(%error, "the watch of endpoints was interrupted"),
            None => return,
        }
    }
}

fn tell(feeds: &Feeds, object: &EndpointsObject, endpoints: Endpoints) {
    let Some(feed) = object.metadata.name.as_ref().and_then(|name| feeds.get(name)) else { return };
    feed.send_if_modified(|known| {
        let changed = *known != endpoints;
        *known = endpoints;
        changed
    });
}

/// Every address with every port of its subset.
fn read(object: &EndpointsObject) -> Endpoints {
    let mut endpoints = Endpoints::default();
    for subset in object.subsets.iter().flatten() {
        let ports: Vec<u16> = subset.ports.iter().flatten().filter_map(|port| u16::try_from(port.port).ok()).collect();
        let sockets = |addresses: &Option<Vec<EndpointAddress>>| -> Vec<SocketAddr> {
            let ips = addresses.iter().flatten().filter_map(|address| address.ip.parse::<IpAddr>().ok());
            ips.flat_map(|ip| ports.iter().map(move |port| SocketAddr::new(ip, *port))).collect()
        };
        endpoints.ready.extend(sockets(&subset.addresses));
        endpoints.not_ready.extend(sockets(&subset.not_ready_addresses));
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_meet_the_ports_of_their_own_subset() {
        let object: EndpointsObject = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "shop" },
            "subsets": [
                { "addresses": [{ "ip": "127.9.9.1" }, { "ip": "127.9.9.2" }], "ports": [{ "port": 80 }] },
                { "notReadyAddresses": [{ "ip": "127.9.9.3" }], "ports": [{ "port": 81 }] },
            ],
        }))
        .unwrap();
        let found = read(&object);
        assert_eq!(found.ready, ["127.9.9.1:80".parse().unwrap(), "127.9.9.2:80".parse().unwrap()]);
        assert_eq!(found.not_ready, ["127.9.9.3:81".parse().unwrap()]);
    }
}
