//! An upstream that a test plays by hand.

use super::Client;
use super::PATIENCE;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// A listening upstream.
pub(crate) struct Upstream {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Upstream {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("bound");
        Self { listener, address }
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Client {
        let (socket, _) = timeout(PATIENCE, self.listener.accept()).await.expect("no connection").expect("accept");
        Client::from_socket(socket)
    }

    /// Whether a connection is waiting to be accepted.
    pub(crate) async fn is_left_alone(&self) -> bool {
        tokio::select! {
            biased;
            _ = self.listener.accept() => false,
            () = tokio::task::yield_now() => true,
        }
    }
}
