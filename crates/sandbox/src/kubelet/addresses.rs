//! Pod addresses: one each, from the sandbox's own loopback network.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

/// The host parts of pods.
const POD_HOSTS: std::ops::RangeInclusive<u8> = 1..=199;

/// The addresses of one kubelet.
#[derive(Debug)]
pub(super) struct Addresses {
    network: [u8; 3],
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: BTreeSet<u8>,
    last: u8,
    paper: u16,
}

/// An address that is a pod's until dropped.
#[derive(Debug)]
pub(super) struct Address {
    /// The address.
    pub(super) ip: Ipv4Addr,
    held: Option<(Arc<Addresses>, u8)>,
}

impl Addresses {
    pub(super) fn new(network: [u8; 3]) -> Arc<Self> {
        Arc::new(Self { network, state: Mutex::new(State::default()) })
    }

    /// An address for processes to listen on, the least recently used first; `None` when all are taken.
    pub(super) fn take(self: &Arc<Self>) -> Option<Address> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let after = POD_HOSTS.filter(|host| *host > state.last);
        let host = after.chain(POD_HOSTS).find(|host| !state.taken.contains(host))?;
        state.taken.insert(host);
        state.last = host;
        let [a, b, c] = self.network;
        Some(Address { ip: Ipv4Addr::new(a, b, c, host), held: Some((Arc::clone(self), host)) })
    }

    /// An address for a pod without a process: loopback, where nobody listens.
    pub(super) fn paper(self: &Arc<Self>) -> Address {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.paper = state.paper.wrapping_add(1);
        let [high, low] = state.paper.to_be_bytes();
        Address { ip: Ipv4Addr::new(127, 255, high, low), held: None }
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        if let Some((addresses, host)) = &self.held {
            addresses.state.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Addresses;

    #[test]
    fn addresses_are_unique_and_not_reused_at_once() {
        let addresses = Addresses::new([127, 77, 3]);
        let first = addresses.take().expect("one");
        let second = addresses.take().expect("another");
        assert_ne!(first.ip, second.ip);
        let freed = first.ip;
        drop(first);
        assert_ne!(addresses.take().expect("a third").ip, freed);
        let all: Vec<_> = std::iter::from_fn(|| addresses.take()).collect();
        assert_eq!(all.len(), 198, "all but the second");
        assert!(all.iter().any(|address| address.ip == freed));
    }
}
