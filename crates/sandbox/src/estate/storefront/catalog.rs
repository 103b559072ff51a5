//! Products, categories, search, what is trending.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Query, State},
    routing::get,
};
use serde::Deserialize;

use super::{
    Shared, Shop,
    reply::{Refusal, Reply, rendered},
};

/// Products listed when the request does not say how many.
const LIMIT_DEFAULT: i64 = 20;
/// Most products in one answer.
const LIMIT_MAX: i64 = 100;

/// The database renders the rows: one value to fetch, nothing to convert.
const LIST: &str = "SELECT coalesce(jsonb_agg(to_jsonb(page) ORDER BY page.id), '[]')::text FROM (
    SELECT id, name, category_id AS \"categoryId\", price_cents AS \"priceCents\", stock_quantity AS \"stockQuantity\",
           images, seo_url AS \"seoUrl\"
    FROM products WHERE ($1::integer IS NULL OR category_id = $1) ORDER BY id LIMIT $2 OFFSET $3) AS page";
const ONE: &str =
    "SELECT jsonb_build_object('id', p.id, 'name', p.name, 'categoryId', p.category_id, 'category', c.name,
    'priceCents', p.price_cents, 'stockQuantity', p.stock_quantity, 'images', p.images, 'seoUrl', p.seo_url)::text
    FROM products p JOIN categories c ON c.id = p.category_id WHERE p.id = $1";
const CATEGORIES: &str = "SELECT jsonb_agg(jsonb_build_object('id', id, 'name', name, 'parentId', parent_id) ORDER BY id)::text FROM categories";
const SEARCH: &str = "SELECT coalesce(jsonb_agg(to_jsonb(page)), '[]')::text FROM (
    SELECT id, name, price_cents AS \"priceCents\" FROM products WHERE name ILIKE '%' || $1 || '%' ORDER BY id LIMIT $2) AS page";
const TRENDING: &str = "SELECT coalesce(jsonb_agg(to_jsonb(page)), '[]')::text FROM (
    SELECT p.id, p.name, count(*) AS sold FROM order_items i JOIN products p ON p.id = i.product_id
    GROUP BY p.id ORDER BY count(*) DESC, p.id LIMIT 10) AS page";

pub(super) fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/v2/products", get(list))
        .route("/v2/products/{id}", get(one))
        .route("/v2/categories", get(categories))
        .route("/v2/search", get(search))
        .route("/v2/recommendations/trending", get(trending))
}

#[derive(Debug, Deserialize)]
struct Page {
    limit: Option<i64>,
    offset: Option<i64>,
    category: Option<i32>,
}

async fn list(State(shop): Shared, Query(page): Query<Page>) -> Reply {
    let limit = page.limit.unwrap_or(LIMIT_DEFAULT);
    let offset = page.offset.unwrap_or(0);
    if !(1..=LIMIT_MAX).contains(&limit) || offset < 0 {
        return Err(Refusal::Invalid("limit must be 1 to 100 and offset 0 or more"));
    }
    let rows: String = shop
        .database
        .run(move |connection| {
            Box::pin(sqlx::query_scalar(LIST).bind(page.category).bind(limit).bind(offset).fetch_one(connection))
        })
        .await?;
    rendered(&format!("{rows},\"pagination\":{{\"limit\":{limit},\"offset\":{offset}}}"))
}

async fn one(State(shop): Shared, Path(id): Path<i64>) -> Reply {
    let row: String =
        shop.database.run(move |connection| Box::pin(sqlx::query_scalar(ONE).bind(id).fetch_one(connection))).await?;
    rendered(&row)
}

async fn categories(State(shop): Shared) -> Reply {
    let rows: String =
        shop.database.run(|connection| Box::pin(sqlx::query_scalar(CATEGORIES).fetch_one(connection))).await?;
    rendered(&rows)
}

#[derive(Debug, Deserialize)]
struct Search {
    q: String,
}

async fn search(State(shop): Shared, Query(search): Query<Search>) -> Reply {
    let rows: String = shop
        .database
        .run(move |connection| {
            Box::pin(sqlx::query_scalar(SEARCH).bind(search.q).bind(LIMIT_DEFAULT).fetch_one(connection))
        })
        .await?;
    rendered(&rows)
}

async fn trending(State(shop): Shared) -> Reply {
    let rows: String =
        shop.database.run(|connection| Box::pin(sqlx::query_scalar(TRENDING).fetch_one(connection))).await?;
    rendered(&rows)
}
