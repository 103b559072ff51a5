//! Follows the pods that are bound and gives each a worker.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::addresses::Addresses;
use super::back_off::BackOff;
use super::pod::{self, Word};
use crate::api::{Change, ChangeKind, Kind, Store, meta};
use crate::controllers::Feed;
use crate::process::Keeper;

/// What a kubelet needs to know.
#[derive(Debug, Clone)]
pub(crate) struct KubeletOptions {
    pub(crate) network: [u8; 3],
    pub(crate) pod_env: BTreeMap<String, String>,
    pub(crate) logs: PathBuf,
    pub(crate) volumes: PathBuf,
    pub(crate) pods: PathBuf,
    pub(crate) back_off: BackOff,
}

/// What all workers share.
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) keeper: Keeper,
    pub(super) addresses: Arc<Addresses>,
    pub(super) pod_env: BTreeMap<String, String>,
    pub(super) logs: PathBuf,
    pub(super) volumes: PathBuf,
    pub(super) pods: PathBuf,
    pub(super) back_off: BackOff,
}

/// A running kubelet.
#[derive(Debug)]
pub(crate) struct Kubelet {
    tasks: TaskTracker,
    kill: CancellationToken,
}

impl Kubelet {
    /// Follows the pods of a store.
    pub(crate) fn start(store: Arc<Store>, keeper: Keeper, options: KubeletOptions) -> Self {
        let KubeletOptions { network, pod_env, logs, volumes, pods, back_off } = options;
        let addresses = Addresses::new(network);
        let shared = Arc::new(Shared { store, keeper, addresses, pod_env, logs, volumes, pods, back_off });
        let (tasks, kill) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(follow(shared, tasks.clone(), kill.clone()));
        Self { tasks, kill }
    }

    /// Kills every pod's processes and waits for their end. Objects stay as they are.
    pub(crate) async fn stop(self) {
        self.kill.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn follow(shared: Arc<Shared>, tasks: TaskTracker, kill: CancellationToken) {
    let mut feed = Feed::new(&shared.store, &[Kind::Pod]);
    let mut workers: HashMap<String, watch::Sender<Word>> = HashMap::new();
    loop {
        let changes = tokio::select! {
            changes = feed.next() => changes,
            () = kill.cancelled() => return,
        };
        for (_, Change { kind, object, .. }) in changes {
            let uid = meta::uid(&object).to_owned();
            if kind == ChangeKind::Deleted {
                if let Some(worker) = workers.remove(&uid) {
                    worker.send_replace(Word::Gone);
                }
                continue;
            }
            let Some(worker) = workers.get(&uid) else {
                if !meta::text(&object, "/spec/nodeName").is_empty() {
                    let (sender, words) = watch::channel(Word::Is(Arc::clone(&object)));
                    workers.insert(uid, sender);
                    tasks.spawn(pod::run(Arc::clone(&shared), object, words, kill.clone()));
                }
                continue;
            };
            worker.send_replace(Word::Is(object));
        }
    }
}
