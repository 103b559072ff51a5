//! `dead-man`, hidden: what runs in the Job that brings deployments back when a runner is lost for good.

use crate::cli::exit::Exit;
use crate::cli::{out, signals};
use crate::effects::dead_man::watch::{DeadMan as Watcher, Ended, Watched};
use crate::spec::scalar::Span;
use crate::targets::cluster::{Access, Cluster};
use clap::Args;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;

/// Bring back what a drill took to zero, when nobody renews its lease any more.
#[derive(Debug, Args)]
pub(crate) struct DeadMan {
    /// The namespace of the drill's target
    #[arg(long)]
    namespace: String,
    /// The Lease that is the drill's lock
    #[arg(long)]
    lease: String,
    /// The drill
    #[arg(long)]
    drill: String,
    /// How long the Lease may go without being renewed
    #[arg(long, value_name = "SPAN", value_parser = Span::parse)]
    after: Span,
    /// A port to open once it watches, for a kubelet's probe
    #[arg(long)]
    port: Option<u16>,
    /// How the cluster is reached; the pod's own service account by default
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

impl DeadMan {
    pub(crate) async fn go(self) -> Exit {
        let mut stop = signals::Stops::hear("this process can only be killed");
        let after = Duration::from_nanos(self.after.0.0);
        let access = Access { kubeconfig: self.kubeconfig, context: None };
        let cluster = match Cluster::connect(&access).await {
            Ok(cluster) => cluster,
            Err(e) => {
                out::error(&e.to_string());
                return Exit::Refused;
            }
        };
        let watched = Watched { namespace: self.namespace, lease: self.lease, drill: self.drill, after };
        let dead_man = Watcher::new(cluster, watched);
        tokio::select! {
            exit = work(&dead_man, self.port) => exit,
            () = stop.next() => Exit::Pass,
        }
    }
}

async fn work(watcher: &Watcher, port: Option<u16>) -> Exit {
    if let Err(why) = watcher.fit().await {
        out::error(&why);
        return Exit::Refused;
    }
    // That it listens says that it watches: nobody ever talks to it.
    let _watching = match port {
        None => None,
        Some(port) => match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
            Ok(listener) => Some(listener),
            Err(e) => {
                out::error(&format!("port {port}: {e}"));
                return Exit::Refused;
            }
        },
    };
    match watcher.stand().await {
        Ended::Released => out::line("the drill let its lease go: nothing to bring back"),
        Ended::BroughtBack(1) => out::line("the drill's lease lapsed: 1 deployment brought back"),
        Ended::BroughtBack(n) => out::line(&format!("the drill's lease lapsed: {n} deployments brought back")),
    }
    Exit::Pass
}
