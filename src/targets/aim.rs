//! Where a forwarded connection is to lead: always to the same pod, or to whichever pod a Service would choose now.

use crate::probes::detour::Detour;
use crate::targets::cluster::Reader;
use futures_util::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::Event;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long the first word about a Service's endpoints may take.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// Before the endpoints are asked for again after an error.
const PAUSE: Duration = Duration::from_millis(200);

/// A port of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// Its UID: a successor of the same name is another place.
    pub uid: String,
    /// The port.
    pub port: u16,
}

/// Where connections lead.
#[derive(Clone, Debug)]
pub enum Aim {
    /// To this pod.
    Pod(Place),
    /// To a ready endpoint of a Service, in turn where there are several.
    Service(Followed),
}

/// The ready endpoints of a Service, as they are followed; nothing before the first word about them.
#[derive(Clone, Debug)]
pub struct Followed {
    ready: watch::Receiver<Option<Vec<Place>>>,
    turn: Arc<AtomicUsize>,
}

impl Aim {
    /// Where a connection that is made now leads; `None` where nobody would take it.
    pub(super) async fn place(&self) -> Option<Place> {
        match self {
            Self::Pod(place) => Some(place.clone()),
            Self::Service(followed) => {
                let mut ready = followed.ready.clone();
                let known = tokio::time::timeout(FIRST_WORD, ready.wait_for(Option::is_some)).await;
                let places = known.ok()?.ok()?.clone()?;
                let turn = followed.turn.fetch_add(1, Ordering::Relaxed);
                places.get(turn % places.len().max(1)).cloned()
            }
        }
    }

    /// Waits until a place is no ready endpoint any more; a pod that is always meant always stays one.
    pub(super) async fn left(&self, place: &Place) {
        if let Self::Service(followed) = self {
            let mut ready = followed.ready.clone();
            let gone = |places: &Option<Vec<Place>>| places.as_ref().is_some_and(|p| !p.contains(place));
            if ready.wait_for(gone).await.is_ok() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

/// What is followed of a Service.
#[derive(Clone, Debug)]
pub(super) struct ServicePort {
    pub(super) namespace: String,
    pub(super) service: String,
    /// The port's name in the Service and in its endpoints; empty where it is the only one.
    pub(super) name: String,
}

/// Follows a Service's endpoints for as long as the second part runs. What goes wrong on the way is told to the detour.
pub(super) fn follow(
    reader: Reader,
    of: ServicePort,
    detour: Detour,
) -> (Followed, impl Future<Output = ()> + Send + 'static) {
    let (tell, ready) = watch::channel(None);
    let following = async move {
        let mut events = Box::pin(reader.endpoints(&of.namespace, &of.service));
        let (mut slices, mut listed) = (HashMap::new(), HashMap::new());
        let name = |slice: &EndpointSlice| slice.metadata.name.clone().unwrap_or_default();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(slice)) => {
                    listed.insert(name(&slice), slice);
                    continue;
                }
                Err(why) => {
                    detour.broke(crate::clock::now());
                    tracing::debug!(%why, service = of.service, "its endpoints cannot be followed just now");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Ok(Event::InitDone) => slices = std::mem::take(&mut listed),
                Ok(Event::Apply(slice)) => drop(slices.insert(name(&slice), slice)),
                Ok(Event::Delete(slice)) => drop(slices.remove(&name(&slice))),
            }
            let mut places: Vec<Place> = slices.values().flat_map(|s| ready_places(s, &of)).collect();
            places.sort_by(|a, b| a.pod.cmp(&b.pod));
            tell.send_if_modified(|known| {
                let changed = known.as_ref() != Some(&places);
                *known = Some(places);
                changed
            });
        }
    };
    (Followed { ready, turn: Arc::default() }, following)
}

/// The ready pods of one slice. An endpoint that says nothing of itself is ready, as the API has it; one that names no pod
/// cannot be forwarded to.
fn ready_places(slice: &EndpointSlice, of: &ServicePort) -> Vec<Place> {
    let ports = slice.ports.iter().flatten();
    let port = ports.filter(|p| p.name.as_deref().unwrap_or_default() == of.name).find_map(|p| p.port);
    let Some(port) = port.and_then(|p| u16::try_from(p).ok()) else { return Vec::new() };
    let ready = slice
        .endpoints
        .iter()
        .filter(|e| e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true))
        .filter_map(|e| e.target_ref.as_ref())
        .filter(|t| t.kind.as_deref() == Some("Pod"))
        .filter(|t| t.namespace.as_ref().is_none_or(|n| *n == of.namespace));
    let place = |t: &k8s_openapi::api::core::v1::ObjectReference| {
        Some(Place {
            // A slice that names a pod of another namespace is not followed there.
            namespace: of.namespace.clone(),
            pod: t.name.clone()?,
            uid: t.uid.clone().unwrap_or_default(),
            port,
        })
    };
    ready.filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_ready_pods_at_the_port_of_that_name_are_meant() {
        let pod = |name: &str, conditions: serde_json::Value| {
            json!({ "addresses": ["10.0.0.1"], "conditions": conditions,
                "targetRef": { "kind": "Pod", "name": name, "namespace": "shop", "uid": format!("uid-{name}") } })
        };
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": { "name": "orders-1" }, "addressType": "IPv4",
            "endpoints": [
                pod("orders-0", json!({ "ready": true })),
                pod("orders-1", json!({ "ready": false, "serving": true, "terminating": true })),
                pod("orders-2", json!({})),
                { "addresses": ["10.0.0.9"], "conditions": { "ready": true } },
            ],
            "ports": [{ "name": "metrics", "port": 9187 }, { "name": "postgresql", "port": 5432 }],
        }))
        .unwrap();
        let of = |name: &str| ServicePort { namespace: "shop".into(), service: "orders".into(), name: name.into() };
        let found = ready_places(&slice, &of("postgresql"));
        let shown: Vec<(&str, &str, u16)> = found.iter().map(|p| (p.pod.as_str(), p.uid.as_str(), p.port)).collect();
        assert_eq!(shown, [("orders-0", "uid-orders-0", 5432), ("orders-2", "uid-orders-2", 5432)]);
        assert_eq!(ready_places(&slice, &of("http")), []);
    }
}
