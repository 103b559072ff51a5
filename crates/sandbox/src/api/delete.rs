//! Deletion: preconditions, grace, finalizers, and what is to become of dependents.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::kinds::Kind;
use super::meta::{self, metadata};
use super::options::Query;
use super::status::ApiError;
use super::store::{Inner, Key, Object};
use super::write::{Mode, deletion_is_complete};

/// The finalizer that keeps an owner until its blocking dependents are gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that keeps an owner until its dependents have forgotten it.
pub(crate) const ORPHAN: &str = "orphan";
/// A pod's grace when it does not say.
const POD_GRACE_S: i64 = 30;

/// What a deletion asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    /// Seconds between SIGTERM and SIGKILL.
    pub(crate) grace_s: Option<i64>,
    /// Only this very object.
    pub(crate) uid: Option<String>,
    /// Only in this version.
    pub(crate) resource_version: Option<String>,
    /// `Background`, `Foreground` or `Orphan`.
    pub(crate) propagation: Option<String>,
    /// Judge only.
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// From the body, or from the query where the body says nothing.
    pub(crate) fn read(body: &Value, query: &Query) -> Result<Self, ApiError> {
        let text = |pointer: &str, name: &str| {
            let told = body.pointer(pointer).and_then(Value::as_str).or_else(|| query.get(name));
            told.map(str::to_owned)
        };
        let grace = match query.get("gracePeriodSeconds") {
            Some(told) => Some(told.parse().map_err(|_| ApiError::bad_request("gracePeriodSeconds is no number"))?),
            None => None,
        };
        let propagation = text("/propagationPolicy", "propagationPolicy");
        if let Some(told) = &propagation
            && !["Background", "Foreground", "Orphan"].contains(&told.as_str())
        {
            return Err(ApiError::bad_request(format!("propagationPolicy: unsupported value: \"{told}\"")));
        }
        Ok(Self {
            grace_s: meta::number(body, "/gracePeriodSeconds").or(grace),
            uid: text("/preconditions/uid", ""),
            resource_version: text("/preconditions/resourceVersion", ""),
            propagation,
            dry_run: query.dry_run() || !meta::items(body, "/dryRun").is_empty(),
        })
    }

    /// At once and only this object: how the kubelet confirms that a pod has ended.
    pub(crate) fn at_once(uid: &str) -> Self {
        Self { grace_s: Some(0), uid: Some(uid.to_owned()), ..Self::default() }
    }

    fn mode(&self) -> Mode {
        if self.dry_run { Mode::DryRun } else { Mode::Commit }
    }
}

/// What became of a deletion.
#[derive(Debug, Clone)]
pub(crate) enum Deletion {
    /// The object is gone; its last state.
    Gone(Object),
    /// It is on its way: grace or finalizers keep it.
    Begun(Object),
}

/// Deletes an object, or begins to.
pub(crate) fn delete(inner: &mut Inner, key: &Key, options: &DeleteOptions) -> Result<Deletion, ApiError> {
    let before = inner.get(key).ok_or_else(|| ApiError::not_found(key.kind, &key.name))?;
    check_preconditions(key, &before, options)?;
    let mut object = Value::clone(&before);
    let grace_s = if key.kind == Kind::Pod { pod_grace(&before, options) } else { 0 };
    add_finalizer(&mut object, options.propagation.as_deref());
    let begun_s = meta::number(&before, "/metadata/deletionGracePeriodSeconds");
    let first = !meta::is_deleting(&before);
    // Grace can only be shortened.
    if first || begun_s.is_some_and(|begun_s| grace_s < begun_s) {
        let ends = Timestamp::now() + SignedDuration::from_secs(grace_s);
        let metadata = metadata(&mut object);
        metadata.insert("deletionTimestamp".to_owned(), json!(meta::stamp(ends)));
        metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(grace_s));
        if let Some(generation) = metadata.get("generation").and_then(Value::as_i64).filter(|_| first) {
            metadata.insert("generation".to_owned(), json!(generation + 1));
        }
    }
    if key.kind == Kind::Namespace {
        object["status"]["phase"] = json!("Terminating");
    }
    let complete = deletion_is_complete(key.kind, &object);
    match (options.mode(), complete) {
        (Mode::DryRun, _) => Ok(Deletion::Gone(object.into())),
        (Mode::Commit, true) => Ok(Deletion::Gone(inner.remove(key).unwrap_or(before))),
        (Mode::Commit, false) => Ok(Deletion::Begun(inner.put(key, object))),
    }
}

/// Takes a finalizer off, which may be the last thing that a deletion waits for.
pub(crate) fn release(inner: &mut Inner, key: &Key, finalizer: &str) {
    let Some(before) = inner.get(key) else { return };
    let mut object = Value::clone(&before);
    if let Some(list) = metadata(&mut object).get_mut("finalizers").and_then(Value::as_array_mut) {
        list.retain(|one| one != finalizer);
    }
    if meta::is_deleting(&object) && deletion_is_complete(key.kind, &object) {
        inner.remove(key);
    } else {
        inner.put(key, object);
    }
}

/// The object must be the one that was meant.
pub(crate) fn check_preconditions(key: &Key, object: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let own = meta::uid(object);
    if let Some(told) = options.uid.as_deref().filter(|told| *told != own) {
        let why = format!(
            "the UID in the precondition ({told}) does not match the UID in record ({own}). The object might have been \
             deleted and then recreated"
        );
        return Err(ApiError::conflict(key.kind, &key.name, &why));
    }
    let own = meta::resource_version(object);
    if let Some(told) = options.resource_version.as_deref().filter(|told| *told != own) {
        let why = format!(
            "the ResourceVersion in the precondition ({told}) does not match the ResourceVersion in record ({own}). The \
             object might have been modified"
        );
        return Err(ApiError::conflict(key.kind, &key.name, &why));
    }
    Ok(())
}

/// A pod that no kubelet has, or that has ended, needs no grace.
fn pod_grace(pod: &Value, options: &DeleteOptions) -> i64 {
    let ended = ["Succeeded", "Failed"].contains(&meta::text(pod, "/status/phase"));
    if meta::text(pod, "/spec/nodeName").is_empty() || ended {
        return 0;
    }
    let own = meta::number(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(POD_GRACE_S);
    let asked = options.grace_s.unwrap_or(own);
    if asked < 0 { 1 } else { asked }
}

fn add_finalizer(object: &mut Value, propagation: Option<&str>) {
    let finalizer = match propagation {
        Some("Foreground") => FOREGROUND,
        Some("Orphan") => ORPHAN,
        _ => return,
    };
    let list = metadata(object).entry("finalizers").or_insert_with(|| json!([]));
    if let Some(list) = list.as_array_mut()
        && !list.contains(&json!(finalizer))
    {
        list.push(json!(finalizer));
    }
}
