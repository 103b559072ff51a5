//! Login, and who a request comes from.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::post,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Shared, Shop,
    database::DatabaseError,
    reply::{Refusal, Reply, data},
};

pub(super) fn routes() -> Router<Arc<Shop>> {
    Router::new().route("/v2/auth/login", post(login))
}

#[derive(Debug, Deserialize)]
struct Login {
    email: String,
    password: String,
}

/// The password is compared where it lies; nobody but the database sees the hash.
const LOGIN: &str = "INSERT INTO sessions (user_id) SELECT id FROM users WHERE email = $1
    AND password_hash = encode(sha256(convert_to(password_salt || $2, 'UTF8')), 'hex') RETURNING token::text";

async fn login(State(shop): Shared, Json(login): Json<Login>) -> Reply {
    let token: Result<String, DatabaseError> = shop
        .database
        .run(move |connection| {
            Box::pin(sqlx::query_scalar(LOGIN).bind(login.email).bind(login.password).fetch_one(connection))
        })
        .await;
    match token {
        Ok(token) => data(StatusCode::OK, json!({ "token": token })),
        Err(DatabaseError::Sql(sqlx::Error::RowNotFound)) => Err(Refusal::Unauthorized),
        Err(error) => Err(error.into()),
    }
}

/// The session's token, as sent.
pub(super) fn bearer(headers: &HeaderMap) -> Result<String, Refusal> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(Refusal::Unauthorized)?;
    let token = value.strip_prefix("Bearer ").ok_or(Refusal::Unauthorized)?;
    uuid::Uuid::parse_str(token).map(|token| token.to_string()).map_err(|_| Refusal::Unauthorized)
}
