//! Feeds the proxies: one watch over the namespace's endpoint slices, one channel a Service.
//!
//! Slices, since the old Endpoints forget a pod the moment it is being deleted, while its process still answers.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

use futures_util::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
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

/// The label by which a slice names its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// One sender a Service, by name.
pub type Feeds = HashMap<String, watch::Sender<Endpoints>>;

/// Slices by Service, then by name: a Service may have several.
type Known = BTreeMap<String, BTreeMap<String, Endpoints>>;

/// Follows the namespace's slices until cancelled; `client` must have no read timeout.
pub async fn follow(client: Client, namespace: String, feeds: Feeds, cancel: CancellationToken) {
    let api: Api<EndpointSlice> = Api::namespaced(client, &namespace);
    let mut changes = Box::pin(watcher(api, Config::default()).default_backoff());
    let mut known = Known::new();
    let mut listed: Option<Known> = None;
    loop {
        let change = tokio::select! {
            () = cancel.cancelled() => return,
            change = changes.next() => change,
        };
        match change {
            Some(Ok(Event::Init)) => listed = Some(Known::new()),
            // What is not in a new list is gone: it takes the place of what was known only when it is whole.
            Some(Ok(Event::InitApply(slice))) => enter(listed.get_or_insert_default(), &slice, read(&slice)),
            Some(Ok(Event::InitDone)) => known = listed.take().unwrap_or_default(),
            Some(Ok(Event::Apply(slice))) => enter(&mut known, &slice, read(&slice)),
            Some(Ok(Event::Delete(slice))) => enter(&mut known, &slice, Endpoints::default()),
            // The watcher connects again by itself, and then says everything anew.
            Some(Err(error)) => tracing::warn!(%error, "the watch of endpoints was interrupted"),
            None => return,
        }
        if listed.is_none() {
            tell(&feeds, &known);
        }
    }
}

fn enter(known: &mut Known, slice: &EndpointSlice, endpoints: Endpoints) {
    let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
    if let (Some(service), Some(name)) = (service, &slice.metadata.name) {
        known.entry(service.clone()).or_default().insert(name.clone(), endpoints);
    }
}

fn tell(feeds: &Feeds, known: &Known) {
    for (service, feed) in feeds {
        let mut all = Endpoints::default();
        for endpoints in known.get(service).into_iter().flat_map(BTreeMap::values) {
            all.ready.extend(&endpoints.ready);
            all.serving.extend(&endpoints.serving);
            all.others.extend(&endpoints.others);
        }
        feed.send_if_modified(|before| {
            let changed = *before != all;
            *before = all;
            changed
        });
    }
}

/// Every address of the slice with every port.
fn read(slice: &EndpointSlice) -> Endpoints {
    let ports: Vec<u16> = slice.ports.iter().flatten().filter_map(|port| u16::try_from(port.port?).ok()).collect();
    let mut endpoints = Endpoints::default();
    for endpoint in &slice.endpoints {
        let conditions = endpoint.conditions.clone().unwrap_or_default();
        let list = match (conditions.ready, conditions.serving, conditions.terminating) {
            // No word on readiness means ready, by the API's definition.
            (Some(true) | None, _, _) => &mut endpoints.ready,
            (Some(false), Some(true), Some(true)) => &mut endpoints.serving,
            (Some(false), _, _) => &mut endpoints.others,
        };
        let addresses = endpoint.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
        list.extend(addresses.flat_map(|ip| ports.iter().map(move |port| SocketAddr::new(ip, *port))));
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_terminating_and_unready_are_told_apart() {
        let endpoint = |ip: &str, ready: bool, serving: bool, terminating: bool| {
            serde_json::json!({
                "addresses": [ip],
                "conditions": { "ready": ready, "serving": serving, "terminating": terminating },
            })
        };
        let slice: EndpointSlice = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "shop-1" }, "addressType": "IPv4", "ports": [{ "port": 80 }],
            "endpoints": [
                endpoint("127.9.9.1", true, true, false),
                endpoint("127.9.9.2", false, true, true),
                endpoint("127.9.9.3", false, false, true),
                endpoint("127.9.9.4", false, false, false),
            ],
        }))
        .unwrap();
        let found = read(&slice);
        assert_eq!(found.ready, ["127.9.9.1:80".parse().unwrap()]);
        assert_eq!(found.serving, ["127.9.9.2:80".parse().unwrap()]);
        assert_eq!(found.others, ["127.9.9.3:80".parse().unwrap(), "127.9.9.4:80".parse().unwrap()]);
    }
}
