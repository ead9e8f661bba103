//! Where sockets are open: what is served, and what was given up and still answers what came to it.

use crate::serving::{At, Serving};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tracing::warn;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<Vec<Weak<Place>>>>);

/// One of them, until nobody holds it.
#[derive(Debug)]
pub(super) struct Place {
    at: At,
    sockets: Vec<Weak<UdpSocket>>,
    is_left: AtomicBool,
}

impl Places {
    pub(super) fn occupy(&self, at: At, sockets: &[Arc<UdpSocket>]) -> Arc<Place> {
        let sockets = sockets.iter().map(Arc::downgrade).collect();
        let place = Arc::new(Place { at, sockets, is_left: AtomicBool::new(false) });
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|place| place.strong_count() > 0);
        places.push(Arc::downgrade(&place));
        place
    }

    pub(super) fn addresses(&self) -> Vec<At> {
        self.open().iter().map(|place| place.at).collect()
    }

    /// Gives up those that are not served in `next`. Where what comes there is served in `next` at another address, or is
    /// again at the same, its sockets alone get it from now on.
    pub(super) fn hand_over(&self, next: &Serving) {
        for place in self.open() {
            if next.site(place.at).is_none() {
                place.is_left.store(true, Ordering::Relaxed);
            }
            if place.is_left() && next.addresses().any(|at| at.shares_with(place.at)) {
                place.withdraw();
            }
        }
    }

    fn open(&self) -> Vec<Arc<Place>> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Place {
    fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }

    fn withdraw(&self) {
        for socket in self.sockets.iter().filter_map(Weak::upgrade).filter(|socket| !is_withdrawn(socket)) {
            if let Err(error) = withdraw(&socket) {
                warn!(at = %self.at, %error, "dns: what comes here may still be answered as before");
            }
        }
    }
}

/// Whether nothing comes to this socket any more but what is in it.
pub(super) fn is_withdrawn(socket: &UdpSocket) -> bool {
    socket.peer_addr().is_ok()
}

/// The kernel gives the most fitting socket what comes, and one that was given up may be that. A connected one gets what
/// comes from its peer alone, here itself; it keeps what it has, and answers leave from it as before.
fn withdraw(socket: &UdpSocket) -> io::Result<()> {
    let own = socket.local_addr()?;
    let to = |ip: IpAddr| socket.connect(SocketAddr::new(ip, own.port()));
    match own.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => to(Ipv4Addr::LOCALHOST.into()),
        // One of both families, on a host that may lack the one.
        IpAddr::V6(ip) if ip.is_unspecified() => {
            to(Ipv6Addr::LOCALHOST.into()).or_else(|_| to(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()))
        }
        // With its scope.
        _ => socket.connect(own),
    }
}
