//! Answers on their way out: bodies, forms, headers.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Value, json};

use super::events;
use super::kinds::{Kind, Manner};
use super::list::Page;
use super::route::Target;
use super::status::ApiError;

/// What breaks a stream off.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;
/// The body of any answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// How much of an object a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// All of it.
    Whole,
    /// `PartialObjectMetadata`.
    Metadata,
}

impl Form {
    /// From the `Accept` header; tables and protocol buffers fall back to plain JSON, which clients also accept.
    pub(crate) fn of(accept: &str) -> Self {
        if accept.contains("as=PartialObjectMetadata") { Self::Metadata } else { Self::Whole }
    }
}

/// An object as this client is to see it.
pub(crate) fn present(object: &Value, target: &Target, form: Form) -> Value {
    if form == Form::Metadata {
        return json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        });
    }
    if target.kind == Kind::Event && target.api_version == events::NEW {
        return events::presented(object);
    }
    object.clone()
}

/// Whether an object is shown otherwise than it is stored.
fn transformed(target: &Target, form: Form) -> bool {
    form == Form::Metadata || target.api_version == events::NEW
}

/// One object, as JSON.
pub(crate) fn object_bytes(object: &Value, target: &Target, form: Form) -> Vec<u8> {
    // A JSON value always serialises.
    if transformed(target, form) {
        serde_json::to_vec(&present(object, target, form)).unwrap_or_default()
    } else {
        serde_json::to_vec(object).unwrap_or_default()
    }
}

/// A page, as JSON.
pub(crate) fn list_bytes(page: &Page, target: &Target, form: Form) -> Vec<u8> {
    serde_json::to_vec(&PageView { page, target, form }).unwrap_or_default()
}

struct PageView<'a> {
    page: &'a Page,
    target: &'a Target,
    form: Form,
}

impl Serialize for PageView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        if self.form == Form::Metadata {
            map.serialize_entry("kind", "PartialObjectMetadataList")?;
            map.serialize_entry("apiVersion", "meta.k8s.io/v1")?;
        } else {
            map.serialize_entry("kind", &format!("{}List", self.target.kind.name()))?;
            map.serialize_entry("apiVersion", &self.target.api_version)?;
        }
        map.serialize_entry("metadata", &self.page.metadata)?;
        map.serialize_entry("items", &ItemsView(self))?;
        map.end()
    }
}

struct ItemsView<'a>(&'a PageView<'a>);

impl Serialize for ItemsView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PageView { page, target, form } = *self.0;
        let mut list = serializer.serialize_seq(Some(page.items.len()))?;
        for object in &page.items {
            if form == Form::Metadata {
                list.serialize_element(&present(object, target, form))?;
            } else if transformed(target, form) {
                list.serialize_element(&Item { object: &present(object, target, form), kind: target.kind })?;
            } else {
                list.serialize_element(&Item { object, kind: target.kind })?;
            }
        }
        list.end()
    }
}

/// An element of a list. As upstream, those of built-in kinds do not repeat API version and kind.
struct Item<'a> {
    object: &'a Value,
    kind: Kind,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(fields) = self.object.as_object().filter(|_| !self.kind.has(Manner::Custom)) else {
            return self.object.serialize(serializer);
        };
        let told = fields.iter().filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind"));
        serializer.collect_map(told)
    }
}

/// A whole body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer in JSON.
pub(crate) fn json_response(code: u16, bytes: Vec<u8>) -> Response<Body> {
    typed_response(code, "application/json", full(bytes))
}

/// An answer of some type.
pub(crate) fn typed_response(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An error as `Status`.
pub(crate) fn error_response(error: &ApiError) -> Response<Body> {
    let mut response = if error.is_text() {
        let mut response = json_response(error.code, format!("{}\n", error.message).into_bytes());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    } else {
        json_response(error.code, serde_json::to_vec(&error.to_value()).unwrap_or_default())
    };
    if let Some(seconds) = error.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
