//! The one place where objects are kept and changed: one lock, one revision counter, a bounded log of each kind.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::kinds::{Kind, Manner};
use super::meta;

/// An object as JSON. Shared, never changed in place.
pub type Object = Arc<Value>;

/// The first revision. Not 1, so that a watch from the beginning of time is expired here as on a real cluster.
const FIRST_REVISION: u64 = 1_000;
/// How many pages of lists are remembered; older ones are expired.
const SNAPSHOTS_MAX: usize = 32;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, empty for cluster-wide kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The object `name` of `kind` in `namespace` (empty for cluster-wide kinds).
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// Where this object is, by its own metadata.
    pub fn of(kind: Kind, object: &Value) -> Self {
        Self::new(kind, meta::namespace(object), meta::name(object))
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// One entry of a kind's log.
#[derive(Debug, Clone)]
pub struct Change {
    /// The revision that it made.
    pub revision: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The object after it; for a deletion the last state, with the deletion's revision.
    pub object: Object,
    /// The object before it.
    pub before: Option<Object>,
}

/// The log no longer reaches back to the revision asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct Expired {
    /// The revision asked for.
    pub asked: u64,
    /// The oldest revision from which the log is whole.
    pub oldest: u64,
}

#[derive(Debug, Default)]
struct Log {
    changes: VecDeque<Change>,
    /// Everything after this revision is in `changes`.
    floor: u64,
}

/// A list that was read in pages: every page shows the same moment.
#[derive(Debug)]
struct Snapshot {
    id: u64,
    revision: u64,
    rest: Vec<Object>,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Inner {
    revision: u64,
    objects: BTreeMap<Key, Object>,
    /// Who names whom as an owner, by the owner's uid: controllers ask this for every pod that changes.
    owned: HashMap<String, BTreeSet<Key>>,
    logs: Vec<Log>,
    log_max: usize,
    snapshots: VecDeque<Snapshot>,
    touched: Vec<Kind>,
}

/// All objects. Shared by the API, the kubelet and the controllers of one sandbox.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    wakes: Vec<watch::Sender<u64>>,
}

impl Store {
    /// An empty store that remembers `log_max` changes of each kind.
    pub fn new(log_max: usize) -> Arc<Self> {
        let logs = Kind::ALL.iter().map(|_| Log { floor: FIRST_REVISION, ..Log::default() }).collect();
        let inner = Inner {
            revision: FIRST_REVISION,
            objects: BTreeMap::new(),
            owned: HashMap::new(),
            logs,
            log_max,
            snapshots: VecDeque::new(),
            touched: Vec::new(),
        };
        let wakes = Kind::ALL.iter().map(|_| watch::Sender::new(FIRST_REVISION)).collect();
        Arc::new(Self { inner: Mutex::new(inner), wakes })
    }

