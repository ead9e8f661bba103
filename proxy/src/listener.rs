//! Sockets that accept: one a worker for each address, so that workers share nothing and the kernel spreads clients.
//! What every accepted socket needs is set once, on the listening one, and inherited (tcp(7)).

mod accept;
mod ceiling;
#[cfg(test)]
mod tests;

pub use accept::accept_loop;
pub use ceiling::{ConnectionCeiling, ConnectionPermit, connection_ceiling, raise_open_files};

use crate::dead_peer;
use crate::limits::Limits;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// The kernel cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// Binds `address` once for each worker, with `SO_REUSEPORT`; with port 0 all get the port that the system chose.
/// `[::]` takes IPv4 too.
///
/// # Errors
/// The address is in use (also by a process that would share it), not ours or forbidden; the message names it.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let mut bound = address;
    (0..workers)
        .map(|worker| {
            if worker == 0 && address.port() != 0 {
                // SO_REUSEPORT alone would let two processes of one user share a port without a word.
                listening(address, Sharing::Exclusive)?;
            }
            let listener = listening(bound, Sharing::Workers)?;
            bound = listener.local_addr()?;
            Ok(listener)
        })
        .collect::<io::Result<_>>()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Exclusive,
    Workers,
}

fn listening(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A port whose last connections are in TIME_WAIT is free.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Workers)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // For those that are queued before a proxy with limits of its own takes the socket.
    dead_peer::find(&SockRef::from(&socket), &Limits::default())?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
