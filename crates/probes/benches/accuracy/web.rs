//! The process that serves HTTP and stamps when its own switch flips.

use crate::truth::{Down, Edge, Kind, Step, hear, now_ns, tell};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::sleep;
use std::time::Duration;
use tokio::net::TcpListener;

pub(crate) const RIGHT: &str = "{\"status\":\"ok\"}";

const ANSWER: u8 = 0;
const HOLE: u8 = 1;
const LIE: u8 = 2;
const FAIL: u8 = 3;

/// Serves and flips until the steps are done, tells the truth, and serves on until nobody listens.
pub(crate) fn main() {
    let switch = Arc::new(AtomicU8::new(ANSWER));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).expect("a port");
    tell(&listener.local_addr().expect("an address").to_string());
    runtime.spawn(serve(listener, Arc::clone(&switch)));
    let steps: Vec<Step> = hear().expect("steps");
    let truth: Vec<Down> = steps.into_iter().map(|step| flip(step, &switch)).collect();
    tell(&truth);
    let _end: Option<()> = hear();
}

/// One outage. A handler reads the switch once, so the service stops and starts with the store between the readings.
fn flip(step: Step, switch: &AtomicU8) -> Down {
    sleep(Duration::from_millis(step.calm_ms));
    let mode = match step.kind {
        Kind::BlackHole => HOLE,
        Kind::WrongAnswer => LIE,
        _ => FAIL,
    };
    let set = |mode| {
        let after_ns = now_ns();
        switch.store(mode, Ordering::SeqCst);
        Edge { after_ns, by_ns: now_ns() }
    };
    let down = set(mode);
    sleep(Duration::from_millis(step.down_ms));
    let up = set(ANSWER);
    Down { kind: step.kind, down, up }
}

async fn serve(listener: TcpListener, switch: Arc<AtomicU8>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let switch = Arc::clone(&switch);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, switch.load(Ordering::SeqCst)));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(_: Request<Incoming>, mode: u8) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(RIGHT.as_bytes())));
    match mode {
        HOLE => match std::future::pending::<Infallible>().await {},
        LIE => *response.body_mut() = Full::new(Bytes::from_static(b"{\"status\":\"sorry\"}")),
        FAIL => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        _ => {}
    }
    Ok(response)
}
