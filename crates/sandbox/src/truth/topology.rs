//! Watches the endpoints of the namespace's Services, on a thread of its own.

use std::{collections::BTreeMap, io::Write as _, os::unix::net::UnixStream, path::PathBuf, sync::mpsc::Sender};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Endpoints;
use kube::{
    Api,
    runtime::{
        WatchStreamExt as _,
        watcher::{Config, watcher},
    },
};

use super::record::Record;
use crate::{estate::client, process::boottime_ns};

/// Watches until the process ends; says each change to `out` and wakes the sampler by a byte.
pub(super) fn watch(kubeconfig: PathBuf, namespace: String, out: Sender<Record>, mut bell: UnixStream) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async move {
            let Ok(client) = client::from_file(&kubeconfig, None, "truth").await else { return };
            let api: Api<Endpoints> = Api::namespaced(client, &namespace);
            let mut changes = Box::pin(watcher(api, Config::default()).default_backoff().touched_objects());
            let mut known: BTreeMap<String, usize> = BTreeMap::new();
            while let Some(change) = changes.next().await {
                let Ok(endpoints) = change else { continue };
                let service = endpoints.metadata.name.clone().unwrap_or_default();
                let ready = count_ready(&endpoints);
                if known.insert(service.clone(), ready) == Some(ready) {
                    continue;
                }
                if out.send(Record::Endpoints { service, ready, seen_ns: boottime_ns() }).is_err() {
                    return;
                }
                let _ = bell.write_all(&[1]);
            }
        });
    });
}

/// Ready addresses; none in an object that was deleted.
fn count_ready(endpoints: &Endpoints) -> usize {
    if endpoints.metadata.deletion_timestamp.is_some() {
        return 0;
    }
    endpoints.subsets.iter().flatten().map(|subset| subset.addresses.as_ref().map_or(0, Vec::len)).sum()
}
