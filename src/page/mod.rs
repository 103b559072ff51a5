//! The daemon's page, for people and machines: what is due, what happened, whether it is well. Read-only, and only on
//! loopback: nobody logs in here.

mod metrics;
mod overview;

use crate::daemon::Glance;
use crate::render;
use crate::store::{Journal, JournalError};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::{Router, routing::get};
use firedrill_core::report::Report;
use jiff::{SignedDuration, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A daemon that has not gone round for so long is stuck.
const STUCK_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// An address that others reach.
    #[error(
        "{0} is reached from elsewhere, and nobody can log in yet: only loopback is served, such as 127.0.0.1:8642"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What the page is made from.
#[derive(Clone, Debug)]
struct Source {
    journal: Arc<Journal>,
    glances: watch::Receiver<Glance>,
}

/// A page that is ready to be served.
#[derive(Debug)]
pub struct Page {
    listener: TcpListener,
    /// Where it is.
    pub address: SocketAddr,
}

impl Page {
    /// Takes its address.
    ///
    /// # Errors
    /// When others would reach it, or somebody else has it.
    pub async fn bind(address: SocketAddr) -> Result<Self, PageError> {
        if !address.ip().is_loopback() {
            return Err(PageError::NotLoopback(address));
        }
        let listen = |source| PageError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address })
    }

    /// Serves until it is stopped.
    pub async fn serve(self, journal: Arc<Journal>, glances: watch::Receiver<Glance>, stop: CancellationToken) {
        let served = axum::serve(self.listener, router(Source { journal, glances }));
        if let Err(why) = served.with_graceful_shutdown(stop.cancelled_owned()).await {
            tracing::error!(%why, "the page is not served any more");
        }
    }
}

fn router(source: Source) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/drills/{drill}", get(report))
        .route("/drills/{drill}/report.json", get(report_json))
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(source)
        .layer(middleware::from_fn(guarded))
}

/// What a browser must hold to, and whom it must have meant: another site's name that leads to loopback is refused.
async fn guarded(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(
        host,
        |(name, port)| {
            if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
        },
    );
    if !matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        return (StatusCode::MISDIRECTED_REQUEST, "this page answers to loopback addresses alone\n").into_response();
    }
    let mut response = next.run(request).await;
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page that could not be made.
struct Failed(JournalError);

impl From<JournalError> for Failed {
    fn from(why: JournalError) -> Self {
        Self(why)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", self.0)).into_response()
    }
}

async fn overview(State(source): State<Source>) -> Result<Html<String>, Failed> {
    let glance = source.glances.borrow().clone();
    let held = source.journal.overview().await?;
    let newest = source.journal.firings(overview::FIRINGS_SHOWN).await?;
    Ok(Html(overview::draw(&glance, &held, &newest, Timestamp::now())))
}

async fn kept(source: &Source, drill: &str) -> Result<Option<String>, Failed> {
    Ok(source.journal.report(drill).await?)
}

async fn report(State(source): State<Source>, Path(drill): Path<String>) -> Result<Response, Failed> {
    let report = kept(&source, &drill).await?.and_then(|text| Report::from_json(&text).ok());
    Ok(match report {
        Some(report) => Html(render::all(&report).html).into_response(),
        None => no_report(),
    })
}

async fn report_json(State(source): State<Source>, Path(drill): Path<String>) -> Result<Response, Failed> {
    Ok(match kept(&source, &drill).await? {
        Some(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        None => no_report(),
    })
}

fn no_report() -> Response {
    (StatusCode::NOT_FOUND, "there is no report of such a drill\n").into_response()
}

async fn metrics(State(source): State<Source>) -> Result<Response, Failed> {
    let glance = source.glances.borrow().clone();
    let held = source.journal.overview().await?;
    let text = metrics::render(&glance, &held);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Whether the daemon goes round.
fn goes_round(source: &Source) -> bool {
    let now = Timestamp::now();
    source.glances.borrow().at.is_some_and(|at| now.duration_since(at) < STUCK_AFTER)
}

async fn livez(State(source): State<Source>) -> Response {
    if goes_round(&source) { "ok\n".into_response() } else { stuck() }
}

async fn readyz(State(source): State<Source>) -> Result<Response, Failed> {
    source.journal.overview().await?;
    Ok(if goes_round(&source) { "ok\n".into_response() } else { stuck() })
}

fn stuck() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the daemon does not go round\n").into_response()
}

#[cfg(test)]
mod tests;
