//! The service proxy, with real sockets.

use std::{io, net::SocketAddr, time::Duration};

use firedrill_sandbox::estate::{
    address::Network,
    proxy::{self, Endpoints},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

/// Answers every byte with its own letter, until aborted.
async fn backend(letter: u8) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        // Aborted with this task: its connections end as a process's do.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut byte = [0];
                while stream.read_exact(&mut byte).await.is_ok() {
                    stream.write_all(&[letter]).await.unwrap();
                }
            });
        }
    });
    (address, serving)
}

async fn ask(stream: &mut TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    timeout(SOON, async {
        stream.write_all(b"?").await?;
        stream.read_exact(&mut byte).await
    })
    .await
    .expect("an answer or an end")?;
    Ok(byte[0])
}

struct Proxy {
    address: SocketAddr,
    feed: watch::Sender<Endpoints>,
    cancel: CancellationToken,
    _network: Network,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn start() -> Proxy {
    let network = Network::claim().unwrap();
    let address = network.socket(200, network.usable_port(5432).unwrap());
    let (feed, endpoints) = watch::channel(Endpoints::default());
    let cancel = CancellationToken::new();
    tokio::spawn(proxy::run(address, endpoints, cancel.clone()));
    Proxy { address, feed, cancel, _network: network }
}

impl Proxy {
    fn ready(&self, ready: &[SocketAddr], others: &[SocketAddr]) {
        self.tell(Endpoints { ready: ready.to_vec(), others: others.to_vec(), ..Endpoints::default() });
    }

    fn tell(&self, endpoints: Endpoints) {
        self.feed.send_replace(endpoints);
    }

    /// Connects until the outcome is as wanted: a change of endpoints takes effect a moment later.
    async fn connects(&self, wanted: bool) -> Option<TcpStream> {
        timeout(SOON, async {
            loop {
                match TcpStream::connect(self.address).await {
                    Ok(stream) if wanted => return Some(stream),
                    Err(error) if !wanted && error.kind() == io::ErrorKind::ConnectionRefused => return None,
                    Ok(_) | Err(_) => tokio::task::yield_now().await,
                }
            }
        })
        .await
        .expect("the proxy to follow its endpoints")
    }
}

#[tokio::test]
async fn without_a_ready_endpoint_connections_are_refused_and_with_one_they_reach_it() {
    let proxy = start();
    proxy.connects(false).await;
    let (a, _serving) = backend(b'a').await;
    proxy.ready(&[a], &[]);
    let mut stream = proxy.connects(true).await.unwrap();
    assert_eq!(ask(&mut stream).await.unwrap(), b'a');
    proxy.ready(&[], &[a]);
    proxy.connects(false).await;
    assert_eq!(ask(&mut stream).await.unwrap(), b'a', "a kept connection to a backend that lives is kept");
}

#[tokio::test]
async fn a_vanished_endpoint_has_its_connections_reset_and_the_other_keeps_its_own() {
    let proxy = start();
    let (a, _serving_a) = backend(b'a').await;
    let (b, _serving_b) = backend(b'b').await;
    proxy.ready(&[a, b], &[]);
    let mut first = proxy.connects(true).await.unwrap();
    let mut second = proxy.connects(true).await.unwrap();
    let letters = [ask(&mut first).await.unwrap(), ask(&mut second).await.unwrap()];
    assert_ne!(letters[0], letters[1], "connections are spread");
    proxy.ready(&[b], &[]);
    let (mut on_a, mut on_b) = if letters[0] == b'a' { (first, second) } else { (second, first) };
    let mut byte = [0];
    let error = timeout(SOON, on_a.read_exact(&mut byte)).await.expect("an end").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(ask(&mut on_b).await.unwrap(), b'b');
}

#[tokio::test]
async fn a_backend_that_dies_takes_its_connections_along() {
    let proxy = start();
    let (a, serving) = backend(b'a').await;
    proxy.ready(&[a], &[]);
    let mut stream = proxy.connects(true).await.unwrap();
    assert_eq!(ask(&mut stream).await.unwrap(), b'a');
    serving.abort();
    assert!(ask(&mut stream).await.is_err());
    let mut late = proxy.connects(true).await.unwrap();
    assert!(ask(&mut late).await.is_err(), "the endpoint is still listed, and nobody is behind it");
}

#[tokio::test]
async fn while_nobody_is_ready_those_that_are_ending_are_asked() {
    let proxy = start();
    let (a, _serving_a) = backend(b'a').await;
    let (b, _serving_b) = backend(b'b').await;
    proxy.tell(Endpoints { serving: vec![a], ..Endpoints::default() });
    let mut stream = proxy.connects(true).await.unwrap();
    assert_eq!(ask(&mut stream).await.unwrap(), b'a');
    proxy.tell(Endpoints { ready: vec![b], serving: vec![a], ..Endpoints::default() });
    timeout(SOON, async {
        loop {
            let mut stream = proxy.connects(true).await.unwrap();
            if ask(&mut stream).await.unwrap() == b'b' {
                return;
            }
        }
    })
    .await
    .expect("the ready one to be asked");
    assert_eq!(ask(&mut stream).await.unwrap(), b'a', "a connection stays where it is");
}
