//! A small web service that can be switched between answering well and every way of answering badly.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the right answer holds.
pub(crate) const RIGHT: &str = r#"{"status":"ok","items":[{"id":7}]}"#;

/// How the service behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Right,
    /// Accepts, reads, never answers.
    BlackHole,
    Status(u16),
    /// 200 with another body.
    WrongBody,
    /// The right answer, after a while.
    Slow(Duration),
    /// 200 with a body longer than a probe reads.
    Huge,
    /// Something that is not HTTP, on new connections.
    NotHttp,
    /// Closes the connection instead of answering.
    Cut,
    /// Nothing listens, and nothing that was open stays open.
    Refuse,
}

/// What the service has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
}

/// The running service. It ends when this is dropped.
pub(crate) struct Switch {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    mode: watch::Sender<Mode>,
    /// Which mode the listener has come to: a change of it is an event to wait for.
    entered: watch::Receiver<Mode>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Switch {
    pub(crate) async fn start(first: Mode) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(first);
        let (enter, entered) = watch::channel(first);
        let seen = Arc::<Seen>::default();
        let task = tokio::spawn(listen(listener, address, modes, enter, Arc::clone(&seen)));
        Self { address, seen, mode, entered, task }
    }

    /// Switches; returns once the listener has come to it.
    pub(crate) async fn set(&mut self, mode: Mode) {
        self.mode.send_replace(mode);
        self.entered.wait_for(|m| *m == mode).await.unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v2/products?limit=10", self.address)
    }
}

async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    mut modes: watch::Receiver<Mode>,
    entered: watch::Sender<Mode>,
    seen: Arc<Seen>,
) {
    let mut listener = Some(listener);
    let mut open = JoinSet::new();
    loop {
        let mode = *modes.borrow_and_update();
        if mode == Mode::Refuse {
            listener = None;
            open.shutdown().await;
        } else if listener.is_none() {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(address).unwrap();
            listener = Some(socket.listen(1_024).unwrap());
        }
        entered.send_replace(mode);
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await.unwrap().0,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = modes.changed() => if changed.is_err() { return },
            stream = accept => {
                seen.connections.fetch_add(1, Ordering::Relaxed);
                open.spawn(serve(stream, modes.clone(), Arc::clone(&seen)));
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, modes: watch::Receiver<Mode>, seen: Arc<Seen>) {
    stream.set_nodelay(true).unwrap();
    if *modes.borrow() == Mode::NotHttp {
        let _ = stream.write_all(b"220 mail.example ready\r\n").await;
        return;
    }
    let service = service_fn(move |request| {
        seen.requests.fetch_add(1, Ordering::Relaxed);
        answer(request, *modes.borrow())
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(_request: Request<Incoming>, mode: Mode) -> Result<Response<Full<Bytes>>, CutHere> {
    let mut response = Response::new(Full::new(Bytes::from_static(RIGHT.as_bytes())));
    match mode {
        Mode::Right | Mode::NotHttp | Mode::Refuse => {}
        Mode::BlackHole => match std::future::pending::<Infallible>().await {},
        Mode::Status(status) => *response.status_mut() = StatusCode::from_u16(status).unwrap(),
        Mode::WrongBody => *response.body_mut() = Full::new(Bytes::from_static(br#"{"status":"sorry"}"#)),
        Mode::Slow(by) => tokio::time::sleep(by).await,
        Mode::Huge => *response.body_mut() = Full::new(Bytes::from(vec![b'x'; 2 << 20])),
        Mode::Cut => return Err(CutHere),
    }
    Ok(response)
}

#[derive(Debug, thiserror::Error)]
#[error("cut")]
struct CutHere;
