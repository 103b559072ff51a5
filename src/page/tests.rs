//! The page over a socket, as a browser and as Prometheus ask for it.

use super::{Page, PageError};
use crate::daemon::{Glance, Scheduled};
use crate::store::{FiringRow, FiringState, Journal};
use jiff::Timestamp;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

struct Served {
    dir: PathBuf,
    address: SocketAddr,
    journal: Arc<Journal>,
    glances: watch::Sender<Glance>,
    stop: CancellationToken,
}

impl Served {
    async fn begin() -> Self {
        let dir = std::env::temp_dir().join(format!("firedrill-page-{}", uuid::Uuid::now_v7()));
        let journal = Arc::new(Journal::open(&dir).await.unwrap());
        let page = Page::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (page.address, CancellationToken::new());
        let (glances, seen) = watch::channel(Glance::default());
        tokio::spawn(page.serve(Arc::clone(&journal), seen, stop.clone()));
        Self { dir, address, journal, glances, stop }
    }

    /// The whole answer, as it comes.
    async fn get(&self, path: &str, host: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn glance() -> Glance {
    let scheduled = |experiment: &str| Scheduled {
        experiment: experiment.to_owned(),
        environment: "production".to_owned(),
        schedule: "0 10 * * Tue Asia/Tashkent".to_owned(),
        next: Some("2026-12-01T05:00:00Z".parse().unwrap()),
        pass_every: Some(firedrill_core::time::Nanos::from_secs(86_400)),
    };
    Glance {
        at: Some(Timestamp::now()),
        experiments: [("orders in production".to_owned(), scheduled("orders"))].into(),
        under_way: [("web in production".to_owned(), "0199".to_owned())].into(),
        waiting: 2,
        bad: [("experiments/bad.yaml".into(), "`schedule.cron` cannot be used <script>".to_owned())].into(),
        halted: Some("halted by ann: an incident".to_owned()),
    }
}

#[tokio::test]
async fn who_looks_sees_what_is_due_what_happened_and_what_is_wrong() {
    let served = Served::begin().await;
    served.glances.send_replace(glance());
    let row = FiringRow {
        key: "orders in production".to_owned(),
        planned_ns: 1_764_565_200_000_000_000,
        due_ns: 1_764_565_200_000_000_000,
        experiment: "orders".to_owned(),
        environment: "production".to_owned(),
        state: FiringState::Missed,
        why: "nobody was there".to_owned(),
        drill: None,
        decided_ns: 1_764_565_300_000_000_000,
    };
    served.journal.consider("orders in production", 1, vec![row]).await.unwrap();
    let page = served.get("/", &served.address.to_string()).await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for words in [
        "content-security-policy: default-src 'none'",
        "Nothing begins",
        "an incident",
        "orders",
        "never (too long ago)",
        "Tue 2026-12-01 05:00:00 UTC",
        "is under way",
        "nobody was there",
        "2 wait for room",
        "&lt;script&gt;",
    ] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    assert!(!page.contains("<script"), "no scripts, whatever a file says");
    assert!(served.get("/drills/none", "localhost").await.starts_with("HTTP/1.1 404"));
    assert!(served.get("/drills/none/report.json", "localhost").await.starts_with("HTTP/1.1 404"));
    let metrics = served.get("/metrics", "127.0.0.1").await;
    assert!(
        metrics.contains("firedrill_halted 1\n") && metrics.contains("firedrill_firings_total{state=\"missed\"} 1\n")
    );
}

#[tokio::test]
async fn a_name_of_another_site_is_not_answered_and_an_address_that_others_reach_is_not_taken() {
    let served = Served::begin().await;
    for host in ["firedrill.example", "127.0.0.1.firedrill.example", "firedrill.example:8642", ""] {
        assert!(served.get("/", host).await.starts_with("HTTP/1.1 421"), "{host}");
    }
    for host in ["localhost", "localhost:8642", "127.0.0.1:1", "[::1]:8642", "[::1]"] {
        assert!(served.get("/", host).await.starts_with("HTTP/1.1 200"), "{host}");
    }
    let refused = Page::bind("0.0.0.0:0".parse().unwrap()).await;
    assert!(matches!(refused, Err(PageError::NotLoopback(_))), "{refused:?}");
    let taken = Page::bind(served.address).await;
    assert!(matches!(taken, Err(PageError::Listen { .. })), "{taken:?}");
}

#[tokio::test]
async fn a_daemon_that_does_not_go_round_is_neither_alive_nor_ready() {
    let served = Served::begin().await;
    for path in ["/livez", "/readyz"] {
        assert!(served.get(path, "localhost").await.starts_with("HTTP/1.1 503"), "{path} before its first round");
    }
    served.glances.send_replace(glance());
    for path in ["/livez", "/readyz"] {
        assert!(served.get(path, "localhost").await.starts_with("HTTP/1.1 200"), "{path}");
    }
    let long_ago = Timestamp::now() - jiff::SignedDuration::from_secs(60);
    served.glances.send_replace(Glance { at: Some(long_ago), ..glance() });
    assert!(served.get("/livez", "localhost").await.starts_with("HTTP/1.1 503"));
}
