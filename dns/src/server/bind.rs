//! Sockets for each address: UDP and TCP, or TCP alone.

use super::every_address::of_host;
use crate::plan::Transport;
use crate::serving::At;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use tracing::debug;

/// Connections that the kernel keeps for us.
pub(super) const BACKLOG: i32 = 1024;
/// Bytes of questions that may wait in a UDP socket during a burst; the system may grant less.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Bytes that the kernel takes of each connection before the client has taken those before them; otherwise some MiB, and
/// nobody could tell who takes them slowly from who takes none.
const UNSENT: u32 = 16 << 10;
/// Tries to find a port that is free for both transports.
const TRIES: usize = 32;

/// Bound sockets.
#[derive(Debug)]
pub struct Sockets {
    /// As it was asked for.
    pub at: At,
    /// The address of all of them, with the port that was chosen.
    pub address: SocketAddr,
    /// Share the port; the kernel spreads clients over them. None for what goes over TCP alone.
    pub udp: Vec<UdpSocket>,
    /// Listen on the same port.
    pub tcp: Vec<TcpListener>,
}

/// Binds `count` UDP sockets and one TCP listener to one address; port 0: one that is free for both.
///
/// # Errors
/// The address is in use or not ours; the message names it.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Sockets> {
    bind_at(At { transport: Transport::Dns, address }, count, &[])
}

/// Binds all of `wanted`, `count` UDP sockets for each. All addresses of the host are those of IPv4 where it has no IPv6.
///
/// # Errors
/// One of them is in use or not ours; the message names it, and none is bound.
pub fn bind_all(wanted: impl IntoIterator<Item = At>, count: usize) -> io::Result<Vec<Sockets>> {
    bind_beside(wanted, (&[], &[]), count)
}

/// The same for those of `wanted` that are not `served` by this process; it has sockets there, and where it is `open`.
pub(super) fn bind_beside(
    wanted: impl IntoIterator<Item = At>,
    (served, open): (&[At], &[At]),
    count: usize,
) -> io::Result<Vec<Sockets>> {
    let mut new: Vec<At> = wanted.into_iter().filter(|at| !served.contains(at)).collect();
    // What comes to an address goes to who binds it, from then on, and no longer to who serves all addresses: that comes
    // last, once the others are bound and it is known to be the host's.
    let is_served = |at: &At| served.iter().any(|other| other.shares_with(*at));
    new.sort_by_key(is_served);
    for at in new.iter().filter(|at| is_served(at)) {
        let mut any_port = of_host(at.address);
        any_port.set_port(0);
        bind_udp(any_port, false).map_err(|error| named(*at, &error))?;
    }
    let (mut open, mut sockets) = ([served, open].concat(), Vec::<Sockets>::new());
    for at in new {
        if !sockets.iter().any(|sockets| sockets.at == at) {
            sockets.push(bind_at(at, count, &open)?);
            open.push(at);
        }
    }
    Ok(sockets)
}

fn bind_at(at: At, count: usize, bound: &[At]) -> io::Result<Sockets> {
    // What takes all addresses and what takes one of them share a port; the kernel prefers the latter.
    let is_exclusive = !bound.iter().any(|other| other.address.port() == at.address.port());
    let address = of_host(at.address);
    let mut tries = if at.address.port() == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_once(at, address, count, is_exclusive) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            bound => return bound.map_err(|error| named(at, &error)),
        }
    }
}

fn named(at: At, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("dns: {}: {error}", at.address))
}

fn bind_once(at: At, address: SocketAddr, count: usize, is_exclusive: bool) -> io::Result<Sockets> {
    let bind_tcp = |address: SocketAddr, is_shared| {
        let listener = socket(address, Type::STREAM, Protocol::TCP)?;
        listener.set_reuse_address(true)?;
        // Connections have it from here.
        if let Err(error) = listener.set_tcp_notsent_lowat(UNSENT) {
            debug!(%error, "dns: the kernel takes as much of each connection as it likes");
        }
        listener.set_reuse_port(is_shared)?;
        listener.bind(&address.into())?;
        io::Result::Ok(listener)
    };
    let mut address = address;
    if is_exclusive {
        // A socket that does not share the port finds out whether another program has it.
        let listener = bind_tcp(address, false)?;
        listener.listen(1)?;
        address = TcpListener::from(listener).local_addr()?;
    }
    let listener = bind_tcp(address, true)?;
    listener.listen(BACKLOG)?;
    let tcp: TcpListener = listener.into();
    let address = tcp.local_addr()?;
    let mut udp = Vec::new();
    if at.transport == Transport::Dns {
        if is_exclusive {
            drop(bind_udp(address, false)?);
        }
        udp = (0..count.max(1)).map(|_| bind_udp(address, true)).collect::<io::Result<_>>()?;
    }
    Ok(Sockets { at, address, udp, tcp: vec![tcp] })
}

fn bind_udp(address: SocketAddr, is_shared: bool) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(is_shared)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}
