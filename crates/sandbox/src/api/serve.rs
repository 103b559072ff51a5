//! The socket: connections in, requests handled, everything closed at the end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handle::handle;
use super::kinds::Kind;
use super::meta;
use super::store::{Inner, Store};
use crate::audit::AuditLog;
use crate::faults::Faults;

/// How long open answers may take when the server closes.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Why the server is not there.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No socket.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No audit log.
    #[error("cannot write the audit log {}: {source}", .path.display())]
    Audit {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What every request sees.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) store: Arc<Store>,
    pub(crate) faults: Faults,
    pub(crate) audit: AuditLog,
    pub(crate) logs: PathBuf,
    pub(crate) service_addresses: Vec<IpAddr>,
    pub(crate) closing: CancellationToken,
}

impl Context {
    /// An address that no service has.
    pub(crate) fn service_address(&self, inner: &Inner) -> Option<String> {
        let taken: Vec<&str> =
            inner.range(Kind::Service, None).map(|service| meta::text(service, "/spec/clusterIP")).collect();
        self.service_addresses.iter().map(IpAddr::to_string).find(|address| !taken.contains(&address.as_str()))
    }
}

/// A listening API server.
#[derive(Debug)]
pub struct ApiServer {
    context: Arc<Context>,
    address: SocketAddr,
    tasks: TaskTracker,
}

/// What a server needs to know.
#[derive(Debug, Clone)]
pub(crate) struct ServeOptions {
    pub(crate) address: SocketAddr,
    pub(crate) audit_log: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) service_addresses: Vec<IpAddr>,
}

impl ApiServer {
    /// Listens and serves until [`ApiServer::close`].
    pub(crate) async fn start(store: Arc<Store>, options: ServeOptions) -> Result<Self, ServeError> {
        let ServeOptions { address, audit_log, logs, service_addresses } = options;
        let audit =
            AuditLog::open(&audit_log).map_err(|source| ServeError::Audit { path: audit_log.clone(), source })?;
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let closing = CancellationToken::new();
        let context = Arc::new(Context { store, faults: Faults::default(), audit, logs, service_addresses, closing });
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, Arc::clone(&context), tasks.clone()));
        Ok(Self { context, address, tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The objects.
    pub fn store(&self) -> &Arc<Store> {
        &self.context.store
    }

    /// The switches for its own faults.
    pub fn faults(&self) -> &Faults {
        &self.context.faults
    }

    /// The log of every request that could have changed something.
    pub fn audit_log(&self) -> &Path {
        self.context.audit.path()
    }

    /// Ends watches and connections; the port is free afterwards.
    pub async fn close(self) {
        self.context.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(listener: TcpListener, context: Arc<Context>, tasks: TaskTracker) {
    loop {
        tokio::select! {
            () = context.closing.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Without it an event can wait 40 ms for the acknowledgement of the one before.
                    let _ = stream.set_nodelay(true);
                    tasks.spawn(converse(stream, Arc::clone(&context)));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others may close theirs meanwhile.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
        }
    }
}

async fn converse(stream: TcpStream, context: Arc<Context>) {
    let closing = context.closing.clone();
    let service = service_fn(move |request| handle(Arc::clone(&context), request));
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(CLOSE_GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        // Clients hang up, faults break connections: both are ordinary here.
        tracing::debug!(%error, "a connection ended");
    }
}
