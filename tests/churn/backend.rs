//! Backends in the test's process that come and go. One that stops refuses connections and closes those that are idle
//! at once, also under a request that has just arrived: the worst case of a Pod that exits at SIGTERM.

use crate::PATIENCE;
use crate::peer::{Peer, field};
use crate::websockets::accept_of;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, server};
use http::{Request, Response};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bytes of the answer to `/large`: more than is buffered on the way.
pub(crate) const LARGE: usize = 200_000;

/// What a backend speaks, in clear text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

/// A running backend.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    desk: Arc<Desk>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// What the connections of a backend share.
struct Desk {
    /// `SERVICE/NUMBER`, which every answer begins with.
    name: String,
    connections: watch::Sender<usize>,
    requests: watch::Sender<usize>,
    /// Requests that wait: for the gate, or for the rest of their body.
    held: watch::Sender<usize>,
    gate: watch::Sender<bool>,
}

/// One of the things that are counted; dropped, it is one less.
struct Counted<'d>(&'d watch::Sender<usize>);

impl<'d> Counted<'d> {
    fn new(count: &'d watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Backend {
    pub(crate) async fn start(name: String, speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (connections, requests) = (watch::Sender::new(0), watch::Sender::new(0));
        let (held, gate) = (watch::Sender::new(0), watch::Sender::new(false));
        let desk = Arc::new(Desk { name, connections, requests, held, gate });
        let (stop, stopping) = watch::channel(false);
        let accepting = tokio::spawn({
            let desk = Arc::clone(&desk);
            async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let (desk, stopping) = (Arc::clone(&desk), stopping.clone());
                    tokio::spawn(async move {
                        let _counted = Counted::new(&desk.connections);
                        // How a connection ends here is seen by the client of the proxy, who counts.
                        let _ = match speaks {
                            Speaks::Http1 => serve_h1(socket, &desk, stopping).await,
                            Speaks::Http2 => serve_h2(socket, &desk, stopping).await.map_err(io::Error::other),
                        };
                    });
                }
            }
        });
        Self { address, desk, stop, accepting }
    }

    /// Stops as a process does that exits once what it has begun is answered.
    pub(crate) async fn stop(self) {
        self.accepting.abort();
        // Once it has ended the port refuses.
        let _ = self.accepting.await;
        self.stop.send_replace(true);
        while_not(&self.desk.connections, |open| *open == 0, "the last connection ends").await;
    }

    /// Waits until nobody has a connection any more.
    pub(crate) async fn is_left(&self) {
        while_not(&self.desk.connections, |open| *open == 0, "the proxy lets go").await;
    }

    /// Waits until it has been sent that many requests more.
    pub(crate) async fn is_asked(&self, more: usize) {
        let before = *self.desk.requests.borrow();
        while_not(&self.desk.requests, |requests| *requests >= before + more, "requests come").await;
    }

    /// Waits until that many requests are held up here.
    pub(crate) async fn holds(&self, count: usize) {
        while_not(&self.desk.held, |held| *held >= count, "requests are held").await;
    }

    /// Requests that are held up here.
    pub(crate) fn held(&self) -> usize {
        *self.desk.held.borrow()
    }

    /// Answers what is held up.
    pub(crate) fn open_gate(&self) {
        self.desk.gate.send_replace(true);
    }
}

async fn while_not(count: &watch::Sender<usize>, is_true: impl FnMut(&usize) -> bool, what: &str) {
    let mut watched = count.subscribe();
    let waited = timeout(PATIENCE, watched.wait_for(is_true)).await;
    assert!(waited.is_ok(), "never: {what}; the count is {}", *count.borrow());
}

async fn passed(gate: &watch::Sender<bool>) {
    // The gate lives as long as those who wait for it.
    let _ = gate.subscribe().wait_for(|is_open| *is_open).await;
}

async fn serve_h1(socket: TcpStream, desk: &Desk, mut stopping: watch::Receiver<bool>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut peer = Peer::new(socket);
    loop {
        if !peer.has_seen() {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stops| *stops) => return Ok(()),
                read = peer.read() => if read? == 0 { return Ok(()) },
            }
        }
        let Some(head) = peer.head().await? else { return Ok(()) };
        desk.requests.send_modify(|count| *count += 1);
        if field(&head, "upgrade").is_some() {
            return echo(peer, &head, stopping).await;
        }
        answer(&mut peer, &head, desk).await?;
    }
}

async fn answer(peer: &mut Peer, head: &str, desk: &Desk) -> io::Result<()> {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let name = &desk.name;
    let body = match path {
        "/upload" => {
            let _held = Counted::new(&desk.held);
            peer.body(head).await?
        }
        _ => peer.body(head).await?,
    };
    match path {
        "/slow" => {
            let _held = Counted::new(&desk.held);
            passed(&desk.gate).await;
        }
        "/drip" => {
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            peer.send(format!("{:x}\r\n{name}\r\n", name.len())).await?;
            let _held = Counted::new(&desk.held);
            passed(&desk.gate).await;
            return peer.send("4\r\n end\r\n0\r\n\r\n").await;
        }
        "/large" => {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).await?;
            let mut body = answer_text(name, &body).into_bytes();
            body.resize(LARGE, b'x');
            return peer.send(body).await;
        }
        _ => {}
    }
    let text = answer_text(name, &body);
    peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())).await
}

/// What a request with that body is answered with.
fn answer_text(name: &str, body: &[u8]) -> String {
    format!("{name} {}\n", body.len())
}

/// A WebSocket that says what it hears.
async fn echo(mut peer: Peer, head: &str, mut stopping: watch::Receiver<bool>) -> io::Result<()> {
    let accept = accept_of(field(head, "sec-websocket-key").unwrap_or_default());
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    peer.send(format!("{switching}Sec-WebSocket-Accept: {accept}\r\n\r\n")).await?;
    loop {
        let message = tokio::select! {
            biased;
            _ = stopping.wait_for(|stops| *stops) => return Ok(()),
            message = peer.message() => message?,
        };
        peer.send_message(&message, false).await?;
    }
}

async fn serve_h2(socket: TcpStream, desk: &Arc<Desk>, mut stopping: watch::Receiver<bool>) -> Result<(), h2::Error> {
    let mut connection = server::handshake(socket).await?;
    let mut stops = false;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stops| *stops), if !stops => {
                stops = true;
                connection.graceful_shutdown();
                continue;
            }
            accepted = connection.accept() => accepted,
        };
        let Some(accepted) = accepted else { return Ok(()) };
        let (request, respond) = accepted?;
        desk.requests.send_modify(|count| *count += 1);
        let desk = Arc::clone(desk);
        tokio::spawn(async move {
            let _ = answer_h2(request, respond, &desk.name).await;
        });
    }
}

async fn answer_h2(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    name: &str,
) -> Result<(), h2::Error> {
    let mut stream = request.into_body();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    respond.send_response(Response::new(()), false)?.send_data(answer_text(name, &body).into(), true)
}
