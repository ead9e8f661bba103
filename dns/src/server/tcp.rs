//! Questions over TCP (RFC 7766): many on one connection, each answered when its answer is there.

use super::respond::{Responder, Response};
use crate::message::{Transport, framed};
use crate::wire::HEADER;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

/// The longest question taken; bytes.
const LONGEST: usize = 4096;
/// Questions of one connection that may wait for upstreams; then it is read no further.
const PIPELINED: usize = 32;
/// Time for a question that has begun to arrive whole.
const READ: Duration = Duration::from_secs(3);
/// Time for the client to take an answer.
const WRITE: Duration = Duration::from_secs(5);
/// How soon a silent connection notices that places have become few.
const RECHECK: Duration = Duration::from_millis(500);
/// How long the listener rests when the process has no file descriptor left.
const REST: Duration = Duration::from_millis(100);

/// How many connections there may be, shared by all listeners.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    total: usize,
    idle: Duration,
    room: Arc<Semaphore>,
    clients: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Limits {
    pub(super) fn new(total: usize, idle: Duration) -> Self {
        Self { total, idle, room: Arc::new(Semaphore::new(total)), clients: Arc::default() }
    }

    /// A place for a connection of this client, unless it has a quarter of them.
    fn admit(&self, client: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(client).or_default();
        if *count >= (self.total / 4).max(1) {
            return None;
        }
        *count += 1;
        Some(Place { clients: Arc::clone(&self.clients), client, _permit: permit })
    }

    /// How long a connection may be silent: less where few places are left (RFC 7766 §6.2.3).
    fn idle(&self) -> Duration {
        if self.room.available_permits() < self.total / 4 { self.idle / 5 } else { self.idle }
    }
}

/// A connection's place among all.
struct Place {
    clients: Arc<Mutex<HashMap<IpAddr, usize>>>,
    client: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// Serves until `stopped` closes, then ends what was asked before that.
pub(super) async fn serve(
    listener: TcpListener,
    responder: Arc<Responder>,
    limits: Limits,
    mut stopped: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept(&listener, &limits) => accepted,
        };
        match accepted {
            Ok(Some((stream, peer, place))) => {
                let connection = Connection {
                    peer,
                    responder: Arc::clone(&responder),
                    limits: limits.clone(),
                    stopped: stopped.clone(),
                };
                connections.spawn(async move {
                    connection.responder.metrics.connections.inc();
                    if let Err(error) = connection.converse(stream).await {
                        debug!(peer = %connection.peer, %error, "dns: connection closed");
                    }
                    connection.responder.metrics.connections.dec();
                    drop(place);
                });
            }
            Ok(None) => responder.metrics.dropped.with_label_values(&["connections"]).inc(),
            Err(error) => {
                warn!(%error, "dns: cannot accept");
                sleep(REST).await;
            }
        }
    }
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

/// The next connection; `None`: its client has too many.
async fn accept(listener: &TcpListener, limits: &Limits) -> io::Result<Option<(TcpStream, SocketAddr, Place)>> {
    // Never closed, so the error cannot be.
    let permit = Arc::clone(&limits.room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = match listener.accept().await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Ok(None),
        accepted => accepted?,
    };
    Ok(limits.admit(peer.ip().to_canonical(), permit).map(|place| (stream, peer, place)))
}

struct Connection {
    peer: SocketAddr,
    responder: Arc<Responder>,
    limits: Limits,
    stopped: watch::Receiver<()>,
}

impl Connection {
    /// Answers until the client is silent, gone, or wrong.
    async fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        let asked_at = stream.local_addr().ok();
        let (mut reader, mut writer) = stream.split();
        let mut stopped = self.stopped.clone();
        let mut waiting = JoinSet::new();
        let mut input = Vec::with_capacity(LONGEST + 2);
        let mut reply = Vec::new();
        let (mut is_open, mut since) = (true, Instant::now());
        loop {
            while waiting.len() < PIPELINED
                && let Some(packet) = take_packet(&mut input)?
            {
                let begun = Instant::now();
                match self.responder.respond(&packet, (self.peer, asked_at), Transport::Tcp, &mut reply) {
                    Response::Silence => return Err(io::Error::new(io::ErrorKind::InvalidData, "not a question")),
                    Response::Ready(answered) => {
                        self.responder.metrics.answered(Transport::Tcp, answered, (reply.len(), begun.elapsed()));
                        send(&mut writer, &reply).await?;
                    }
                    Response::Pending(pending) => {
                        let responder = Arc::clone(&self.responder);
                        waiting.spawn(async move { responder.finish(pending).await });
                    }
                }
                since = Instant::now();
            }
            let patience = if input.is_empty() { self.limits.idle() } else { READ };
            if waiting.is_empty() && (!is_open || since.elapsed() >= patience) {
                return Ok(());
            }
            let is_reading = is_open && waiting.len() < PIPELINED;
            tokio::select! {
                // Questions that have come whole are answered; no more are read.
                _ = stopped.changed(), if is_open => is_open = false,
                Some(ended) = waiting.join_next() => {
                    send(&mut writer, &ended?).await?;
                    since = Instant::now();
                }
                read = reader.read_buf(&mut input), if is_reading => match read? {
                    0 => is_open = false,
                    // The first bytes of a question: from here on it must not dawdle.
                    len if len == input.len() => since = Instant::now(),
                    _ => {}
                },
                () = sleep(RECHECK.min(patience.saturating_sub(since.elapsed()))), if waiting.is_empty() => {}
            }
        }
    }
}

/// The first whole question in what was read.
fn take_packet(input: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let Some((length, rest)) = input.split_first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if !(HEADER..=LONGEST).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a question of {length} bytes")));
    }
    let packet = rest.get(..length).map(Vec::from);
    if packet.is_some() {
        input.drain(..2 + length);
    }
    Ok(packet)
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    timeout(WRITE, writer.write_all(&framed(message))).await?
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        warn!(%error, "dns: a connection was lost");
    }
}
