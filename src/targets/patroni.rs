//! Patroni's REST API at one member, as its documentation has it ("Patroni REST API"): who leads, and one exchange of a
//! request for an answer, which the switchover's effect uses too.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a question may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer may take where only that there is one is asked.
const SIGN_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer that is read, bytes.
const ANSWER_MAX: usize = 1 << 20;

/// What Patroni answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// What it says, as text.
    pub text: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The request certainly never left.
    #[error("Patroni's API at {0} cannot be reached: {1}")]
    NotSent(String, String),
    /// The request may have arrived.
    #[error("Patroni's API at {0} did not answer: {1}")]
    Lost(String, String),
}

/// The cluster as `GET /cluster` tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ClusterView {
    /// Its members.
    #[serde(default)]
    pub members: Vec<MemberView>,
    /// Whether automatic failover is switched off.
    #[serde(default)]
    pub pause: bool,
}

/// One member in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct MemberView {
    /// Its name.
    pub name: String,
    /// `leader` (`master` in old versions), `replica`, `sync_standby`, ….
    #[serde(default)]
    pub role: String,
    /// `running`, `streaming`, `stopped`, ….
    #[serde(default)]
    pub state: String,
}

impl ClusterView {
    /// The leader, if there is exactly one.
    pub fn leader(&self) -> Option<&MemberView> {
        let mut leaders = self.members.iter().filter(|m| matches!(m.role.as_str(), "leader" | "master" | "primary"));
        leaders.next().filter(|_| leaders.next().is_none())
    }
}

/// The address of Patroni's API at a member.
pub fn api_of(address: &str, port: u16) -> String {
    if address.contains(':') { format!("http://[{address}]:{port}") } else { format!("http://{address}:{port}") }
}

/// Asks who is in the cluster.
///
/// # Errors
/// A sentence, when it does not say.
pub async fn cluster(api: &str) -> Result<ClusterView, String> {
    let answer = exchange(api, Method::GET, "/cluster", None, ASK_TIMEOUT).await.map_err(|e| e.to_string())?;
    if answer.status != 200 {
        return Err(format!("Patroni's API at {api} answers {} to GET /cluster", answer.status));
    }
    serde_json::from_str(&answer.text).map_err(|e| format!("Patroni's API at {api} answers what cannot be read: {e}"))
}

/// Whether anybody answers at all, whatever the answer is.
///
/// # Errors
/// A sentence, when nobody does.
pub async fn answers(api: &str) -> Result<(), String> {
    let asked = exchange(api, Method::GET, "/liveness", None, SIGN_TIMEOUT);
    // Where nobody takes connections any more, a new one may hang before anything could be asked.
    match tokio::time::timeout(SIGN_TIMEOUT, asked).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("Patroni's API at {api} did not answer: nothing within {} ms", SIGN_TIMEOUT.as_millis())),
    }
}

/// Whether the member is the primary and holds the leader's lock: `GET /primary` answers 200 then and 503 otherwise.
///
/// # Errors
/// A sentence, when it does not say.
pub async fn leads(api: &str) -> Result<bool, String> {
    // Versions before 2.1 know it by its old name alone; those that know the new one answer it first.
    for path in ["/primary", "/master"] {
        let answer = exchange(api, Method::GET, path, None, ASK_TIMEOUT).await.map_err(|e| e.to_string())?;
        match answer.status {
            200 => return Ok(true),
            503 => return Ok(false),
            404 => {}
            other => return Err(format!("Patroni's API at {api} answers {other} to GET {path}")),
        }
    }
    Err(format!("Patroni's API at {api} knows neither /primary nor /master"))
}

/// One request over a connection of its own, and its answer.
///
/// # Errors
/// Whether it was certainly never sent, or may have arrived.
pub(crate) async fn exchange(
    api: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
    limit: Duration,
) -> Result<Answer, Unanswered> {
    let not_sent = |why: String| Unanswered::NotSent(api.to_owned(), why);
    let uri: Uri = api.parse().map_err(|e| not_sent(format!("{e}")))?;
    let authority = uri.authority().map(ToString::to_string).ok_or_else(|| not_sent("it names no host".to_owned()))?;
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&authority)).await;
    let stream = match connecting {
        Err(_) => return Err(not_sent(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
        Ok(connected) => connected.map_err(|e| not_sent(e.to_string()))?,
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| not_sent(e.to_string()))?;
    let driver = tokio::spawn(connection);
    let text = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder().method(method).uri(path).header(HOST, &authority);
    let request = request.header(ACCEPT, "application/json").header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(text))).map_err(|e| not_sent(e.to_string()))?;
    let answered = tokio::time::timeout(limit, async {
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(|e| e.to_string())?;
        Ok::<_, String>(Answer { status, text: String::from_utf8_lossy(&body.to_bytes()).trim().to_owned() })
    });
    let answer = answered.await;
    driver.abort();
    let lost = |why: String| Unanswered::Lost(api.to_owned(), why);
    answer.map_err(|_| lost(format!("nothing within {} s", limit.as_secs_f64())))?.map_err(lost)
}
