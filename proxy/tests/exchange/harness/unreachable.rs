//! Addresses at which no connection is made.

use socket2::{Domain, Socket, Type};
use std::net::SocketAddr;

/// An address at which nobody listens, taken for as long as the socket lives.
pub(crate) fn refusing() -> (Socket, SocketAddr) {
    refusing_on([127, 0, 0, 1])
}

/// The same on another address of this machine.
pub(crate) fn refusing_on(ip: [u8; 4]) -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((ip, 0)).into()).expect("bind");
    let address = socket.local_addr().expect("bound").as_socket().expect("an address");
    (socket, address)
}

/// An address at which connections are neither taken nor refused: its queue is full.
pub(crate) struct BlackHole {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl BlackHole {
    pub(crate) fn open() -> Self {
        let (listener, address) = refusing();
        listener.listen(0).expect("listen");
        let queued = (0..2).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("nonblocking");
            // The first is connected at once, the second never.
            let _ = socket.connect(&address.into());
            socket
        });
        Self { address, _queued: queued.collect(), _listener: listener }
    }
}
