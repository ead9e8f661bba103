//! One address for UDP and TCP.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// Connections that the kernel keeps for us.
const BACKLOG: i32 = 1024;
/// Bytes of questions that may wait in a UDP socket during a burst; the system may grant less.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Tries to find a port that is free for both transports.
const TRIES: usize = 32;

/// Bound sockets.
#[derive(Debug)]
pub struct Sockets {
    /// The address of all of them, with the port that was chosen.
    pub address: SocketAddr,
    /// Share the port; the kernel spreads clients over them.
    pub udp: Vec<UdpSocket>,
    /// Listen on the same port.
    pub tcp: Vec<TcpListener>,
}

/// Binds `count` UDP sockets and one TCP listener to one address; port 0: one that is free for both.
///
/// # Errors
/// The address is in use or not ours; the message names it.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Sockets> {
    let mut tries = if address.port() == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_once(address, count) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("dns: {address}: {error}"))),
            Ok(sockets) => return Ok(sockets),
        }
    }
}

fn bind_once(address: SocketAddr, count: usize) -> io::Result<Sockets> {
    let listener = socket(address, Type::STREAM, Protocol::TCP)?;
    listener.set_reuse_address(true)?;
    listener.bind(&address.into())?;
    listener.listen(BACKLOG)?;
    let tcp: TcpListener = listener.into();
    let address = tcp.local_addr()?;
    // A socket that does not share the port finds out whether another program has it.
    drop(bind_udp(address, false)?);
    let udp = (0..count.max(1)).map(|_| bind_udp(address, count > 1)).collect::<io::Result<_>>()?;
    Ok(Sockets { address, udp, tcp: vec![tcp] })
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
