//! Ports of TCP, each for one transport: plain DNS takes connections too, and nothing says what one is for before it is
//! answered.

use crate::plan::address::taking;
use crate::plan::key::{Listener, Transport};
use crate::plan::reading::Reading;
use crate::plan::{BindTo, Block, Plan};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};

/// What connections come to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum To<'p> {
    Address(IpAddr),
    /// An interface, and which addresses of it are left out.
    Interface(&'p str, &'p [BindTo]),
}

impl<'p> To<'p> {
    fn of(block: &'p Block, listener: &'p Listener) -> Self {
        match &listener.address {
            None => Self::Address(Ipv6Addr::UNSPECIFIED.into()),
            Some(BindTo::Address(address)) => Self::Address(*address),
            Some(BindTo::Interface(name)) => {
                Self::Interface(name, block.bind_of(listener).map_or(&[], |(_, bind)| &bind.except))
            }
        }
    }

    /// Who else may take what comes there; the addresses of an interface are known only at the start, and compared there.
    fn taking(self) -> impl Iterator<Item = Self> {
        let address = match self {
            Self::Address(address) => address,
            Self::Interface(..) => Ipv6Addr::UNSPECIFIED.into(),
        };
        std::iter::once(self).chain(taking(address).map(Self::Address))
    }
}

/// A block at one of its listeners.
struct Listening<'p> {
    index: usize,
    block: &'p Block,
    listener: Listener,
}

impl Listening<'_> {
    /// The same place over this transport.
    fn over(&self, transport: Transport) -> impl Iterator<Item = (u16, Transport, To<'_>)> {
        let port = self.listener.port;
        To::of(self.block, &self.listener).taking().map(move |to| (port, transport, to))
    }

    /// By the file, and then as transports are told.
    fn order(&self) -> (usize, Transport) {
        (self.index, self.listener.transport)
    }
}

/// Listeners of several transports that may take the same connections; of each block one.
pub(super) fn check(plan: &Plan, reading: &mut Reading<'_>) {
    let all =
        plan.blocks.iter().enumerate().flat_map(|(index, block)| {
            block.listeners().map(move |(listener, _)| Listening { index, block, listener })
        });
    let all: Vec<_> = all.collect();
    let mut first = HashMap::new();
    for one in &all {
        let Listening { block, listener, .. } = one;
        first.entry((listener.port, listener.transport, To::of(block, listener))).or_insert(one);
    }
    let mut told = HashSet::new();
    for one in &all {
        let others = Transport::ALL.into_iter().filter(|transport| *transport != one.listener.transport);
        for other in others.flat_map(|other| one.over(other)).filter_map(|other| first.get(&other).copied()) {
            let (before, later) = if one.order() < other.order() { (one, other) } else { (other, one) };
            if told.insert(later.index) {
                reading.errors.push(later.block.shares_port(before.block, &later.listener, &before.listener));
            }
        }
    }
}
