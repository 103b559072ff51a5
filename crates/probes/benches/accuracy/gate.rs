//! The way to the database: open while it takes traffic, as an endpoint behind a readiness check is.
//!
//! A server that was killed builds the caches of all its sessions with the first one after its start, which takes longer
//! than any later one. A readiness check pays for that, and its moment of opening is known to the microsecond.

use crate::truth::{Edge, now_ns};
use rustix::process::setpriority_process;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on while it is open, and ends them at once while it is closed.
pub(crate) struct Gate {
    pub(crate) port: u16,
    is_open: Arc<AtomicBool>,
}

impl Gate {
    /// An open gate before `port`, on a thread of its own.
    pub(crate) fn start(port: u16) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let gate =
            Self { port: listener.local_addr().expect("an address").port(), is_open: Arc::new(AtomicBool::new(true)) };
        let is_open = Arc::clone(&gate.is_open);
        std::thread::spawn(move || {
            // Where it may, it goes first: a way has no part in what is measured.
            let _ = setpriority_process(Some(rustix::thread::gettid()), -10);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                loop {
                    let Ok((client, _)) = listener.accept().await else { continue };
                    if is_open.load(Ordering::SeqCst) {
                        tokio::spawn(pass(client, port));
                    }
                }
            });
        });
        gate
    }

    /// From now on connections are passed on; when that was.
    pub(crate) fn open(&self) -> Edge {
        self.set(true)
    }

    /// From now on new connections are ended at once.
    pub(crate) fn close(&self) -> Edge {
        self.set(false)
    }

    fn set(&self, to: bool) -> Edge {
        let after_ns = now_ns();
        self.is_open.store(to, Ordering::SeqCst);
        Edge { after_ns, by_ns: now_ns() }
    }
}

async fn pass(mut client: TcpStream, port: u16) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}
