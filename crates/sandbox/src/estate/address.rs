//! Where a sandbox listens: a loopback /24 of its own, so that two sandboxes never meet.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

use super::credentials::Password;

/// The port on `.254` whose listener says "this /24 is taken".
const CLAIM_PORT: u16 = 48_611;
/// How many networks are tried before giving up.
const ATTEMPTS: u32 = 64;

/// Below what Linux gives to clients by default (32768 and up), above what services usually take.
const FALLBACK_PORTS: std::ops::Range<u16> = 22_000..22_200;

/// A claimed network `127.a.b.0/24`; given back when dropped.
///
/// Host parts: `.1` to `.199` pods, `.200` to `.239` service addresses, `.240` the S3 store, `.254` the claim.
#[derive(Debug)]
pub struct Network {
    prefix: [u8; 3],
    _claim: TcpListener,
}

impl Network {
    /// Claims a random free network.
    ///
    /// # Errors
    /// When no network of 64 tried could be bound: the system does not route all of 127.0.0.0/8 to loopback.
    pub fn claim() -> io::Result<Self> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let seed = Password::random()?;
            let byte = |at: usize| u8::from_str_radix(&seed.reveal()[at..at + 2], 16).unwrap_or(77);
            // 64 and up: stays clear of 127.0.0.0/16 and of resolvers at 127.0.0.53.
            let prefix = [127, 64 + byte(0) % 180, byte(2)];
            match TcpListener::bind(address(prefix, 254, CLAIM_PORT)) {
                Ok(claim) => return Ok(Self { prefix, _claim: claim }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no loopback network was tried")))
    }

    /// The address with this host part.
    pub fn host(&self, host: u8) -> IpAddr {
        address(self.prefix, host, 0).ip()
    }

    /// Host `host` with `port`.
    pub fn socket(&self, host: u8, port: u16) -> SocketAddr {
        address(self.prefix, host, port)
    }

    /// The first three bytes, with which pods are numbered.
    pub fn prefix(&self) -> [u8; 3] {
        self.prefix
    }

    /// `preferred` if it can be listened on here (a server on all addresses may hold it), else another. Never one that
    /// the kernel gives to clients: a client that connects to its own port while nothing listens meets itself.
    pub fn usable_port(&self, preferred: u16) -> io::Result<u16> {
        let mut last = None;
        for port in [preferred].into_iter().chain(FALLBACK_PORTS) {
            match TcpListener::bind(self.socket(253, port)) {
                Ok(_) => return Ok(port),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no port was tried")))
    }
}

fn address(prefix: [u8; 3], host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(prefix[0], prefix[1], prefix[2], host)), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_networks_at_once_are_different_and_a_held_port_is_avoided() {
        let (one, two) = (Network::claim().unwrap(), Network::claim().unwrap());
        assert_ne!(one.host(1), two.host(1));
        let port = one.usable_port(5432).unwrap();
        let held = TcpListener::bind(one.socket(253, port)).unwrap();
        assert_ne!(one.usable_port(port).unwrap(), port);
        drop(held);
        assert_eq!(one.usable_port(port).unwrap(), port);
    }
}
