//! One Service's TCP proxy: follows the ready endpoints, as kube-proxy's rules do.
//!
//! Nobody ready: those that are ending and still answer are asked. Nobody at all: connections are refused, since nothing
//! listens. An endpoint that is not ready any more gets no new connection and keeps the ones it has. An endpoint that is gone altogether has its connections reset.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// The endpoints of a Service at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Those that get new connections.
    pub ready: Vec<SocketAddr>,
    /// Those that are being ended and still answer: they get new connections only while nobody is ready.
    pub serving: Vec<SocketAddr>,
    /// Those that exist, and should not be asked.
    pub others: Vec<SocketAddr>,
}

impl Endpoints {
    fn holds(&self, address: SocketAddr) -> bool {
        [&self.ready, &self.serving, &self.others].iter().any(|list| list.contains(&address))
    }

    /// Who gets new connections.
    fn eligible(&self) -> &[SocketAddr] {
        if self.ready.is_empty() { &self.serving } else { &self.ready }
    }
}

/// A connection to a pod on the same machine is made at once or never.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long a new listener is tried for: the old one's address may still be closing.
const BIND_AGAIN_EVERY: Duration = Duration::from_millis(20);
/// Bytes moved at a time; small, since many connections sit idle.
const BUFFER_BYTES: usize = 8 * 1024;

/// Serves `listen` until cancelled.
pub async fn run(listen: SocketAddr, mut endpoints: watch::Receiver<Endpoints>, cancel: CancellationToken) {
    let connections = Connections::default();
    let mut turn = 0_usize;
    loop {
        let nobody = endpoints.borrow_and_update().eligible().is_empty();
        if nobody {
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = endpoints.changed() => if changed.is_err() { return },
            }
            connections.reset_vanished(&endpoints.borrow());
            continue;
        }
        let listener = match TcpListener::bind(listen).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%listen, %error, "the proxy cannot listen, trying again");
                tokio::time::sleep(BIND_AGAIN_EVERY).await;
                continue;
            }
        };
        // Dropping the listener is what refuses: the kernel answers with a reset from then on.
        loop {
            tokio::select! {
                // A change is heard before a connection is accepted by rules that are gone.
                biased;
                () = cancel.cancelled() => { connections.reset_all(); return }
                changed = endpoints.changed() => {
                    if changed.is_err() { return }
                    let now = endpoints.borrow_and_update();
                    connections.reset_vanished(&now);
                    if now.eligible().is_empty() { break }
                }
                accepted = listener.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    turn = turn.wrapping_add(1);
                    let now = endpoints.borrow();
                    let eligible = now.eligible();
                    let Some(&backend) = eligible.get(turn % eligible.len().max(1)) else { continue };
                    connections.serve(client, backend, cancel.child_token());
                }
            }
        }
    }
}

/// The connections that are open, by backend, so that those of one that vanished can be reset.
#[derive(Debug, Clone, Default)]
struct Connections {
    open: Arc<Mutex<HashMap<u64, (SocketAddr, CancellationToken)>>>,
    next: Arc<AtomicU64>,
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, (SocketAddr, CancellationToken)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: TcpStream, backend: SocketAddr, cancel: CancellationToken) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(id, (backend, cancel.clone()));
        let connections = self.clone();
        tokio::spawn(async move {
            join(client, backend, &cancel).await;
            connections.open().remove(&id);
        });
    }

    fn reset_vanished(&self, now: &Endpoints) {
        for (backend, cancel) in self.open().values() {
            if !now.holds(*backend) {
                cancel.cancel();
            }
        }
    }

    fn reset_all(&self) {
        for (_, cancel) in self.open().values() {
            cancel.cancel();
        }
    }
}

/// Connects to the backend and moves bytes both ways until either side ends.
async fn join(client: TcpStream, backend: SocketAddr, cancel: &CancellationToken) {
    let Ok(Ok(server)) = timeout(CONNECT_WITHIN, TcpStream::connect(backend)).await else {
        // What the client would have met without a proxy in between.
        let _ = client.set_zero_linger();
        return;
    };
    // Neither end waits for acknowledgements the proxy would otherwise add.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let mut up = Direction::new(client_read, server_write);
    let mut down = Direction::new(server_read, client_write);
    let ended = tokio::select! {
        () = cancel.cancelled() => Err(io::ErrorKind::ConnectionReset.into()),
        // The server's end is the end of the conversation; the client's is only the end of its questions.
        answers = down.pump() => answers,
        asked = async { match up.pump().await { Ok(()) => std::future::pending().await, Err(error) => Err(error) } } => asked,
    };
    if ended.is_err() {
        down.reset();
        up.reset();
    }
}

/// One way of a joined pair.
struct Direction {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
}

impl Direction {
    fn new(from: OwnedReadHalf, to: OwnedWriteHalf) -> Self {
        Self { from, to }
    }

    /// Ends the receiving connection by a reset rather than an orderly end.
    fn reset(self) {
        let _ = self.to.as_ref().set_zero_linger();
        // Dropped as it is, it would send an orderly end first.
        self.to.forget();
    }

    /// Moves bytes until `from` ends, then says so to `to`.
    async fn pump(&mut self) -> io::Result<()> {
        let mut buffer = vec![0_u8; BUFFER_BYTES];
        loop {
            let count = self.from.read(&mut buffer).await?;
            if count == 0 {
                return self.to.shutdown().await;
            }
            self.to.write_all(&buffer[..count]).await?;
        }
    }
}
