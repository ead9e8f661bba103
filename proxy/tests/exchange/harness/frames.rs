//! HTTP/2 by hand, for peers that do not keep to the protocol: frames are written as they are told.

use super::h2::{Over, Socket};
use super::{Client, Ended, PATIENCE, Running, Upstream};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// Frame types (RFC 9113 §6).
#[expect(dead_code, reason = "the list is complete")]
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
    pub(crate) const PRIORITY_UPDATE: u8 = 16;
}

/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `:status: 200` (RFC 7541, Appendix A).
pub(crate) const STATUS_200: u8 = 0x88;

/// What HTTP/2 begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }

    /// The last stream of a GOAWAY.
    pub(crate) fn last_stream(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().expect("four bytes"))
    }
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let stream = stream.to_be_bytes();
    [&[high, middle, low, kind, flags], &stream[..], payload].concat()
}

/// HPACK without tables and without Huffman (RFC 7541 §6.2.2).
pub(crate) fn literal(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            string(&mut block, text.as_bytes());
        }
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    match text.len().checked_sub(127) {
        None => block.push(text.len() as u8),
        Some(mut rest) => {
            block.push(127);
            while rest >= 128 {
                block.push((rest % 128 + 128) as u8);
                rest /= 128;
            }
            block.push(rest as u8);
        }
    }
    block.extend_from_slice(text);
}

/// The pseudo-header fields of a GET.
pub(crate) fn get(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", path)]
}

/// HEADERS of a whole request.
pub(crate) fn head(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &literal(fields))
}

/// One side of a connection.
pub(crate) struct Frames {
    peer: Client<Box<dyn Socket>>,
}

impl Running {
    /// A client that has said hello and has acknowledged the proxy's SETTINGS.
    pub(crate) async fn frames(&self, over: Over) -> Frames {
        let mut frames = self.silent_frames(over).await;
        frames.send_bytes(PREFACE).await;
        frames.greet(&[]).await;
        frames
    }

    /// A client that has said nothing.
    pub(crate) async fn silent_frames(&self, over: Over) -> Frames {
        Frames { peer: Client::over(self.socket(over).await) }
    }
}

impl Upstream {
    /// An upstream that has read the preface and has said hello with these settings.
    pub(crate) async fn accept_frames(&self, settings: &[(u16, u32)]) -> Frames {
        let mut frames = self.accept_silent_frames().await;
        frames.greet(settings).await;
        frames
    }

    /// An upstream that has read the preface and says nothing.
    pub(crate) async fn accept_silent_frames(&self) -> Frames {
        let mut peer = Client::<Box<dyn Socket>>::over(Box::new(self.accept().await.socket));
        assert_eq!(peer.exact_bytes(PREFACE.len()).await, PREFACE);
        Frames { peer }
    }
}

impl Frames {
    /// Exchanges SETTINGS.
    async fn greet(&mut self, settings: &[(u16, u32)]) {
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        self.send(kind::SETTINGS, 0, 0, &payload).await;
        let settings = self.until(kind::SETTINGS).await;
        assert_eq!(settings.flags & ACK, 0, "the first frame: {settings:?}");
        self.send(kind::SETTINGS, ACK, 0, &[]).await;
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send_bytes(&frame(kind, flags, stream, payload)).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.peer.send_bytes(bytes).await;
    }

    /// Sends, unless the proxy has closed.
    pub(crate) async fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.peer.socket.write_all(bytes)).await.expect("nobody reads").is_ok()
    }

    /// Sends the same again and again until the proxy closes, at most `most` bytes; gives how many it took.
    pub(crate) async fn send_until_refused(&mut self, bytes: &[u8], most: usize) -> usize {
        let mut sent = 0;
        while sent < most {
            let rest = &bytes[sent % bytes.len()..];
            match timeout(PATIENCE, self.peer.socket.write(rest)).await.expect("neither taken nor refused") {
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        sent
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Frame {
        let head = self.peer.exact_bytes(9).await;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..].try_into().expect("four bytes"));
        Frame { kind: head[3], flags: head[4], stream, payload: self.peer.exact_bytes(len).await }
    }

    /// Reads up to the next frame of a kind.
    pub(crate) async fn until(&mut self, kind: u8) -> Frame {
        self.find(|frame| frame.kind == kind).await
    }

    /// Reads up to a frame; PINGs on the way are answered.
    pub(crate) async fn find(&mut self, mut is_it: impl FnMut(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().await;
            if is_it(&frame) {
                return frame;
            }
            if frame.kind == kind::PING && frame.flags & ACK == 0 {
                self.send(kind::PING, ACK, 0, &frame.payload).await;
            }
        }
    }

    /// Waits until the proxy has read all that was sent.
    pub(crate) async fn knows_all(&mut self) {
        self.send(kind::PING, 0, 0, b"all read").await;
        self.find(|frame| frame.kind == kind::PING && frame.flags & ACK != 0).await;
    }

    /// Reads up to the HEADERS of a stream, which are to say 200.
    pub(crate) async fn is_served(&mut self, stream: u32) {
        let found = self.find(|frame| frame.stream == stream && frame.kind != kind::WINDOW_UPDATE).await;
        assert_eq!((found.kind, found.payload.first()), (kind::HEADERS, Some(&STATUS_200)), "{found:?}");
    }

    /// Reads to the end of the connection; gives the last GOAWAY's code, if there was one.
    pub(crate) async fn end(&mut self) -> (Option<u32>, Ended) {
        let (bytes, ended) = self.peer.bytes_and_end().await;
        let (mut code, mut rest) = (None, &bytes[..]);
        while let [high, middle, low, kind, _, _, _, _, _, tail @ ..] = rest {
            let len = (u32::from_be_bytes([0, *high, *middle, *low]) as usize).min(tail.len());
            if *kind == kind::GOAWAY && len >= 8 {
                code = Some(u32::from_be_bytes(tail[4..8].try_into().expect("four bytes")));
            }
            rest = &tail[len..];
        }
        (code, ended)
    }
}
