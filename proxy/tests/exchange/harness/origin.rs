//! An upstream that needs no script.

use super::field;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// An origin that answers whatever it can read, and keeps it.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Vec<Seen>>,
}

/// One connection, as the origin read it.
#[derive(Default)]
struct Seen {
    /// Whole requests.
    requests: Vec<Vec<u8>>,
    /// What came after them.
    rest: Vec<u8>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("bound");
        let (stop, mut stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    // All that are queued first.
                    biased;
                    accepted = listener.accept() => connections.spawn(serve(accepted.expect("accept").0)),
                    _ = &mut stopped => return connections.join_all().await,
                };
            }
        });
        Self { address, stop, running }
    }

    /// Once nobody sends any more: the whole requests, and whether there was more.
    pub(crate) async fn saw(self) -> (Vec<Vec<u8>>, bool) {
        self.stop.send(()).expect("running");
        let connections = self.running.await.expect("no panic");
        let has_more = connections.iter().any(|seen| !seen.rest.is_empty());
        (connections.into_iter().flat_map(|seen| seen.requests).collect(), has_more)
    }
}

async fn serve(mut socket: TcpStream) -> Seen {
    let mut seen = Seen::default();
    loop {
        while let Some(len) = request_len(&seen.rest) {
            let rest = seen.rest.split_off(len);
            seen.requests.push(std::mem::replace(&mut seen.rest, rest));
            // A proxy that is gone wants no answer.
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
        match socket.read_buf(&mut seen.rest).await {
            Ok(len) if len > 0 => {}
            _ => return seen,
        }
    }
}

/// Length of the request at the beginning, once it is whole.
fn request_len(bytes: &[u8]) -> Option<usize> {
    let find = |text: &[u8], from: usize| {
        let found = bytes.get(from..)?.windows(text.len()).position(|window| window == text)?;
        Some(from + found + text.len())
    };
    let head_len = find(b"\r\n\r\n", 0)?;
    let head = String::from_utf8_lossy(&bytes[..head_len]).into_owned();
    let mut at = head_len;
    if field(&head, "transfer-encoding").is_some() {
        loop {
            let line_end = find(b"\r\n", at)?;
            let size = std::str::from_utf8(&bytes[at..line_end - 2]).expect("text");
            let size = usize::from_str_radix(size, 16).expect("a size");
            at = line_end + size + 2;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = field(&head, "content-length") {
        at += length.parse::<usize>().expect("a length");
    }
    (at <= bytes.len()).then_some(at)
}
