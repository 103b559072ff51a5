//! Create, update, patch: what the server does with an object on its way in.

use serde_json::{Map, Value, json};

use super::kinds::{Kind, Manner, Scope};
use super::meta::{self, metadata};
use super::patch::{self, Patch};
use super::status::ApiError;
use super::store::{Inner, Key, Object};
use super::{rules, typed};

/// Whether a request is to be carried out or only judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Carried out.
    Commit,
    /// `dryRun=All`: judged and answered, nothing kept.
    DryRun,
}

/// Which half of an object a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// All but the status, where the status is a subresource.
    Main,
    /// Only the status.
    Status,
}

/// Gives a new Service its address.
pub(crate) type Addresses<'a> = &'a dyn Fn(&Inner) -> Option<String>;

/// Creates an object.
pub(crate) fn create(
    inner: &mut Inner,
    kind: Kind,
    namespace: &str,
    mut object: Value,
    addresses: Addresses<'_>,
    mode: Mode,
) -> Result<Object, ApiError> {
    accept_identity(kind, namespace, &mut object)?;
    if !meta::resource_version(&object).is_empty() {
        return Err(ApiError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let prefix = meta::text(&object, "/metadata/generateName").to_owned();
    if meta::name(&object).is_empty() {
        if prefix.is_empty() {
            let wrong = "Required value: name or generateName is required".to_owned();
            return Err(ApiError::invalid(kind, "", &[("metadata.name".to_owned(), wrong)]));
        }
        let name = format!("{prefix}{}", meta::suffix());
        metadata(&mut object).insert("name".to_owned(), json!(name));
    }
    let mut object = typed::canonical(kind, object)?;
    if kind.has(Manner::Status)
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
    typed::defaults(kind, &mut object);
    if kind == Kind::Pod {
        object["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
    }
    if kind == Kind::Service {
        give_address(inner, &mut object, addresses);
    }
    let mut object = typed::canonical(kind, object)?;
    stamp_new(kind, &mut object);
    rules::check(kind, &object)?;
    let key = Key::of(kind, &object);
    namespace_takes(inner, &key)?;
    if inner.get(&key).is_some() {
        return Err(ApiError::already_exists(kind, &key.name));
    }
    Ok(commit(inner, &key, object, mode))
}

/// Replaces an object, or one half of it.
pub(crate) fn replace(
    inner: &mut Inner,
    key: &Key,
    mut object: Value,
    half: Half,
    mode: Mode,
) -> Result<Object, ApiError> {
    accept_identity(key.kind, &key.namespace, &mut object)?;
    let named = meta::name(&object);
    if named != key.name {
        let message = format!("the name of the object ({named}) does not match the name on the URL ({})", key.name);
        return Err(ApiError::bad_request(message));
    }
    let Some(before) = inner.get(key) else {
        if key.kind.has(Manner::CreateOnUpdate) {
            metadata(&mut object).remove("resourceVersion");
            return create(inner, key.kind, &key.namespace, object, &|_| None, mode);
        }
        return Err(ApiError::not_found(key.kind, &key.name));
    };
    if meta::resource_version(&object).is_empty() && key.kind.has(Manner::VersionedUpdate) {
        let wrong = "Invalid value: 0: must be specified for an update".to_owned();
        return Err(ApiError::invalid(key.kind, &key.name, &[("metadata.resourceVersion".to_owned(), wrong)]));
    }
    settle(inner, key, &before, object, half, mode)
}

/// Changes an object by a patch; an applied one may be new.
pub(crate) fn patch(
    inner: &mut Inner,
    key: &Key,
    patch: &Patch,
    half: Half,
    addresses: Addresses<'_>,
    mode: Mode,
) -> Result<Object, ApiError> {
    let Some(before) = inner.get(key) else {
        if let Patch::Apply(object) = patch {
            let mut object = object.clone();
            metadata(&mut object).entry("name").or_insert_with(|| json!(key.name));
            return create(inner, key.kind, &key.namespace, object, addresses, mode);
        }
        return Err(ApiError::not_found(key.kind, &key.name));
    };
    let mut object = patch::apply(key.kind, &before, patch)?;
    accept_identity(key.kind, &key.namespace, &mut object)?;
    if meta::name(&object) != key.name {
        let wrong = format!("Invalid value: \"{}\": field is immutable", meta::name(&object));
        return Err(ApiError::invalid(key.kind, &key.name, &[("metadata.name".to_owned(), wrong)]));
    }
    current(key, &before, &object)?;
    let told = meta::uid(&object);
    if told != meta::uid(&before) {
        // A patch names a field that cannot be changed; only an update names a precondition.
        let wrong = format!("Invalid value: \"{told}\": field is immutable");
        return Err(ApiError::invalid(key.kind, &key.name, &[("metadata.uid".to_owned(), wrong)]));
    }
    settle(inner, key, &before, object, half, mode)
}

/// The common end of every change: preconditions, what the server keeps for itself, rules, commit.
fn settle(
    inner: &mut Inner,
    key: &Key,
    before: &Object,
    object: Value,
    half: Half,
    mode: Mode,
) -> Result<Object, ApiError> {
    preconditions(key, before, &object)?;
    let mut object = typed::canonical(key.kind, object)?;
    keep_own_metadata(before, &mut object);
    if key.kind.has(Manner::Status) {
        let status = match half {
            Half::Main => before.get("status").cloned(),
            Half::Status => {
                let status = object.get("status").cloned();
                object = Value::clone(before);
                status
            }
        };
        put_or_drop(&mut object, "status", status);
    }
    typed::defaults(key.kind, &mut object);
    let object = typed::canonical(key.kind, object)?;
    rules::check(key.kind, &object)?;
    rules::check_change(key.kind, before, &object)?;
    if meta::is_deleting(&object) && deletion_is_complete(key.kind, &object) {
        if mode == Mode::Commit {
            inner.remove(key);
        }
        return Ok(object.into());
    }
    Ok(commit(inner, key, object, mode))
}

/// Whether an object whose deletion has begun has nothing left to wait for: no finalizer, and for pods and namespaces
/// nothing that the kubelet or the namespace controller has yet to end.
pub(crate) fn deletion_is_complete(kind: Kind, object: &Value) -> bool {
    let graceful = kind == Kind::Pod && meta::number(object, "/metadata/deletionGracePeriodSeconds") != Some(0);
    meta::items(object, "/metadata/finalizers").is_empty() && !graceful && kind != Kind::Namespace
}

fn commit(inner: &mut Inner, key: &Key, object: Value, mode: Mode) -> Object {
    match mode {
        Mode::Commit => inner.put(key, object),
        Mode::DryRun => object.into(),
    }
}

/// Type and namespace: taken from the path when left out, refused when they contradict it.
fn accept_identity(kind: Kind, namespace: &str, object: &mut Value) -> Result<(), ApiError> {
    if !object.is_object() {
        return Err(ApiError::bad_request("the object provided is unrecognized (must be of type object)"));
    }
    let (told_version, told_kind) = (meta::text(object, "/apiVersion"), meta::text(object, "/kind"));
    let version = kind.api_version();
    if (!told_version.is_empty() && told_version != version) || (!told_kind.is_empty() && told_kind != kind.name()) {
        let message = format!(
            "{told_kind} in version \"{told_version}\" cannot be handled as a {}: the API version in the data does not \
             match the expected API version ({version})",
            kind.name()
        );
        return Err(ApiError::bad_request(message));
    }
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind.name());
    let told = meta::namespace(object);
    if kind.info().scope == Scope::Namespaced {
        if !told.is_empty() && told != namespace {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(ApiError::bad_request(message));
        }
        metadata(object).insert("namespace".to_owned(), json!(namespace));
    }
    Ok(())
}

fn stamp_new(kind: Kind, object: &mut Value) {
    let metadata = metadata(object);
    for own in ["deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "generation", "selfLink"] {
        metadata.remove(own);
    }
    metadata.insert("uid".to_owned(), json!(meta::fresh_uid()));
    metadata.insert("creationTimestamp".to_owned(), json!(meta::now()));
    if kind.has(Manner::Generation) {
        metadata.insert("generation".to_owned(), json!(1));
    }
}

fn keep_own_metadata(before: &Value, object: &mut Value) {
    let metadata = metadata(object);
    metadata.remove("managedFields");
    for own in
        ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"]
    {
        let kept = before.pointer(&format!("/metadata/{own}")).cloned();
        put_or_drop_in(metadata, own, kept);
    }
}

fn put_or_drop(object: &mut Value, key: &str, value: Option<Value>) {
    if let Some(map) = object.as_object_mut() {
        put_or_drop_in(map, key, value);
    }
}

fn put_or_drop_in(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    match value {
        Some(value) => map.insert(key.to_owned(), value),
        None => map.remove(key),
    };
}

/// The identity and the version that a change was made for must be those that are there.
fn preconditions(key: &Key, before: &Value, object: &Value) -> Result<(), ApiError> {
    let (told, own) = (meta::uid(object), meta::uid(before));
    if !told.is_empty() && told != own {
        let why = format!("Precondition failed: UID in precondition: {told}, UID in object meta: {own}");
        return Err(ApiError::conflict(key.kind, &key.name, &why));
    }
    current(key, before, object)
}

/// The version that a change was made for, if it names one, must be the one that is there.
fn current(key: &Key, before: &Value, object: &Value) -> Result<(), ApiError> {
    let version = meta::resource_version(object);
    if !version.is_empty() && version != meta::resource_version(before) {
        return Err(ApiError::modified(key.kind, &key.name));
    }
    Ok(())
}

fn namespace_takes(inner: &Inner, key: &Key) -> Result<(), ApiError> {
    if key.namespace.is_empty() {
        return Ok(());
    }
    let namespace = inner
        .get(&Key::new(Kind::Namespace, "", key.namespace.as_str()))
        .ok_or_else(|| ApiError::not_found(Kind::Namespace, &key.namespace))?;
    if meta::is_deleting(&namespace) {
        let why = format!("unable to create new content in namespace {} because it is being terminated", key.namespace);
        return Err(ApiError::forbidden(key.kind, &key.name, &why));
    }
    Ok(())
}

fn give_address(inner: &Inner, object: &mut Value, addresses: Addresses<'_>) {
    if !meta::text(object, "/spec/clusterIP").is_empty() || meta::text(object, "/spec/type") == "ExternalName" {
        return;
    }
    if let Some(address) = addresses(inner) {
        object["spec"]["clusterIP"] = json!(address);
        object["spec"]["clusterIPs"] = json!([address]);
    }
}
