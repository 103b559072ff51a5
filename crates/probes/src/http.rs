//! `http`: a request whose answer is known.

use crate::ask::{Answer, Ask, Condition, Miss, Opening};
use crate::pace::{self, Pace, Views};
use crate::scalar::Span;
use crate::wire::{self, Duplex, Endpoint, Tls};
use bytes::Bytes;
use firedrill_core::sample::Failure;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

/// The longest body that a probe reads. A larger one is a wrong answer: probe a smaller page.
pub const BODY_MAX: usize = 1 << 20;

/// Asks a web service what a user would ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// The URL.
    pub url: String,
    /// The status expected; 200 by default.
    pub status: Option<u16>,
    /// A JSON pointer into the body and the value expected there.
    #[serde(default)]
    pub json: std::collections::BTreeMap<String, serde_json::Value>,
    /// Text that the body must hold.
    pub body: Option<String>,
    /// The slowest answer that still counts as right.
    pub latency: Option<Span>,
    /// The period of the kept view, over a connection that stays; 50 ms by default.
    pub every: Option<Span>,
    /// The period of the fresh view, over a new connection each time; 100 ms by default.
    pub fresh_every: Option<Span>,
    /// How long an answer may take; 500 ms by default, at most a twentieth of the RTO.
    pub timeout: Option<Span>,
}

impl Http {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str =
        "http: { url: \"https://shop.ultramarket.example/v2/products?limit=10\", status: 200, every: 50ms }";

    /// The target it asks, when it names one of the estate.
    pub fn target(&self) -> Option<&crate::scalar::Name> {
        None
    }

    /// Its rates and its timeout.
    pub fn pace(&self) -> Pace {
        Pace {
            every: self.every.unwrap_or(pace::EVERY),
            fresh_every: Some(self.fresh_every.unwrap_or(pace::FRESH_EVERY)),
            timeout: self.timeout.unwrap_or(pace::TIMEOUT),
            views: Views::KeptAndFresh,
        }
    }
}

/// Asks a web service. HTTP/1.1, without following redirects (a redirect is an answer), without cookies.
pub(crate) struct HttpAsk {
    endpoint: Endpoint,
    path: Uri,
    host: HeaderValue,
    agent: HeaderValue,
    status: StatusCode,
    json: Vec<(String, serde_json::Value)>,
    body: Option<String>,
}

/// A connection and the task that drives it.
pub(crate) struct HttpConnection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl HttpAsk {
    /// Reads the URL and what is expected.
    ///
    /// # Errors
    /// A sentence that says what was found and what was expected.
    pub(crate) fn new(probe: &str, spec: &Http) -> Result<Self, String> {
        let uri: Uri = spec.url.parse().map_err(|e| format!("`{}` is not a URL: {e}", spec.url))?;
        let expected =
            || format!("`{}` is not a URL that can be asked: expected http://host/… or https://host/…", spec.url);
        let host = uri.host().filter(|h| !h.is_empty()).ok_or_else(expected)?;
        let authority = uri.authority().ok_or_else(expected)?.as_str();
        if authority.contains('@') {
            return Err(format!("the URL for `{host}` holds credentials, which would be printed: leave them out"));
        }
        // A literal IPv6 address stands in brackets in a URL, and nowhere else.
        let address = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => (Some(Tls::new(&address)?), 443),
            _ => return Err(expected()),
        };
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        if let Some(pointer) = spec.json.keys().find(|p| !p.is_empty() && !p.starts_with('/')) {
            return Err(format!(
                "`{pointer}` is not a JSON pointer: it begins with a slash, for example `/items/0/id`"
            ));
        }
        let status = spec.status.unwrap_or(200);
        Ok(Self {
            endpoint: Endpoint { host: address, port: uri.port_u16().unwrap_or(port), tls },
            path: path.parse().map_err(|e| format!("`{path}` is not a path: {e}"))?,
            host: HeaderValue::from_str(authority).map_err(|_| expected())?,
            agent: HeaderValue::from_str(&format!("firedrill/{} (probe {probe})", env!("CARGO_PKG_VERSION")))
                .map_err(|_| format!("`{probe}` is not a name that fits in a header"))?,
            status: StatusCode::from_u16(status).map_err(|_| format!("{status} is not an HTTP status"))?,
            json: spec.json.iter().map(|(pointer, value)| (pointer.clone(), value.clone())).collect(),
            body: spec.body.clone(),
        })
    }

    /// Holds a whole body against what is expected.
    fn judge(&self, body: &[u8]) -> Result<(), String> {
        if let Some(text) = &self.body
            && !String::from_utf8_lossy(body).contains(text)
        {
            return Err(format!("the body does not hold `{text}`"));
        }
        if self.json.is_empty() {
            return Ok(());
        }
        let found: serde_json::Value =
            serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
        for (pointer, expected) in &self.json {
            match found.pointer(pointer) {
                Some(value) if value == expected => {}
                Some(_) => return Err(format!("at `{pointer}` there is another value than {expected}")),
                None => return Err(format!("there is nothing at `{pointer}`; expected {expected}")),
            }
        }
        Ok(())
    }
}

