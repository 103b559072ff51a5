//! Probes of containers: a TCP connection, an HTTP request, or a command; thresholds as the kubelet counts them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::meta;
use crate::process::{Exit, Keeper, ProcessSpec};

/// The pod annotation that makes its probes faster than whole seconds allow.
pub(super) const PERIOD_ANNOTATION: &str = "sandbox.firedrill.example/probe-period-ms";
/// The most that is read of an answer: the status line stands at its beginning.
const HEAD_MAX: usize = 64;

/// One probe of one container.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    what: What,
    initial_delay: Duration,
    period: Duration,
    timeout: Duration,
    failures_max: u32,
    successes_min: u32,
}

#[derive(Debug, Clone)]
enum What {
    Tcp(SocketAddr),
    Http { address: SocketAddr, path: String, host: String },
    Exec(Vec<String>),
}

impl Probe {
    /// Reads the probe called `name` of a container in a pod with this address.
    pub(super) fn read(pod: &Value, container: &Value, name: &str, ip: Ipv4Addr) -> Option<Self> {
        let told = container.get(name)?;
        let seconds = |key: &str, default: i64| {
            let value = told.get(key).and_then(Value::as_i64).unwrap_or(default);
            Duration::from_secs(u64::try_from(value).unwrap_or(0))
        };
        let count = |key: &str, default: u32| {
            told.get(key).and_then(Value::as_u64).and_then(|value| u32::try_from(value).ok()).unwrap_or(default).max(1)
        };
        let faster = meta::annotation(pod, PERIOD_ANNOTATION).and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        Some(Self {
            what: what(told, container, ip)?,
            initial_delay: seconds("initialDelaySeconds", 0),
            period: faster.unwrap_or_else(|| seconds("periodSeconds", 10)).max(Duration::from_millis(1)),
            timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
            failures_max: count("failureThreshold", 3),
            successes_min: count("successThreshold", 1),
        })
    }

    /// Runs until dropped; `tell` hears whenever the verdict changes, beginning with the first that is certain.
    pub(super) async fn run(&self, keeper: &Keeper, spec: &ProcessSpec, mut tell: impl FnMut(bool)) {
        tokio::time::sleep(self.initial_delay).await;
        let mut ticks = tokio::time::interval(self.period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut successes, mut failures, mut verdict) = (0, 0, None);
        loop {
            ticks.tick().await;
            if self.ask(keeper, spec).await {
                (successes, failures) = (successes + 1, 0);
                if successes >= self.successes_min && verdict != Some(true) {
                    verdict = Some(true);
                    tell(true);
                }
            } else {
                (successes, failures) = (0, failures + 1);
                if failures >= self.failures_max && verdict != Some(false) {
                    verdict = Some(false);
                    tell(false);
                }
            }
        }
    }

    /// Asks once.
    async fn ask(&self, keeper: &Keeper, spec: &ProcessSpec) -> bool {
        match &self.what {
            What::Tcp(address) => {
                matches!(tokio::time::timeout(self.timeout, TcpStream::connect(address)).await, Ok(Ok(_)))
            }
            What::Http { address, path, host } => {
                let answered = tokio::time::timeout(self.timeout, status_line(*address, path, host)).await;
                answered.is_ok_and(|code| code.is_some_and(|code| (200..400).contains(&code)))
            }
            What::Exec(command) => execute(keeper, spec, command, self.timeout).await,
        }
    }
}

/// Runs a command in a container's surroundings; true when it exits with 0 in time.
pub(super) async fn execute(keeper: &Keeper, spec: &ProcessSpec, command: &[String], timeout: Duration) -> bool {
    let Some((program, args)) = command.split_first() else { return false };
    // It owns nothing: its end is not the end of what runs in the container.
    let spec = ProcessSpec { program: program.clone(), args: args.to_vec(), owns: Vec::new(), ..spec.clone() };
    let Ok(process) = keeper.spawn(spec).await else { return false };
    if let Ok(exit) = tokio::time::timeout(timeout, process.wait()).await {
        return exit == Exit::Code(0);
    }
    process.kill().await;
    false
}

fn what(told: &Value, container: &Value, ip: Ipv4Addr) -> Option<What> {
    if let Some(tcp) = told.get("tcpSocket") {
        return Some(What::Tcp(address(tcp, container, ip)?));
    }
    if let Some(http) = told.get("httpGet") {
        let address = address(http, container, ip)?;
        let path = Some(meta::text(http, "/path")).filter(|path| !path.is_empty()).unwrap_or("/");
        return Some(What::Http { address, path: path.to_owned(), host: address.to_string() });
    }
    let command = meta::items(told, "/exec/command");
    (!command.is_empty())
        .then(|| What::Exec(command.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()))
}

fn address(told: &Value, container: &Value, ip: Ipv4Addr) -> Option<SocketAddr> {
    let host = meta::text(told, "/host").parse().unwrap_or(IpAddr::V4(ip));
    let port = match told.get("port")? {
        Value::String(name) => {
            let ports = meta::items(container, "/ports").iter();
            ports.filter(|port| meta::text(port, "/name") == name).find_map(|port| meta::number(port, "/containerPort"))
        }
        number => number.as_i64(),
    };
    Some(SocketAddr::new(host, u16::try_from(port?).ok()?))
}

/// The code of an HTTP answer.
async fn status_line(address: SocketAddr, path: &str, host: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-probe/1.33\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = Vec::new();
    while !head.contains(&b'\n') && head.len() < HEAD_MAX {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&head);
    text.strip_prefix("HTTP/1.")?.split_ascii_whitespace().nth(1)?.parse().ok()
}
