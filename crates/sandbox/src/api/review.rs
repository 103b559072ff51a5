//! `SelfSubjectAccessReview`: what one may do. Everything, unless a fault forbids it. `SelfSubjectReview`: who one is.

use serde_json::{Value, json};

use super::meta;
use super::status::ApiError;
use crate::faults::{Faults, Request};

/// Answers a review.
pub(crate) fn answer(faults: &Faults, mut review: Value, user_agent: &str) -> Result<Value, ApiError> {
    let attributes = review.pointer("/spec/resourceAttributes").cloned().unwrap_or_default();
    if attributes.is_null() && review.pointer("/spec/nonResourceAttributes").is_none() {
        return Err(ApiError::bad_request(
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes \
             must be specified",
        ));
    }
    let asked = Request {
        verb: meta::text(&attributes, "/verb").to_owned(),
        resource: meta::text(&attributes, "/resource").to_owned(),
        subresource: meta::text(&attributes, "/subresource").to_owned(),
        namespace: meta::text(&attributes, "/namespace").to_owned(),
        name: meta::text(&attributes, "/name").to_owned(),
        user_agent: user_agent.to_owned(),
    };
    let allowed = !faults.forbids(&asked);
    review["apiVersion"] = json!("authorization.k8s.io/v1");
    review["kind"] = json!("SelfSubjectAccessReview");
    review["status"] = if allowed {
        json!({"allowed": true, "reason": "the sandbox allows everything that no fault forbids"})
    } else {
        json!({"allowed": false, "reason": "forbidden by a fault of the sandbox"})
    };
    Ok(review)
}

/// Everybody is one user: the sandbox asks nobody for a password.
pub(crate) fn identity() -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
        "status": {"userInfo": {"username": "sandbox", "groups": ["system:authenticated"]}},
    })
}
