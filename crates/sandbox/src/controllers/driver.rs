//! What drives every controller: changes in, the objects concerned brought to their state, no polling.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::select_all;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{Change, ChangeKind, Inner, Key, Kind, Store, Subscription};

/// The changes of several kinds, beginning with everything that is there.
pub(crate) struct Feed {
    store: Arc<Store>,
    subscriptions: Vec<(Kind, Subscription)>,
    first: Vec<(Kind, Change)>,
}

impl Feed {
    /// Follows `kinds`.
    pub(crate) fn new(store: &Arc<Store>, kinds: &[Kind]) -> Self {
        let mut feed = Self { store: Arc::clone(store), subscriptions: Vec::new(), first: Vec::new() };
        for &kind in kinds {
            let subscription = feed.read_all(kind);
            feed.subscriptions.push((kind, subscription));
        }
        feed
    }

    fn read_all(&mut self, kind: Kind) -> Subscription {
        let (objects, subscription) = self.store.list_and_subscribe(kind);
        let revision = subscription.cursor();
        self.first.extend(
            objects
                .into_iter()
                .map(|object| (kind, Change { revision, kind: ChangeKind::Added, object, before: None })),
        );
        subscription
    }

    /// The next changes. After a burst that outran the log, everything there is, as additions.
    pub(crate) async fn next(&mut self) -> Vec<(Kind, Change)> {
        if !self.first.is_empty() {
            return std::mem::take(&mut self.first);
        }
        let (outcome, at, _) =
            select_all(self.subscriptions.iter_mut().map(|(_, subscription)| Box::pin(subscription.next()))).await;
        let kind = self.subscriptions[at].0;
        if let Ok(changes) = outcome {
            return changes.into_iter().map(|change| (kind, change)).collect();
        }
        self.subscriptions[at].1 = self.read_all(kind);
        std::mem::take(&mut self.first)
    }
}

/// A controller: level-triggered, one object at a time, every step atomic.
pub(crate) trait Controller: Send + 'static {
    /// The kinds whose changes it wants to hear of.
    fn kinds(&self) -> Vec<Kind>;

    /// The objects that a change concerns.
    fn concerned(&mut self, kind: Kind, change: &Change, inner: &Inner) -> Vec<Key>;

    /// Brings one object to its state. Doing it again changes nothing.
    fn reconcile(&mut self, inner: &mut Inner, key: &Key);
}

/// Runs a controller until `closing`.
pub(crate) fn spawn(
    mut controller: impl Controller,
    store: &Arc<Store>,
    tasks: &TaskTracker,
    closing: &CancellationToken,
) {
    let (store, closing) = (Arc::clone(store), closing.clone());
    tasks.spawn(async move {
        let mut feed = Feed::new(&store, &controller.kinds());
        loop {
            let changes = tokio::select! {
                changes = feed.next() => changes,
                () = closing.cancelled() => return,
            };
            let mut dirty = BTreeSet::new();
            store.with(|inner| {
                for (kind, change) in &changes {
                    dirty.extend(controller.concerned(*kind, change, inner));
                }
            });
            for key in dirty {
                store.with(|inner| controller.reconcile(inner, &key));
                // Requests and the other controllers also want the lock.
                tokio::task::yield_now().await;
            }
        }
    });
}
