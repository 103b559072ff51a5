//! The verbs on objects, each one step of the store.

use serde_json::{Value, json};

use super::delete::{DeleteOptions, Deletion, delete};
use super::evict::evict;
use super::kinds::Kind;
use super::list::{Filter, Page, list};
use super::options::Query;
use super::patch::Patch;
use super::route::{Target, Verb};
use super::serve::Context;
use super::status::{ApiError, success};
use super::store::{Inner, Key, Object};
use super::write::{self, Half, Mode};
use super::{events, meta, pod_log, scale};

/// Kinds whose deletion answers with the object rather than with a `Status`, as upstream.
const ANSWER_WITH_OBJECT: [Kind; 3] = [Kind::Pod, Kind::ServiceAccount, Kind::PersistentVolumeClaim];

/// What a request asks for.
pub(super) struct Order<'a> {
    pub(super) verb: Verb,
    pub(super) target: &'a Target,
    pub(super) query: &'a Query,
    pub(super) content_type: &'a str,
}

/// What the execution of a request gives.
pub(super) enum Answer {
    /// An object with a code.
    Object(u16, Object),
    /// A page of a list.
    Page(Page),
    /// Plain text.
    Text(String),
}

/// Executes an order.
pub(super) fn execute(context: &Context, order: &Order<'_>, body: Value) -> Result<Answer, ApiError> {
    let Order { verb, target, query, .. } = *order;
    let namespace = target.namespace.clone().unwrap_or_default();
    let key = Key::new(target.kind, namespace, target.name.as_str());
    let mode = if query.dry_run() { Mode::DryRun } else { Mode::Commit };
    let body =
        if target.kind == Kind::Event && target.api_version == events::NEW { events::stored(body) } else { body };
    context.store.with(|inner| match (verb, target.subresource.as_str()) {
        (Verb::Get, "log") => {
            let pod = existing(inner, &key)?;
            pod_log::read(&context.logs, &pod, query).map(Answer::Text)
        }
        (Verb::Get, "scale") => Ok(Answer::Object(200, scale::of(&*existing(inner, &key)?).into())),
        (Verb::Get, _) => Ok(Answer::Object(200, existing(inner, &key)?)),
        (Verb::List | Verb::Watch, _) => list(inner, target, query).map(Answer::Page),
        (Verb::Create, "eviction") => {
            evict(inner, &key, &body, query)?;
            Ok(Answer::Object(
                201,
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}).into(),
            ))
        }
        (Verb::Create, _) => {
            let addresses = |inner: &Inner| context.service_address(inner);
            let created = write::create(inner, key.kind, &key.namespace, body, &addresses, mode)?;
            Ok(Answer::Object(201, created))
        }
        (Verb::Update, "scale") => scale::set(inner, &key, &body, mode).map(|scale| Answer::Object(200, scale)),
        (Verb::Update, part) => {
            write::replace(inner, &key, body, half(part), mode).map(|object| Answer::Object(200, object))
        }
        (Verb::Patch, part) => patch(context, inner, order, &key, body, part, mode),
        (Verb::Delete, _) => {
            let options = DeleteOptions::read(&body, query)?;
            delete(inner, &key, &options).map(|deletion| deleted(&key, deletion))
        }
        (Verb::DeleteCollection, _) => delete_many(inner, target, query, &body).map(Answer::Page),
    })
}

fn existing(inner: &Inner, key: &Key) -> Result<Object, ApiError> {
    inner.get(key).ok_or_else(|| ApiError::not_found(key.kind, &key.name))
}

fn half(subresource: &str) -> Half {
    if subresource == "status" { Half::Status } else { Half::Main }
}

fn patch(
    context: &Context,
    inner: &mut Inner,
    order: &Order<'_>,
    key: &Key,
    body: Value,
    part: &str,
    mode: Mode,
) -> Result<Answer, ApiError> {
    let patch = Patch::parse(order.content_type, body)?;
    if matches!(patch, Patch::Apply(_)) && order.query.get("fieldManager").is_none() {
        return Err(ApiError::bad_request(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    if part == "scale" {
        let window = scale::of(&*existing(inner, key)?);
        let changed = super::patch::apply(key.kind, &window, &patch)?;
        return scale::set(inner, key, &changed, mode).map(|scale| Answer::Object(200, scale));
    }
    let is_new = inner.get(key).is_none();
    let addresses = |inner: &Inner| context.service_address(inner);
    let object = write::patch(inner, key, &patch, half(part), &addresses, mode)?;
    Ok(Answer::Object(if is_new { 201 } else { 200 }, object))
}

fn deleted(key: &Key, deletion: Deletion) -> Answer {
    match deletion {
        Deletion::Gone(object) if !ANSWER_WITH_OBJECT.contains(&key.kind) => {
            Answer::Object(200, success(key.kind, &key.name, meta::uid(&object)).into())
        }
        Deletion::Gone(object) | Deletion::Begun(object) => Answer::Object(200, object),
    }
}

/// Deletes what a list would show; answers with it.
fn delete_many(inner: &mut Inner, target: &Target, query: &Query, body: &Value) -> Result<Page, ApiError> {
    let filter = Filter::read(target, query)?;
    let options = DeleteOptions::read(body, query)?;
    let meant: Vec<Object> = inner
        .range(target.kind, filter.namespace.as_deref())
        .filter(|object| filter.matches(object))
        .cloned()
        .collect();
    for object in &meant {
        delete(inner, &Key::of(target.kind, object), &options)?;
    }
    Ok(Page { metadata: json!({"resourceVersion": inner.revision().to_string()}), items: meant })
}
