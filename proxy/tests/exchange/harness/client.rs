//! A peer that writes bytes and reads them, on either side of the proxy.

use super::PATIENCE;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection to or from the proxy.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) socket: S,
    seen: Vec<u8>,
}

/// How a connection ended, as its reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By FIN; on TLS with close_notify.
    Cleanly,
    /// By RST, or by FIN without close_notify on TLS.
    Badly,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::from_socket(TcpStream::connect(address).await.expect("connect"))
    }

    pub(crate) fn from_socket(socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("nodelay");
        Self { socket, seen: Vec::new() }
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.socket.set_zero_linger().expect("linger");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(socket: S) -> Self {
        Self { socket, seen: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.socket.write_all(bytes)).await.expect("nobody reads").expect("send");
        self.socket.flush().await.expect("flush");
    }

    /// Sends in a segment for each byte.
    pub(crate) async fn send_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send_bytes(&[*byte]).await;
            tokio::task::yield_now().await;
        }
    }

    /// Answers a request whose head was read, as an upstream with nothing to say.
    pub(crate) async fn no_content(&mut self) {
        self.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    }

    /// Ends our half.
    pub(crate) async fn finish(&mut self) {
        self.socket.shutdown().await.expect("shutdown");
    }

    /// Reads until the text has come, and gives all up to its end.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        lossy(&self.bytes_until(text).await)
    }

    /// The same as bytes.
    pub(crate) async fn bytes_until(&mut self, text: &str) -> Vec<u8> {
        let mut searched = 0;
        loop {
            let unsearched = self.seen.get(searched..).unwrap_or_default();
            if let Some(at) = unsearched.windows(text.len()).position(|window| window == text.as_bytes()) {
                return self.take(searched + at + text.len());
            }
            searched = self.seen.len().saturating_sub(text.len());
            assert!(self.read().await > 0, "closed before {text:?}; seen: {:?}", lossy(&self.seen));
        }
    }

    /// Reads one head.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Reads a message: its head, and its body by `Content-Length` or chunks.
    pub(crate) async fn answer(&mut self) -> (String, String) {
        let head = self.head().await;
        let body = self.body(&head).await;
        (head, lossy(&body))
    }

    /// Reads a 204, as [`Client::no_content`] sends it.
    pub(crate) async fn is_answered(&mut self) {
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    }

    /// Reads the body that a head announces; without an announcement there is none.
    pub(crate) async fn body(&mut self, head: &str) -> Vec<u8> {
        if field(head, "transfer-encoding").is_some() {
            return self.chunks().await;
        }
        let length = field(head, "content-length").map_or(0, |length| length.parse().expect("length"));
        self.exact_bytes(length).await
    }

    /// Reads a chunked body to the end of its last chunk.
    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.until("\r\n").await;
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap_or_else(|_| panic!("no chunk size: {line:?}"));
            body.extend(self.exact_bytes(size).await);
            assert_eq!(self.exactly(2).await, "\r\n", "after a chunk of {size}");
            if size == 0 {
                return body;
            }
        }
    }

    /// Reads that many bytes.
    pub(crate) async fn exactly(&mut self, len: usize) -> String {
        lossy(&self.exact_bytes(len).await)
    }

    /// The same as bytes.
    pub(crate) async fn exact_bytes(&mut self, len: usize) -> Vec<u8> {
        while self.seen.len() < len {
            assert!(self.read().await > 0, "closed within a body; seen: {:?}", lossy(&self.seen));
        }
        self.take(len)
    }

    /// Reads to the end: what came and how it ended.
    pub(crate) async fn rest_and_end(&mut self) -> (String, Ended) {
        let (bytes, ended) = self.bytes_and_end().await;
        (lossy(&bytes), ended)
    }

    /// The same as bytes.
    pub(crate) async fn bytes_and_end(&mut self) -> (Vec<u8>, Ended) {
        let read = timeout(PATIENCE, self.socket.read_to_end(&mut self.seen)).await;
        let ended = match read.unwrap_or_else(|_| panic!("no end; seen: {:?}", lossy(&self.seen))) {
            Ok(_) => Ended::Cleanly,
            Err(_) => Ended::Badly,
        };
        (std::mem::take(&mut self.seen), ended)
    }

    /// Reads until the end; an error in place of an end is told.
    pub(crate) async fn rest(&mut self) -> Result<String, std::io::ErrorKind> {
        timeout(PATIENCE, self.socket.read_to_end(&mut self.seen)).await.expect("no end").map_err(|e| e.kind())?;
        Ok(lossy(&std::mem::take(&mut self.seen)))
    }

    /// Waits for a clean end without another byte.
    pub(crate) async fn is_closed(&mut self) {
        assert_eq!(self.rest_and_end().await, (String::new(), Ended::Cleanly));
    }

    /// Bytes read and not taken.
    pub(super) fn buffered(&self) -> usize {
        self.seen.len()
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let rest = self.seen.split_off(len);
        std::mem::replace(&mut self.seen, rest)
    }

    async fn read(&mut self) -> usize {
        timeout(PATIENCE, self.socket.read_buf(&mut self.seen))
            .await
            .unwrap_or_else(|_| panic!("nothing comes; seen: {:?}", lossy(&self.seen)))
            .unwrap_or_else(|error| panic!("{error}; seen: {:?}", lossy(&self.seen)))
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The value of a field in a head, in any case.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
