//! The connections of the admin endpoint, or of probes: few at once, where the oldest gives way, and none
//! that is silent for long: whoever reaches the port could keep the kubelet from it otherwise.

use axum::serve::Listener;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once; one more ends the oldest.
pub(super) const CONNECTIONS: usize = 64;
/// How long a connection may neither send nor take anything.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// Pause after a failed accept, such as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts within the limits.
#[derive(Debug)]
pub(crate) struct Connections {
    listener: TcpListener,
    /// One for each that is open, oldest first; dropping it ends the connection.
    open: VecDeque<oneshot::Sender<()>>,
}

impl Connections {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, open: VecDeque::new() }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.open.retain(|open| !open.is_closed());
                    if self.open.len() >= CONNECTIONS {
                        self.open.pop_front();
                    }
                    let (open, given_up) = oneshot::channel();
                    self.open.push_back(open);
                    return (Connection { stream, idle: Box::pin(sleep(IDLE)), given_up: Some(given_up) }, peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "admin: accept");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it is idle, or gives way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    /// Ends once another one takes its place; `None` from then on.
    given_up: Option<oneshot::Receiver<()>>,
}

impl Connection {
    /// Passes a result on; while there is none, the clock runs.
    fn watched<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match self.given_up.as_mut().map(|given_up| Pin::new(given_up).poll(context)) {
            Some(Poll::Pending) => {}
            Some(Poll::Ready(_)) | None => {
                self.given_up = None;
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        if polled.is_ready() {
            self.idle.as_mut().reset(Instant::now() + IDLE);
            return polled;
        }
        self.idle.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watched(context, polled)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