    /// Runs `work` as one step that nobody sees half of, then wakes who watches the kinds it changed.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let outcome = work(&mut inner);
        let revision = inner.revision;
        let touched = std::mem::take(&mut inner.touched);
        drop(inner);
        for kind in touched {
            self.wakes[kind.index()].send_replace(revision);
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Objects are replaced whole: a panic in a step leaves no half-written one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Object> {
        self.lock().get(key)
    }

    /// All objects of a kind, of one namespace when it is given.
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> Vec<Object> {
        self.lock().range(kind, namespace).cloned().collect()
    }

    /// The current revision.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// Changes an object if it is there and `change` says that it changed something; returns what it is now.
    pub fn modify(&self, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Object> {
        self.with(|inner| {
            let mut object = Value::clone(&*inner.get(key)?);
            change(&mut object);
            Some(inner.put(key, object))
        })
    }

    /// The log of a kind from `revision` on.
    pub fn changes_since(&self, kind: Kind, revision: u64) -> Result<Vec<Change>, Expired> {
        self.lock().changes_since(kind, revision)
    }

    /// Follows a kind from the revision `after`.
    pub fn subscribe(self: &Arc<Self>, kind: Kind, after: u64) -> Subscription {
        let wake = self.wakes[kind.index()].subscribe();
        Subscription { store: Arc::clone(self), kind, cursor: after, wake }
    }

    /// Every object of a kind, and a subscription to what happens after.
    pub fn list_and_subscribe(self: &Arc<Self>, kind: Kind) -> (Vec<Object>, Subscription) {
        let (objects, revision) = {
            let inner = self.lock();
            (inner.range(kind, None).cloned().collect(), inner.revision)
        };
        (objects, self.subscribe(kind, revision))
    }

    /// Forgets the history, as a real cluster's compaction does: watches that resume from before are expired.
    pub fn compact(&self) {
        self.with(|inner| {
            let revision = inner.revision;
            inner.snapshots.clear();
            for log in &mut inner.logs {
                log.changes.clear();
                log.floor = revision;
            }
        });
    }
}

impl Inner {
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Object> {
        self.objects.get(key).cloned()
    }

    /// The objects of a kind in order of namespace and name.
    pub(crate) fn range(&self, kind: Kind, namespace: Option<&str>) -> impl Iterator<Item = &Object> {
        let first = Key::new(kind, namespace.unwrap_or_default(), "");
        let namespace = namespace.map(str::to_owned);
        self.objects
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(move |(key, _)| {
                key.kind == kind && namespace.as_ref().is_none_or(|namespace| &key.namespace == namespace)
            })
            .map(|(_, object)| object)
    }

    /// The only way an object comes to be or changes. Equal to what is there: nothing happens, so that controllers
    /// settle. Otherwise a revision passes, and the generation counts on if the specification changed.
    pub(crate) fn put(&mut self, key: &Key, mut object: Value) -> Object {
        let before = self.objects.get(key).cloned();
        if let Some(before) = &before {
            let version = before.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
            meta::metadata(&mut object).insert("resourceVersion".to_owned(), version);
            if **before == object {
                return Arc::clone(before);
            }
            if key.kind.has(Manner::Generation) && specification_differs(key.kind, before, &object) {
                let generation = meta::number(before, "/metadata/generation").unwrap_or(0) + 1;
                meta::metadata(&mut object).insert("generation".to_owned(), json!(generation));
            }
        }
        let revision = self.pass(key.kind);
        meta::metadata(&mut object).insert("resourceVersion".to_owned(), json!(revision.to_string()));
        let object = Arc::new(object);
        self.objects.insert(key.clone(), Arc::clone(&object));
        if let Some(before) = &before {
            self.disown(key, before);
        }
        for uid in owner_uids(&object) {
            self.owned.entry(uid.to_owned()).or_default().insert(key.clone());
        }
        let kind = if before.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        self.record(key.kind, Change { revision, kind, object: Arc::clone(&object), before });
        object
    }

    /// The only way an object goes.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Object> {
        let before = self.objects.remove(key)?;
        self.disown(key, &before);
        let revision = self.pass(key.kind);
        let mut last = Value::clone(&before);
        meta::metadata(&mut last).insert("resourceVersion".to_owned(), json!(revision.to_string()));
        let object = Arc::new(last);
        let change = Change { revision, kind: ChangeKind::Deleted, object: Arc::clone(&object), before: Some(before) };
        self.record(key.kind, change);
        Some(object)
    }

    /// Everything that names this uid as an owner.
    pub(crate) fn owned_by(&self, uid: &str) -> impl Iterator<Item = &Key> {
        self.owned.get(uid).into_iter().flatten()
    }

    fn disown(&mut self, key: &Key, object: &Value) {
        for uid in owner_uids(object) {
            if let Some(owned) = self.owned.get_mut(uid) {
                owned.remove(key);
                if owned.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
    }

    fn pass(&mut self, kind: Kind) -> u64 {
        self.revision += 1;
        if !self.touched.contains(&kind) {
            self.touched.push(kind);
        }
        self.revision
    }

    fn record(&mut self, kind: Kind, change: Change) {
        let log = &mut self.logs[kind.index()];
        log.changes.push_back(change);
        while log.changes.len() > self.log_max {
            if let Some(oldest) = log.changes.pop_front() {
                log.floor = oldest.revision;
            }
        }
    }

    /// The log of a kind from `revision` on. A revision from the future belongs to another life of this server.
    pub(crate) fn changes_since(&self, kind: Kind, revision: u64) -> Result<Vec<Change>, Expired> {
        let log = &self.logs[kind.index()];
        if revision < log.floor || revision > self.revision {
            return Err(Expired { asked: revision, oldest: log.floor });
        }
        let first = log.changes.partition_point(|change| change.revision <= revision);
        Ok(log.changes.range(first..).cloned().collect())
    }

    /// Remembers the rest of a list; the token names it.
    pub(crate) fn remember(&mut self, revision: u64, rest: Vec<Object>) -> u64 {
        let id = self.snapshots.back().map_or(1, |newest| newest.id + 1);
        self.snapshots.push_back(Snapshot { id, revision, rest });
        while self.snapshots.len() > SNAPSHOTS_MAX {
            self.snapshots.pop_front();
        }
        id
    }

    /// The revision and the objects of a remembered list from `offset` on.
    pub(crate) fn recall(&self, id: u64, offset: usize) -> Option<(u64, &[Object])> {
        let snapshot = self.snapshots.iter().find(|snapshot| snapshot.id == id)?;
        Some((snapshot.revision, snapshot.rest.get(offset..)?))
    }
}

fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    meta::items(object, "/metadata/ownerReferences").iter().map(|owner| meta::text(owner, "/uid"))
}

/// The fields of an object that its author means.
fn content(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status"))
}

/// Whether a change counts as one of the specification. As upstream, a Deployment's annotations count too.
fn specification_differs(kind: Kind, before: &Value, after: &Value) -> bool {
    let annotations = "/metadata/annotations";
    !content(before).eq(content(after))
        || (kind == Kind::Deployment && before.pointer(annotations) != after.pointer(annotations))
}

/// A place in a kind's log that moves on as it is read.
#[derive(Debug)]
pub struct Subscription {
    store: Arc<Store>,
    kind: Kind,
    cursor: u64,
    wake: watch::Receiver<u64>,
}

impl Subscription {
    /// Waits for changes. The cursor stands after them. Safe to drop while waiting: nothing is lost.
    pub async fn next(&mut self) -> Result<Vec<Change>, Expired> {
        loop {
            self.wake.borrow_and_update();
            let changes = self.store.changes_since(self.kind, self.cursor)?;
            if let Some(last) = changes.last() {
                self.cursor = last.revision;
                return Ok(changes);
            }
            if self.wake.changed().await.is_err() {
                // The store outlives its subscriptions (they hold it); its senders therefore do too.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The last revision seen.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Moves the cursor to now, after the subscriber has read the current state by other means.
    pub fn skip_to(&mut self, revision: u64) {
        self.cursor = revision;
    }
}
