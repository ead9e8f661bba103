//! Addresses and who has them. Each family has a table of its own: an owner of an IPv4 address takes 16 bytes.

use super::pieces::Pieces;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Owners by address.
#[derive(Debug, Clone)]
pub(super) struct Reverse<O> {
    v4: Pieces<Ipv4Addr, O>,
    v6: Pieces<Ipv6Addr, O>,
}

impl<O> Default for Reverse<O> {
    fn default() -> Self {
        Self { v4: Pieces::default(), v6: Pieces::default() }
    }
}

impl<O: Ord + Clone> Reverse<O> {
    /// O(log n) comparisons; copies a bounded part if a clone shares it.
    pub(super) fn insert(&mut self, address: IpAddr, owner: O) {
        match address {
            IpAddr::V4(address) => self.v4.insert((address, owner)),
            IpAddr::V6(address) => self.v6.insert((address, owner)),
        }
    }

    /// As cheap as [`Self::insert`].
    pub(super) fn remove(&mut self, address: IpAddr, owner: O) {
        match address {
            IpAddr::V4(address) => self.v4.remove(&(address, owner)),
            IpAddr::V6(address) => self.v6.remove(&(address, owner)),
        }
    }

    /// All, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpAddr, &O)> {
        let v4 = self.v4.iter().map(|(address, owner)| (IpAddr::V4(*address), owner));
        v4.chain(self.v6.iter().map(|(address, owner)| (IpAddr::V6(*address), owner)))
    }

    /// Those of one address, sorted; O(log n) for the first one.
    pub(super) fn owners(&self, address: IpAddr) -> impl Iterator<Item = &O> {
        let (v4, v6) = match address {
            IpAddr::V4(address) => (Some(self.v4.owners(address)), None),
            IpAddr::V6(address) => (None, Some(self.v6.owners(address))),
        };
        v4.into_iter().flatten().chain(v6.into_iter().flatten())
    }

    /// Whether anybody has an address from `first` to `last`; O(log n). Nobody has, where they are of two families.
    pub(super) fn has_any(&self, first: IpAddr, last: IpAddr) -> bool {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => self.v4.has_any(first, last),
            (IpAddr::V6(first), IpAddr::V6(last)) => self.v6.has_any(first, last),
            _ => false,
        }
    }
}
