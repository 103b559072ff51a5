//! The patch formats: JSON patch, merge patch, strategic merge, and a simple apply.

use serde_json::Value;

use super::kinds::{Kind, Manner};
use super::status::ApiError;
use super::strategic;

/// What clients that ask may send.
const SERVED: &str = "application/json-patch+json, application/merge-patch+json, \
                      application/strategic-merge-patch+json, application/apply-patch+yaml";

/// A patch, by its format.
#[derive(Debug, Clone)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
    /// Merge with lists that have keys.
    Strategic(Value),
    /// Server-side apply, without ownership of fields: what is told is set, nothing is taken back.
    Apply(Value),
}

impl Patch {
    /// Reads a patch of the given content type.
    pub(crate) fn parse(content_type: &str, body: Value) -> Result<Self, ApiError> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match essence {
            "application/json-patch+json" => serde_json::from_value(body)
                .map(Self::Json)
                .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}"))),
            "application/merge-patch+json" => Ok(Self::Merge(body)),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic(body)),
            "application/apply-patch+yaml" | "application/apply-patch+json" => Ok(Self::Apply(body)),
            _ => Err(ApiError::unsupported_media_type(SERVED)),
        }
    }
}

/// The object after the patch.
pub(crate) fn apply(kind: Kind, before: &Value, patch: &Patch) -> Result<Value, ApiError> {
    let mut object = before.clone();
    match patch {
        Patch::Json(operations) => {
            json_patch::patch(&mut object, operations).map_err(|_| ApiError::unprocessable())?;
        }
        Patch::Merge(change) => json_patch::merge(&mut object, change),
        Patch::Strategic(_) if kind.has(Manner::Custom) => {
            return Err(ApiError::unsupported_media_type(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            ));
        }
        // Custom kinds have no list keys here; their lists are replaced, as without a schema upstream.
        Patch::Apply(change) if kind.has(Manner::Custom) => json_patch::merge(&mut object, change),
        Patch::Strategic(change) | Patch::Apply(change) => strategic::merge(&mut object, change),
    }
    Ok(object)
}
