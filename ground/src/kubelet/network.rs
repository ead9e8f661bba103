//! A Pod's network: a namespace, an address out of 10.244.0.0/16, and a pair of devices to the ground.

use crate::ADDRESS;
use crate::namespace::{NetworkNamespace, ip};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// Gives each Pod an address that none has had before, up to 65,000 of them.
pub(super) struct Addresses {
    count: Arc<AtomicU16>,
}

impl Addresses {
    pub(super) fn new(count: Arc<AtomicU16>) -> Self {
        Self { count }
    }

    /// The next number of a Pod; it names its device and its address.
    pub(super) fn next(&self) -> u16 {
        // The first is left out: .0 looks like the network's own.
        self.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// A network of a Pod's own. Dropping it removes its devices.
pub(super) struct PodNetwork {
    pub(super) namespace: NetworkNamespace,
    pub(super) address: Ipv4Addr,
    ground: NetworkNamespace,
    device: String,
}

impl PodNetwork {
    /// Makes it and connects it with `ground`. Blocks.
    ///
    /// # Errors
    /// With what `ip` says.
    pub(super) fn create(ground: NetworkNamespace, number: u16) -> anyhow::Result<Self> {
        let [high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(10, 244, high, low);
        let device = format!("pod{number}");
        let namespace = NetworkNamespace::create()?;
        let peer = ground.path();
        namespace.run(|| {
            ip(&format!(
                "link add eth0 type veth peer name {device} netns {}\n\
                 addr add {address}/32 dev eth0\n\
                 link set eth0 up\n\
                 route add {ADDRESS} dev eth0\n\
                 route add default via {ADDRESS}",
                peer.display()
            ))
        })??;
        ground.run(|| ip(&format!("link set {device} up\nroute add {address} dev {device}")))??;
        Ok(Self { namespace, address, ground, device })
    }
}

impl Drop for PodNetwork {
    fn drop(&mut self) {
        // The kernel removes it later by itself; until then packets would go to nobody instead of being refused.
        drop(self.ground.run(|| ip(&format!("link del {}", self.device))));
    }
}
