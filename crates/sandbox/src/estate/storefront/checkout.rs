//! Orders out of carts, and their payment.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Shared, Shop,
    reply::{Refusal, Reply, data},
    session::bearer,
};

/// One statement, so one transaction: the cart becomes an order or nothing happens.
const CHECKOUT: &str = "WITH taken AS (
        DELETE FROM cart_items c USING sessions s WHERE s.token = $1::uuid AND c.user_id = s.user_id
        RETURNING c.user_id, c.product_id, c.quantity
    ), priced AS (
        SELECT t.user_id, t.product_id, t.quantity, p.price_cents FROM taken t JOIN products p ON p.id = t.product_id
    ), placed AS (
        INSERT INTO orders (user_id, total_cents, status, shipping_address)
        SELECT user_id, sum(quantity * price_cents), 'placed', $2::jsonb FROM priced GROUP BY user_id RETURNING id
    ), itemised AS (
        INSERT INTO order_items (order_id, product_id, quantity, price_cents)
        SELECT placed.id, product_id, quantity, price_cents FROM priced, placed
    )
    SELECT id FROM placed";
const PAY: &str = "WITH paid AS (
        UPDATE orders o SET status = 'paid' FROM sessions s
        WHERE s.token = $1::uuid AND o.user_id = s.user_id AND o.id = $2 AND o.status = 'placed' RETURNING o.id, o.total_cents
    )
    INSERT INTO payments (order_id, amount_cents) SELECT id, total_cents FROM paid RETURNING id";

pub(super) fn routes() -> Router<Arc<Shop>> {
    Router::new().route("/v2/checkout", post(checkout)).route("/v2/payments", post(pay))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checkout {
    shipping_address: serde_json::Map<String, serde_json::Value>,
    payment_method: String,
}

async fn checkout(State(shop): Shared, headers: HeaderMap, Json(request): Json<Checkout>) -> Reply {
    let token = bearer(&headers)?;
    if request.payment_method.is_empty() {
        return Err(Refusal::Invalid("paymentMethod must not be empty"));
    }
    let address = serde_json::Value::Object(request.shipping_address);
    let order: i64 = shop
        .database
        .run(move |connection| {
            Box::pin(sqlx::query_scalar(CHECKOUT).bind(token).bind(address.to_string()).fetch_one(connection))
        })
        .await?;
    data(StatusCode::OK, json!({ "orderId": order }))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payment {
    order_id: i64,
    payment_token: String,
}

async fn pay(State(shop): Shared, headers: HeaderMap, Json(payment): Json<Payment>) -> Reply {
    let token = bearer(&headers)?;
    if payment.payment_token.is_empty() {
        return Err(Refusal::Invalid("paymentToken must not be empty"));
    }
    let id: i64 = shop
        .database
        .run(move |connection| {
            Box::pin(sqlx::query_scalar(PAY).bind(token).bind(payment.order_id).fetch_one(connection))
        })
        .await?;
    data(StatusCode::OK, json!({ "paymentId": id }))
}
