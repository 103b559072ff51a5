//! Patroni is asked to hand the leader's role over. It refuses when the named member does not lead any more, so that a late
//! request harms nobody once the role has moved; nothing but the lock at the target keeps it from landing before.

use super::LooksLike;
use crate::store::InjectPermit;
use crate::targets::patroni::{self, Answer, Unanswered};
use firedrill_core::effect::{Holding, Reply, Version};
use hyper::Method;
use serde_json::json;
use std::time::Duration;

/// Patroni answers when the role has moved, or when it has waited two turns of its loop (at least 20 s) for that.
const SWITCHOVER_TIMEOUT: Duration = Duration::from_secs(25);

pub(super) async fn apply(api: &str, member: &str, _permit: InjectPermit) -> Reply {
    let body = json!({ "leader": member });
    match patroni::exchange(api, Method::POST, "/switchover", Some(&body), SWITCHOVER_TIMEOUT).await {
        Ok(answer) => meaning(&answer),
        Err(why @ Unanswered::NotSent(..)) => Reply::Rejected(why.to_string()),
        Err(why @ Unanswered::Lost(..)) => Reply::Unknown(why.to_string()),
    }
}

/// What an answer to `POST /switchover` says of whether the role moved, by Patroni's documentation.
fn meaning(answer: &Answer) -> Reply {
    let said = format!("Patroni answers {} ({})", answer.status, answer.text);
    match answer.status {
        // 202: accepted, and done a little later: its landing is looked for as always.
        200 | 202 => Reply::Applied,
        400 => Reply::Rejected(format!("{said}: it does not take the request")),
        401 | 403 => {
            Reply::Rejected(format!("{said}: it wants a login for this, and firedrill has none for Patroni's API"))
        }
        412 => Reply::Rejected(format!("{said}: the member does not lead any more, or no other is fit to")),
        // The leader may have stepped down before it failed.
        503 => Reply::Unknown(format!("{said}: whether the role moved is to be seen at the members")),
        status if status >= 500 => Reply::Unknown(said),
        _ => Reply::Rejected(said),
    }
}

/// As before while that member leads; gone once it does not.
pub(super) async fn look(api: &str) -> LooksLike {
    let leads = patroni::leads(api).await?;
    Ok((if leads { Holding::Prior } else { Holding::Gone }, Version::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use std::sync::{Arc, Mutex};
    use tokio::net::TcpListener;

    /// What one request to it was: method, path, body.
    type Asked = Arc<Mutex<Vec<(String, String, String)>>>;

    /// An HTTP server on a socket of its own that answers everything with one status and text; hears what it is asked.
    async fn patroni(status: u16, text: &'static str) -> (String, Asked) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let heard = Arc::clone(&heard);
                let service = service_fn(move |request: Request<Incoming>| {
                    let heard = Arc::clone(&heard);
                    async move {
                        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let body = String::from_utf8(body.to_vec()).unwrap();
                        heard.lock().unwrap().push((method, path, body));
                        Response::builder().status(status).body(Full::new(Bytes::from_static(text.as_bytes())))
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        (api, asked)
    }

    async fn asked_to_switch(status: u16, text: &'static str) -> Reply {
        let (api, asked) = patroni(status, text).await;
        let reply = apply(&api, "orders-0", InjectPermit::for_a_test()).await;
        let wire = ("POST".to_owned(), "/switchover".to_owned(), r#"{"leader":"orders-0"}"#.to_owned());
        assert_eq!(*asked.lock().unwrap(), [wire], "one request, and no second one");
        reply
    }

    #[tokio::test]
    async fn each_answer_says_whether_the_role_moved() {
        assert_eq!(asked_to_switch(200, "Successfully switched over to \"orders-1\"").await, Reply::Applied);
        assert_eq!(asked_to_switch(202, "Switchover scheduled").await, Reply::Applied);
        for (status, said) in
            [(400, "malformed"), (401, "no auth header received"), (412, "leader name does not match")]
        {
            let reply = asked_to_switch(status, said).await;
            assert!(matches!(&reply, Reply::Rejected(why) if why.contains(said)), "{status}: {reply:?}");
        }
        for status in [500, 503] {
            let reply = asked_to_switch(status, "Switchover status unknown").await;
            assert!(matches!(&reply, Reply::Unknown(why) if why.contains("unknown")), "{status}: {reply:?}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_certainly_not_done_and_a_cut_answer_is_unknown() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", closed.local_addr().unwrap());
        drop(closed);
        let reply = apply(&api, "orders-0", InjectPermit::for_a_test()).await;
        assert!(matches!(&reply, Reply::Rejected(why) if why.contains("cannot be reached")), "{reply:?}");

        let cut = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", cut.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = cut.accept().await.unwrap();
            // It read the request, and died.
            stream.readable().await.unwrap();
            let mut some = [0_u8; 8];
            let _ = stream.try_read(&mut some);
        });
        let reply = apply(&api, "orders-0", InjectPermit::for_a_test()).await;
        assert!(matches!(&reply, Reply::Unknown(why) if why.contains("did not answer")), "{reply:?}");
    }

    #[tokio::test]
    async fn a_look_believes_the_member_itself() {
        let (leader, _) = patroni(200, "{}").await;
        assert_eq!(look(&leader).await.unwrap().0, Holding::Prior);
        let (replica, _) = patroni(503, "{}").await;
        assert_eq!(look(&replica).await.unwrap().0, Holding::Gone);
        let (old, asked) = patroni(404, "").await;
        look(&old).await.unwrap_err();
        assert_eq!(asked.lock().unwrap().len(), 2, "both names of the role are tried");
    }
}
