//! The public entry hands carts and checkouts to their own services.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header::HOST},
    response::{IntoResponse as _, Response},
    routing::any,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::{Shared, Shop};

/// How long the service behind may take.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

pub(super) fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/v2/cart", any(to_cart))
        .route("/v2/cart/{*rest}", any(to_cart))
        .route("/v2/checkout", any(to_checkout))
        .route("/v2/payments", any(to_checkout))
}

async fn to_cart(State(shop): Shared, request: Request) -> Response {
    forward(shop.cart, request).await
}

async fn to_checkout(State(shop): Shared, request: Request) -> Response {
    forward(shop.checkout, request).await
}

async fn forward(to: SocketAddr, request: Request) -> Response {
    match timeout(ANSWER_WITHIN, exchange(to, request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => StatusCode::BAD_GATEWAY.into_response(),
        Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
    }
}

/// One request over a connection of its own: a Service spreads connections, not requests.
async fn exchange(to: SocketAddr, mut request: Request) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    *request.uri_mut() = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse()?;
    request.headers_mut().insert(HOST, to.to_string().parse()?);
    let response = sender.send_request(request).await?;
    Ok(response.map(Body::new))
}