impl Ask for HttpAsk {
    type Connection = HttpConnection;
    const OPENING: Opening = Opening::Hasty;

    async fn connect(&self) -> Result<HttpConnection, Miss> {
        let stream: TokioIo<Box<dyn Duplex>> = TokioIo::new(wire::connect(&self.endpoint).await?);
        let (sender, connection) = http1::handshake(stream).await.map_err(|e| broken(&e))?;
        // How a connection ends is told to the request that used it.
        let driver = tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(HttpConnection { sender, driver })
    }

    fn condition(&self, connection: &HttpConnection) -> Condition {
        // A server may close a connection between two requests (RFC 9112, 9.3): that is no outage.
        if connection.sender.is_closed() { Condition::Spent } else { Condition::Usable }
    }

    async fn ask(&self, connection: &mut HttpConnection, _seq: u64) -> Result<Answer, Miss> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.path.clone();
        request.headers_mut().insert(HOST, self.host.clone());
        request.headers_mut().insert(USER_AGENT, self.agent.clone());
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
        connection.sender.ready().await.map_err(|e| broken(&e))?;
        let response = connection.sender.send_request(request).await.map_err(|e| broken(&e))?;
        let (head, body) = response.into_parts();
        let body = read(body).await?;
        if head.status != self.status {
            let detail = format!("status {} instead of {}", head.status.as_u16(), self.status.as_u16());
            let condition = if body.is_some() { Condition::Usable } else { Condition::Spent };
            return Err(Miss { connection: condition, ..Miss::told(Failure::Error, detail) });
        }
        let Some(body) = body else {
            return Err(Miss::spent(Failure::WrongAnswer, format!("the body is longer than {BODY_MAX} bytes")));
        };
        self.judge(&body).map_err(|detail| Miss::told(Failure::WrongAnswer, detail))?;
        Ok(Answer { node: None, timeline: 0, connection: Condition::Usable })
    }

    async fn part(&self, connection: HttpConnection) {
        drop(connection);
    }
}

/// The whole body, or `None` when it is too long.
async fn read(mut body: Incoming) -> Result<Option<Vec<u8>>, Miss> {
    let mut bytes = Vec::with_capacity(usize::try_from(body.size_hint().lower()).unwrap_or(0).min(BODY_MAX));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|e| broken(&e))?.into_data() else { continue };
        if bytes.len() + data.len() > BODY_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes))
}

