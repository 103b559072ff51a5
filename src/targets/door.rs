//! A door: a listener on loopback whose connections lead into the cluster by the API's port-forward. It is open for as long
//! as it is held, and takes its connections with it.

use crate::probes::detour::Detour;
use crate::targets::aim::{Aim, Place};
use crate::targets::cluster::{ClusterError, Reader};
use kube::api::Portforwarder;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A channel that takes longer to open is an obstacle of the way.
const SLOW: Duration = Duration::from_millis(100);
/// How long the end of a channel is waited for after its last byte, to learn whether it ended or broke.
const LAST_WORD: Duration = Duration::from_millis(5);

/// A door, open while it is held.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    tasks: Vec<AbortHandle>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Door {
    /// Opens a door. What is learned of the way is written into `detour`.
    ///
    /// # Errors
    /// When the system gives no port.
    pub async fn open(reader: Reader, aim: Aim, detour: Detour) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(serve(listener, Way { reader, aim, detour }));
        Ok(Self { address, tasks: vec![serving.abort_handle()] })
    }

    /// Runs something for as long as the door is open.
    #[must_use]
    pub fn with(mut self, beside: impl Future<Output = ()> + Send + 'static) -> Self {
        self.tasks.push(tokio::spawn(beside).abort_handle());
        self
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

/// What every connection of a door needs.
#[derive(Clone)]
struct Way {
    reader: Reader,
    aim: Aim,
    detour: Detour,
}

async fn serve(listener: TcpListener, way: Way) {
    // With the set goes every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((user, _)) = accepted {
                    connections.spawn(carry(user, way.clone()));
                } else {
                    // Out of descriptors, most likely: this machine's trouble, not the service's.
                    way.detour.broke(crate::clock::now());
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, from its beginning to its end. Whatever its end was is in the detour before its user can see it.
async fn carry(mut user: TcpStream, way: Way) {
    let _ = user.set_nodelay(true);
    // Nobody there: refused, as a Service without endpoints refuses.
    let Some(place) = way.aim.place().await else { return cut(user) };
    let Some((channel, stream)) = way.channel(&place).await else { return cut(user) };
    let ended = tokio::select! {
        ended = exchange(&mut user, place.port, stream, channel) => ended,
        () = way.pod_gone(&place) => Ended::ByPod,
    };
    match ended {
        Ended::ByUser => {
            let _ = user.shutdown().await;
        }
        Ended::ByPod => cut(user),
        Ended::Broken => {
            way.detour.broke(crate::clock::now());
            cut(user);
        }
    }
}

/// Who ended a connection.
enum Ended {
    ByUser,
    ByPod,
    /// The way did.
    Broken,
}

impl Way {
    /// Asks for a channel. That there is none is the service's only where the API says that the pod is not there.
    async fn channel(&self, place: &Place) -> Option<(Portforwarder, DuplexStream)> {
        let asked = crate::clock::now();
        let mut opening = std::pin::pin!(self.reader.forward(&place.namespace, &place.pod, place.port));
        let opened = if let Ok(opened) = tokio::time::timeout(SLOW, &mut opening).await {
            opened
        } else {
            // What waits for it meanwhile waits for the way, not for the service.
            self.detour.broke(asked);
            opening.await
        };
        match opened {
            Ok(mut channel) => {
                self.detour.answered(crate::clock::now());
                let stream = channel.take_stream(place.port)?;
                Some((channel, stream))
            }
            Err(ClusterError::Api { source, .. }) if no_such_pod(&source) => {
                self.detour.answered(crate::clock::now());
                None
            }
            Err(why) => {
                tracing::debug!(%why, "a connection could not be forwarded");
                self.detour.broke(asked);
                None
            }
        }
    }

    /// Waits until a pod that is no endpoint any more is gone for good: its connections would stand still otherwise.
    async fn pod_gone(&self, place: &Place) {
        self.aim.left(place).await;
        loop {
            let found = self.reader.pod(&place.namespace, &place.pod).await;
            if found.is_ok_and(|pod| pod.and_then(|p| p.metadata.uid).as_ref() != Some(&place.uid)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn no_such_pod(error: &kube::Error) -> bool {
    match error {
        kube::Error::UpgradeConnection(kube::client::UpgradeConnectionError::ProtocolSwitch(code)) => {
            code.as_u16() == 404
        }
        other => crate::targets::cluster::is_not_found(other),
    }
}

/// Carries bytes both ways until one side ends.
async fn exchange(user: &mut TcpStream, port: u16, stream: DuplexStream, mut channel: Portforwarder) -> Ended {
    // Held until the end: a message that nobody takes would look like a break.
    let told = channel.take_error(port);
    let (mut from_user, mut to_user) = user.split();
    let (mut from_pod, mut to_pod) = tokio::io::split(stream);
    let by_user = tokio::select! {
        // An error may be of either side.
        sent = tokio::io::copy(&mut from_user, &mut to_pod) => sent.is_ok(),
        _ = tokio::io::copy(&mut from_pod, &mut to_user) => false,
    };
    let ended = if by_user {
        Ended::ByUser
    } else {
        // A channel that was closed still waits for our own end; one that broke is over already.
        match tokio::time::timeout(LAST_WORD, channel.join()).await {
            Ok(Err(why)) => {
                tracing::debug!(%why, "a forwarded connection broke");
                Ended::Broken
            }
            Ok(Ok(())) | Err(_) => Ended::ByPod,
        }
    };
    let _ = to_pod.shutdown().await;
    drop(told);
    ended
}

/// Ends a connection so that its user is told at once.
fn cut(user: TcpStream) {
    let _ = user.set_zero_linger();
    drop(user);
}
