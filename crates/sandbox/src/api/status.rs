//! Errors as the API tells them: a `Status` with the code *and* the reason that clients match on.

use serde_json::{Value, json};

use super::kinds::Kind;

/// An answer that is not an object.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason} ({code}): {message}")]
pub struct ApiError {
    /// The HTTP code.
    pub code: u16,
    /// The machine-readable reason.
    pub reason: &'static str,
    /// The sentence for people.
    pub message: String,
    /// Kind, name and causes, where the real server gives them.
    pub details: Option<Value>,
    /// Seconds for the `Retry-After` header.
    pub retry_after_s: Option<u32>,
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, retry_after_s: None }
    }

    fn about(mut self, kind: Kind, name: &str) -> Self {
        let info = kind.info();
        // As upstream: the resource's plural name, except for Invalid, which gives the kind.
        let named = if self.reason == "Invalid" { kind.name() } else { info.plural };
        self.details = Some(json!({"name": name, "group": info.group, "kind": named}));
        self
    }

    /// The object is not there.
    pub fn not_found(kind: Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.info().qualified());
        Self::new(404, "NotFound", message).about(kind, name)
    }

    /// The path leads nowhere in a group that is served.
    pub fn no_such_path() -> Self {
        let mut error = Self::new(404, "NotFound", "the server could not find the requested resource");
        error.details = Some(json!({}));
        error
    }

    /// The path is of no group that is served: the one answer that is no `Status`, but a line of text.
    pub fn no_such_group() -> Self {
        Self::new(404, "", "404 page not found")
    }

    /// Whether it is told as a line of text, and not as a `Status`.
    pub(crate) fn is_text(&self) -> bool {
        self.reason.is_empty()
    }

    /// An object of that name is there already.
    pub fn already_exists(kind: Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.info().qualified());
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    /// The object is not in the state that the request was made for.
    pub fn conflict(kind: Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.info().qualified());
        Self::new(409, "Conflict", message).about(kind, name)
    }

    /// The resource version is no longer the current one.
    pub fn modified(kind: Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    /// The object cannot be as asked: `(field, what is wrong)`.
    pub fn invalid(kind: Kind, name: &str, causes: &[(String, String)]) -> Self {
        let group = kind.info().group;
        let qualified = if group.is_empty() { kind.name().to_owned() } else { format!("{}.{group}", kind.name()) };
        let told: Vec<String> = causes.iter().map(|(field, wrong)| format!("{field}: {wrong}")).collect();
        let told = if let [one] = told.as_slice() { one.clone() } else { format!("[{}]", told.join(", ")) };
        let mut error =
            Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {told}")).about(kind, name);
        if let Some(details) = &mut error.details {
            details["causes"] = causes
                .iter()
                .map(|(field, wrong)| json!({"reason": "FieldValueInvalid", "field": field, "message": wrong}))
                .collect();
        }
        error
    }

    /// A patch whose test or path fails.
    pub fn unprocessable() -> Self {
        Self::new(422, "Invalid", "the server rejected our request due to an error in our request")
    }

    /// The request itself makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// Not allowed.
    pub fn forbidden(kind: Kind, name: &str, why: &str) -> Self {
        let qualified = kind.info().qualified();
        let message = if name.is_empty() {
            format!("{qualified} is forbidden: {why}")
        } else {
            format!("{qualified} \"{name}\" is forbidden: {why}")
        };
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    /// The verb does not exist here.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// The patch format is not served here.
    pub fn unsupported_media_type(served: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {served}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A page token or resource version is too old.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// Not now. With causes where a disruption budget says so.
    pub fn too_many_requests(message: impl Into<String>, retry_after_s: Option<u32>) -> Self {
        let mut error = Self::new(429, "TooManyRequests", message);
        error.retry_after_s = retry_after_s;
        if let Some(seconds) = retry_after_s {
            error.details = Some(json!({"retryAfterSeconds": seconds}));
        }
        error
    }

    /// The server's own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {}", message.into()))
    }

    /// The `Status` object.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

/// The `Status` object that says that something was done.
pub(crate) fn success(kind: Kind, name: &str, uid: &str) -> Value {
    let info = kind.info();
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": {"name": name, "group": info.group, "kind": info.plural, "uid": uid},
    })
}
