//! WebSockets that say something all the time, over HTTP/1.1 and over HTTP/2.

use crate::PATIENCE;
use crate::client::Door;
use crate::peer::{Peer, field};
use base64::Engine as _;
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::future::poll_fn;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// Between two messages of one WebSocket.
const PACE: Duration = Duration::from_millis(200);

/// Opens one, on an HTTP/1.1 connection of its own.
pub(crate) async fn over_h1(door: &Door, host: &str, is_tls: bool) -> Peer {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let mut peer = door.h1(host, is_tls).await.expect("a connection").peer;
    let head = format!("GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    let version = format!("Origin: http://{host}\r\nSec-WebSocket-Version: 13\r\n");
    peer.send(format!("{head}{version}Sec-WebSocket-Key: {key}\r\n\r\n")).await.expect("open");
    let head = timeout(PATIENCE, peer.head()).await.expect("no answer").expect("an answer").expect("a head");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(field(&head, "sec-websocket-accept"), Some(accept_of(key).as_str()));
    peer
}

/// Opens some, on one HTTP/2 connection.
pub(crate) async fn over_h2(door: &Door, host: &str, is_tls: bool, count: usize) -> Vec<Peer> {
    let mut client = door.h2(host, is_tls).await.expect("a connection");
    let mut peers = Vec::new();
    for _ in 0..count {
        let (response, send) = client.connect(host, "/ws").await.expect("a stream");
        let response = timeout(PATIENCE, response).await.expect("no answer").expect("an answer");
        assert_eq!(response.status(), 200);
        let (ours, theirs) = duplex(4096);
        tokio::spawn(carry(theirs, send, response.into_body()));
        peers.push(Peer::new(ours));
    }
    peers
}

/// Moves the bytes of one stream until either side ends.
async fn carry(side: DuplexStream, mut send: SendStream<Bytes>, mut receive: RecvStream) {
    let (mut read, mut write) = split(side);
    let to_program = async {
        let mut bytes = [0; 1024];
        while let Ok(len @ 1..) = read.read(&mut bytes).await {
            let mut piece = Bytes::copy_from_slice(&bytes[..len]);
            while !piece.is_empty() {
                send.reserve_capacity(piece.len());
                let Some(Ok(granted)) = poll_fn(|cx| send.poll_capacity(cx)).await else { return };
                if send.send_data(piece.split_to(granted.min(piece.len())), false).is_err() {
                    return;
                }
            }
        }
    };
    let from_program = async {
        while let Some(Ok(data)) = receive.data().await {
            if receive.flow_control().release_capacity(data.len()).is_err() || write.write_all(&data).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = to_program => {}
        () = from_program => {}
    }
}

/// Says something and hears it back.
pub(crate) async fn echo(peer: &mut Peer, text: &str) -> io::Result<()> {
    let heard = async {
        peer.send_message(text.as_bytes(), true).await?;
        peer.message().await
    };
    let heard = timeout(PATIENCE, heard).await.map_err(|_| io::Error::other("no echo"))??;
    if heard == text.as_bytes() { Ok(()) } else { Err(io::Error::other(format!("{text:?} came back as {heard:?}"))) }
}

/// Open WebSockets.
pub(crate) struct WebSockets {
    stop: watch::Sender<bool>,
    running: JoinSet<io::Result<u64>>,
}

impl WebSockets {
    /// Opens fifty.
    pub(crate) async fn open(door: &Door, host: &str) -> Self {
        let mut peers = Vec::new();
        for number in 0..30 {
            peers.push(over_h1(door, host, number % 3 == 0).await);
        }
        for is_tls in [false, true] {
            peers.extend(over_h2(door, host, is_tls, 10).await);
        }
        let stop = watch::Sender::new(false);
        let mut running = JoinSet::new();
        for (number, peer) in peers.into_iter().enumerate() {
            running.spawn(talk(peer, number, stop.subscribe()));
        }
        Self { stop, running }
    }

    /// How many are open and have just echoed, how many echoes there were in all, and what closed the others.
    pub(crate) async fn finish(mut self) -> (usize, u64, Vec<String>) {
        self.stop.send_replace(true);
        let (mut open, mut echoes, mut failures) = (0, 0, Vec::new());
        while let Some(ended) = self.running.join_next().await {
            match ended.expect("no panic") {
                Ok(said) => {
                    open += 1;
                    echoes += said;
                }
                Err(error) => failures.push(error.to_string()),
            }
        }
        (open, echoes, failures)
    }
}

/// Talks until it is told to stop, and once more.
async fn talk(mut peer: Peer, number: usize, stop: watch::Receiver<bool>) -> io::Result<u64> {
    let mut ticks = interval(PACE);
    for said in 1.. {
        ticks.tick().await;
        let is_last = *stop.borrow();
        echo(&mut peer, &format!("{number}: {said}")).await?;
        if is_last {
            return Ok(said);
        }
    }
    Ok(0)
}

/// The `Sec-WebSocket-Accept` that fits a key (RFC 6455 §4.2.2).
pub(crate) fn accept_of(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64::engine::general_purpose::STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}
