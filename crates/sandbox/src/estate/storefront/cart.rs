//! Carts: put in, change, look, take out.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Shared, Shop,
    reply::{Refusal, Reply, data, rendered},
    session::bearer,
};

/// Most of one product in a cart.
const QUANTITY_MAX: i32 = 99;

const ADD: &str = "INSERT INTO cart_items (user_id, product_id, quantity) SELECT user_id, $2, $3 FROM sessions WHERE token = $1::uuid
    ON CONFLICT (user_id, product_id) DO UPDATE SET quantity = excluded.quantity, updated_at = now() RETURNING quantity";
const CHANGE: &str = "UPDATE cart_items c SET quantity = $3, updated_at = now() FROM sessions s
    WHERE s.token = $1::uuid AND c.user_id = s.user_id AND c.product_id = $2 RETURNING c.quantity";
const REMOVE: &str = "DELETE FROM cart_items c USING sessions s
    WHERE s.token = $1::uuid AND c.user_id = s.user_id AND c.product_id = $2 RETURNING c.quantity";
const LOOK: &str = "SELECT jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object('productId', c.product_id, 'name', p.name,
    'quantity', c.quantity, 'priceCents', p.price_cents) ORDER BY c.product_id) FILTER (WHERE c.product_id IS NOT NULL), '[]'))::text
    FROM sessions s LEFT JOIN cart_items c ON c.user_id = s.user_id LEFT JOIN products p ON p.id = c.product_id
    WHERE s.token = $1::uuid GROUP BY s.user_id";

pub(super) fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/v2/cart", get(look))
        .route("/v2/cart/items", post(add))
        .route("/v2/cart/items/{product}", put(change).delete(remove))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    product_id: i64,
    quantity: i32,
}

#[derive(Debug, Deserialize)]
struct Quantity {
    quantity: i32,
}

fn check(quantity: i32) -> Result<i32, Refusal> {
    if (1..=QUANTITY_MAX).contains(&quantity) {
        Ok(quantity)
    } else {
        Err(Refusal::Invalid("quantity must be 1 to 99"))
    }
}

async fn add(State(shop): Shared, headers: HeaderMap, Json(item): Json<Item>) -> Reply {
    let token = bearer(&headers)?;
    let quantity = check(item.quantity)?;
    let kept: i32 = shop
        .database
        .run(move |connection| {
            Box::pin(sqlx::query_scalar(ADD).bind(token).bind(item.product_id).bind(quantity).fetch_one(connection))
        })
        .await?;
    data(StatusCode::CREATED, json!({ "productId": item.product_id, "quantity": kept }))
}

async fn change(
    State(shop): Shared,
    headers: HeaderMap,
    Path(product): Path<i64>,
    Json(wanted): Json<Quantity>,
) -> Reply {
    let token = bearer(&headers)?;
    let quantity = check(wanted.quantity)?;
    let kept: i32 = shop
        .database
        .run(move |connection| {
            Box::pin(sqlx::query_scalar(CHANGE).bind(token).bind(product).bind(quantity).fetch_one(connection))
        })
        .await?;
    data(StatusCode::OK, json!({ "productId": product, "quantity": kept }))
}

async fn remove(State(shop): Shared, headers: HeaderMap, Path(product): Path<i64>) -> Reply {
    let token = bearer(&headers)?;
    let removed: i32 = shop
        .database
        .run(move |connection| Box::pin(sqlx::query_scalar(REMOVE).bind(token).bind(product).fetch_one(connection)))
        .await?;
    data(StatusCode::OK, json!({ "productId": product, "removed": removed }))
}

async fn look(State(shop): Shared, headers: HeaderMap) -> Reply {
    let token = bearer(&headers)?;
    let cart: String = shop
        .database
        .run(move |connection| Box::pin(sqlx::query_scalar(LOOK).bind(token).fetch_one(connection)))
        .await?;
    rendered(&cart)
}
