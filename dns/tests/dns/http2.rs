//! A client of HTTP/2 whose frames are written by hand.

use crate::authority::*;
use crate::harness::*;
use hickory_proto::rr::RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

/// With the client's SETTINGS, which change nothing (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// SETTINGS with which no stream may send anything.
pub(crate) const NO_WINDOW: &[u8; 15] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
pub(crate) const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection on which frames are written by hand.
pub(crate) struct Client {
    writing: WriteHalf<TlsStream<TcpStream>>,
    next: u32,
}

impl Client {
    pub(crate) async fn connect(authority: &Authority, server: &Running) -> (Self, ReadHalf<TlsStream<TcpStream>>) {
        Self::over(server.connect().await, authority).await
    }

    pub(crate) async fn over(stream: TcpStream, authority: &Authority) -> (Self, ReadHalf<TlsStream<TcpStream>>) {
        let stream = authority.secure(stream, "dns.test", &["h2"], None).await.unwrap();
        let (reading, mut writing) = tokio::io::split(stream);
        writing.write_all(PREFACE).await.unwrap();
        writing.flush().await.unwrap();
        (Self { writing, next: 1 }, reading)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writing.write_all(bytes).await?;
        self.writing.flush().await
    }

    /// Asks; the stream of the question.
    pub(crate) async fn ask(&mut self, name: &str) -> std::io::Result<u32> {
        let (stream, question) = (self.next, question(7, name, RecordType::A).to_vec().unwrap());
        self.next += 2;
        // POST, https, and what the tables of RFC 7541 have no value for, as it is.
        let fields = b"\x83\x87\x04\x0a/dns-query\x01\x08dns.test\x0f\x10\x17application/dns-message";
        let head = framed(1, END_HEADERS, stream, fields);
        self.write(&[head, framed(0, END_STREAM, stream, &question)].concat()).await?;
        Ok(stream)
    }
}

pub(crate) fn framed(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// Reads what comes until the end.
pub(crate) fn drained(mut reading: ReadHalf<TlsStream<TcpStream>>) -> JoinHandle<()> {
    tokio::spawn(async move { while matches!(reading.read(&mut [0; 4096]).await, Ok(1..)) {} })
}

/// How many questions were answered.
pub(crate) fn answers(server: &Running) -> f64 {
    server.metric("coredns_dns_https_responses_total", &["status=\"200\""])
}