/// What hyper says of a connection that did not do its work. What cannot be read as HTTP is a wrong answer.
fn broken(error: &hyper::Error) -> Miss {
    if error.is_parse() {
        return Miss::spent(Failure::WrongAnswer, format!("not HTTP: {error}"));
    }
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<std::io::Error>());
    match source {
        Some(io) => Miss::from_io(io, Failure::Broken),
        None => Miss::spent(Failure::Broken, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Cause;
    use hyper::Response;
    use hyper::service::service_fn;
    use std::convert::Infallible;
    use std::sync::Arc;
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{RootCertStore, ServerConfig};

    fn spec(url: &str) -> Http {
        serde_json::from_value(serde_json::json!({ "url": url, "json": { "/status": "ok" } })).unwrap()
    }

    /// A service for `shop.example` behind TLS.
    async fn tls_service() -> u16 {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("testdata/shop.example.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/shop.example.key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that does not trust this server hangs up.
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let service =
                    service_fn(|_| async { Ok::<_, Infallible>(Response::new(r#"{"status":"ok"}"#.to_owned())) });
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::task::spawn_local(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        port
    }

    async fn ask_with(roots: RootCertStore, name: &str, port: u16) -> Result<Condition, Miss> {
        let mut ask = HttpAsk::new("storefront", &spec(&format!("http://127.0.0.1:{port}/"))).unwrap();
        ask.endpoint.tls = Some(Tls::trusting(name, roots).unwrap());
        let mut connection = ask.connect().await?;
        ask.ask(&mut connection, 0).await?;
        ask.ask(&mut connection, 1).await?;
        Ok(ask.condition(&connection))
    }

    #[tokio::test]
    async fn https_is_asked_over_one_connection_and_who_is_not_trusted_is_a_failed_login() {
        let test = async {
            let port = tls_service().await;
            let mut ours = RootCertStore::empty();
            ours.add(CertificateDer::from_pem_slice(include_bytes!("testdata/ca.pem")).unwrap()).unwrap();
            assert_eq!(ask_with(ours.clone(), "shop.example", port).await, Ok(Condition::Usable));
            let strangers = ask_with(RootCertStore::empty(), "shop.example", port).await.unwrap_err();
            assert_eq!(strangers.cause, Cause::Service(Failure::Login), "{}", strangers.detail);
            let another = ask_with(ours, "pay.example", port).await.unwrap_err();
            assert_eq!(another.cause, Cause::Service(Failure::Login), "{}", another.detail);
        };
        LocalSet::new().run_until(test).await;
    }

    #[test]
    fn addresses_come_from_the_url() {
        let endpoint = |url: &str| {
            let ask = HttpAsk::new("p", &spec(url)).unwrap();
            (ask.endpoint.host, ask.endpoint.port, ask.host.to_str().unwrap().to_owned(), ask.path.to_string())
        };
        let told =
            |host: &str, port, header: &str, path: &str| (host.to_owned(), port, header.to_owned(), path.to_owned());
        assert_eq!(endpoint("http://shop.example"), told("shop.example", 80, "shop.example", "/"));
        assert_eq!(endpoint("http://[::1]:8080/a?b=c"), told("::1", 8080, "[::1]:8080", "/a?b=c"));
    }

    #[test]
    fn a_body_is_held_against_what_is_expected() {
        let mut spec = spec("http://shop.example/");
        spec.body = Some("total".to_owned());
        let ask = HttpAsk::new("p", &spec).unwrap();
        let judge = |body: &str| ask.judge(body.as_bytes());
        assert_eq!(judge(r#"{"status":"ok","total":3}"#), Ok(()));
        assert!(judge(r#"{"status":"ok"}"#).unwrap_err().contains("does not hold `total`"));
        assert!(judge(r#"{"status":"sorry","total":3}"#).unwrap_err().contains("another value than \"ok\""));
        assert!(judge(r#"{"total":3}"#).unwrap_err().contains("nothing at `/status`"));
        assert!(judge("<total>").unwrap_err().contains("not JSON"));
        spec.json = [("status".to_owned(), serde_json::Value::Null)].into();
        assert!(HttpAsk::new("p", &spec).err().unwrap().contains("JSON pointer"));
    }
}
