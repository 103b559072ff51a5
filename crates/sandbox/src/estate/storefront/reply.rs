//! The envelope of the shop's answers: `{"success":true,"data":…}` or `{"success":false,"error":…}`.

use axum::{
    Json,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

use super::database::DatabaseError;

/// Why a request is not answered with data.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request is wrong.
    Invalid(&'static str),
    /// No valid session.
    Unauthorized,
    /// There is no such thing.
    NotFound,
    /// The database gave no answer.
    Unavailable(DatabaseError),
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Sql(sqlx::Error::RowNotFound) => Self::NotFound,
            // 23: integrity constraints, such as a product that does not exist.
            DatabaseError::Sql(sqlx::Error::Database(refused))
                if refused.code().is_some_and(|code| code.starts_with("23")) =>
            {
                Self::Invalid("it refers to something that does not exist, or holds a value that is not allowed")
            }
            error => Self::Unavailable(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Invalid(why) => (StatusCode::BAD_REQUEST, why.to_owned()),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "log in first".to_owned()),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such thing".to_owned()),
            Self::Unavailable(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        };
        (status, Json(json!({ "success": false, "error": error }))).into_response()
    }
}

/// An answer with data.
pub(super) type Reply = Result<Response, Refusal>;

/// Wraps data.
#[expect(clippy::unnecessary_wraps, reason = "every handler ends with it, as a Reply")]
pub(super) fn data(status: StatusCode, data: impl Serialize) -> Reply {
    Ok((status, Json(json!({ "success": true, "data": json!(data) }))).into_response())
}

/// Wraps data that the database has rendered as JSON already, and perhaps members that follow it.
#[expect(clippy::unnecessary_wraps, reason = "every handler ends with it, as a Reply")]
pub(super) fn rendered(json: &str) -> Reply {
    let body = format!("{{\"success\":true,\"data\":{json}}}");
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}
