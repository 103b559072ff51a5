//! `tcp`: a port that accepts a connection.
//!
//! It has one view only, the fresh one: a connection that is kept and never used says nothing about the service, since
//! nothing is sent over it.

use crate::ask::{Answer, Ask, Condition, Miss, Opening};
use crate::pace::{self, Pace, Views};
use crate::scalar::Span;
use crate::wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Connects to a port. It says that something listens, no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tcp {
    /// `host:port`.
    pub address: String,
    /// The period; 50 ms by default. Each time over a new connection.
    pub every: Option<Span>,
    /// How long an answer may take; 500 ms by default, at most a twentieth of the RTO.
    pub timeout: Option<Span>,
}

impl Tcp {
    /// An example, for documentation and tests.
    pub const SAMPLE: &'static str = "tcp: { address: \"orders.ultramarket.example:5432\" }";

    /// The target it asks, when it names one of the estate.
    pub fn target(&self) -> Option<&crate::scalar::Name> {
        None
    }

    /// Its rates and its timeout.
    pub fn pace(&self) -> Pace {
        Pace {
            every: self.every.unwrap_or(pace::EVERY),
            fresh_every: None,
            timeout: self.timeout.unwrap_or(pace::TIMEOUT),
            views: Views::FreshOnly,
        }
    }
}

/// Connects.
pub(crate) struct TcpAsk {
    host: String,
    port: u16,
}

impl TcpAsk {
    /// Reads the address.
    ///
    /// # Errors
    /// A sentence that says what was found and what was expected.
    pub(crate) fn new(spec: &Tcp) -> Result<Self, String> {
        let expected = || format!("`{}` is not an address: expected `host:port`", spec.address);
        let (host, port) = spec.address.rsplit_once(':').ok_or_else(expected)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(expected)?;
        if host.is_empty() { Err(expected()) } else { Ok(Self { host, port }) }
    }
}

impl Ask for TcpAsk {
    type Connection = tokio::net::TcpStream;
    const OPENING: Opening = Opening::Hasty;

    async fn connect(&self) -> Result<Self::Connection, Miss> {
        wire::tcp(&self.host, self.port).await
    }

    fn condition(&self, _connection: &Self::Connection) -> Condition {
        Condition::Spent
    }

    async fn ask(&self, _connection: &mut Self::Connection, _seq: u64) -> Result<Answer, Miss> {
        // To have connected is the answer.
        Ok(Answer { node: None, timeline: 0, connection: Condition::Usable })
    }

    async fn part(&self, connection: Self::Connection) {
        drop(connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let read = |address: &str| {
            let spec = Tcp { address: address.to_owned(), every: None, timeout: None };
            TcpAsk::new(&spec).map(|ask| (ask.host, ask.port))
        };
        assert_eq!(read("orders.example:5432"), Ok(("orders.example".to_owned(), 5432)));
        assert_eq!(read("[::1]:80"), Ok(("::1".to_owned(), 80)));
        for wrong in ["orders.example", ":5432", "orders.example:0", "orders.example:http", ""] {
            assert!(read(wrong).unwrap_err().contains("expected `host:port`"), "{wrong}");
        }
    }
}
