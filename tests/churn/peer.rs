//! One side of an HTTP/1.1 or WebSocket connection, with what it has read and not used yet. Errors are told, not
//! thrown: whether one is a failure is for the test to say.

use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Any transport.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Socket for S {}

/// A connection.
pub(crate) struct Peer {
    socket: Box<dyn Socket>,
    seen: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(socket: impl Socket) -> Self {
        Self { socket: Box::new(socket), seen: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket.write_all(bytes.as_ref()).await?;
        self.socket.flush().await
    }

    /// Reads a head; `None` where the connection ended before one began.
    pub(crate) async fn head(&mut self) -> io::Result<Option<String>> {
        if self.seen.is_empty() && self.read().await? == 0 {
            return Ok(None);
        }
        let head = self.until(b"\r\n\r\n").await?;
        String::from_utf8(head).map(Some).map_err(io::Error::other)
    }

    /// Reads the body that a head announces; without an announcement there is none.
    pub(crate) async fn body(&mut self, head: &str) -> io::Result<Vec<u8>> {
        if field(head, "transfer-encoding").is_some() {
            return self.chunks().await;
        }
        let length = field(head, "content-length").map_or(Ok(0), str::parse).map_err(io::Error::other)?;
        self.exactly(length).await
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            let line = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            body.extend(self.exactly(size).await?);
            if self.exactly(2).await? != b"\r\n" {
                return Err(io::Error::other("no line end after a chunk"));
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads that many bytes.
    pub(crate) async fn exactly(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.seen.len() < len {
            self.more().await?;
        }
        Ok(self.take(len))
    }

    /// Waits for the end, before which nothing may come.
    pub(crate) async fn ends(&mut self) -> io::Result<()> {
        match self.seen.len() + self.read().await? {
            0 => Ok(()),
            _ => Err(io::Error::other(format!("{:?} in place of an end", String::from_utf8_lossy(&self.seen)))),
        }
    }

    /// Sends the payload of a WebSocket message, of less than 126 bytes; clients mask theirs (RFC 6455 §5).
    pub(crate) async fn send_message(&mut self, payload: &[u8], is_client: bool) -> io::Result<()> {
        const TEXT: u8 = 0x81;
        const MASK: [u8; 4] = [7, 1, 8, 2];
        let length = u8::try_from(payload.len()).map_err(io::Error::other)?;
        let mut frame = vec![TEXT, if is_client { 0x80 | length } else { length }];
        if is_client {
            frame.extend(MASK);
        }
        let mask = if is_client { MASK } else { [0; 4] };
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.send(frame).await
    }

    /// Reads such a message.
    pub(crate) async fn message(&mut self) -> io::Result<Vec<u8>> {
        let head = self.exactly(2).await?;
        let length = head.get(1).copied().unwrap_or_default();
        let mask = if length & 0x80 == 0 { vec![0; 4] } else { self.exactly(4).await? };
        let payload = self.exactly(usize::from(length & 0x7f)).await?;
        Ok(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect())
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.seen.windows(end.len()).position(|window| window == end) {
                return Ok(self.take(at + end.len()));
            }
            self.more().await?;
        }
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let rest = self.seen.split_off(len);
        std::mem::replace(&mut self.seen, rest)
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.read().await? {
            0 => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                format!("ended after {:?}", String::from_utf8_lossy(&self.seen)),
            )),
            _ => Ok(()),
        }
    }

    /// Waits for bytes and keeps them; 0 is the end. May be dropped on the way.
    pub(crate) async fn read(&mut self) -> io::Result<usize> {
        self.socket.read_buf(&mut self.seen).await
    }

    /// Whether something was read and not used.
    pub(crate) fn has_seen(&self) -> bool {
        !self.seen.is_empty()
    }
}

/// The value of a head's field.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
