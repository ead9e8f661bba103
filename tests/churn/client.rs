//! Clients of the program: one request after the other, over everything that it speaks.

use crate::PATIENCE;
use crate::authority::Authority;
use crate::peer::{Peer, Socket, field};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Where the program is served.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) authority: Arc<Authority>,
}

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Whether it was said to be the last one of its connection.
    pub(crate) closes: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody listens.
    Refused,
    /// A new connection ended before a byte came: it may have been in the queue of a socket that closed.
    NotTaken(String),
    /// GOAWAY, and the request was not served: it is to be sent again elsewhere.
    Left,
    Failed(String),
}

impl Trouble {
    fn failed(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }

    fn of_new(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => {
                Self::NotTaken(error.to_string())
            }
            _ => Self::failed("connecting", error),
        }
    }

    fn of_h2(error: &h2::Error, is_new: bool) -> Self {
        match error.get_io() {
            Some(error) if is_new => Self::of_new(error),
            _ if error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR) => Self::Left,
            _ => Self::failed("HTTP/2", error),
        }
    }
}

impl Door {
    async fn socket(&self, host: &str, is_tls: bool, is_h2: bool) -> io::Result<Box<dyn Socket>> {
        let socket = TcpStream::connect(if is_tls { self.https } else { self.http }).await?;
        socket.set_nodelay(true)?;
        Ok(if is_tls { Box::new(self.authority.connect(socket, host, is_h2).await?) } else { Box::new(socket) })
    }

    /// An HTTP/1.1 connection.
    pub(crate) async fn h1(&self, host: &str, is_tls: bool) -> Result<Http1, Trouble> {
        let socket = bounded(self.socket(host, is_tls, false)).await?.map_err(|error| Trouble::of_new(&error))?;
        Ok(Http1 { peer: Peer::new(socket), is_new: true })
    }

    /// An HTTP/2 connection.
    pub(crate) async fn h2(&self, host: &str, is_tls: bool) -> Result<Http2, Trouble> {
        let socket = bounded(self.socket(host, is_tls, true)).await?.map_err(|error| Trouble::of_new(&error))?;
        let begun = bounded(h2::client::handshake(socket)).await?;
        let (sender, connection) = begun.map_err(|error| Trouble::of_h2(&error, true))?;
        Ok(Http2 { sender, driver: tokio::spawn(connection), is_tls, is_new: true })
    }

    /// The status and body that a path has now, over a new connection.
    pub(crate) async fn look(&self, host: &str, path: &str) -> (u16, String) {
        let mut client = self.h1(host, false).await.expect("a connection");
        let answer = client.exchange(host, path, None).await.expect("an answer");
        (answer.status, answer.body)
    }
}

/// An HTTP/1.1 connection.
pub(crate) struct Http1 {
    pub(crate) peer: Peer,
    is_new: bool,
}

impl Http1 {
    /// Sends a request, with a body if there is one, and reads its answer.
    pub(crate) async fn exchange(&mut self, host: &str, path: &str, body: Option<&str>) -> Result<Answer, Trouble> {
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(body) = body {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let is_new = std::mem::replace(&mut self.is_new, false);
        let trouble =
            |error: io::Error| if is_new { Trouble::of_new(&error) } else { Trouble::failed("HTTP/1", error) };
        self.peer.send(format!("{head}\r\n{}", body.unwrap_or_default())).await.map_err(trouble)?;
        self.answer().await.map_err(trouble)
    }

    /// Reads an answer.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        let head = timeout(PATIENCE, self.peer.head()).await.map_err(|_| io::Error::other("no head came"))??;
        let head = head.ok_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, "ended in place of an answer"))?;
        self.body_of(&head).await.map_err(|error| io::Error::other(format!("within an answer: {error}")))
    }

    async fn body_of(&mut self, head: &str) -> io::Result<Answer> {
        let body = timeout(PATIENCE, self.peer.body(head)).await.map_err(|_| io::Error::other("stalled"))??;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer {
            status: status.ok_or_else(|| io::Error::other("no status"))?,
            body: String::from_utf8(body).map_err(io::Error::other)?,
            closes: field(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
        })
    }
}

/// An HTTP/2 connection.
pub(crate) struct Http2 {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
    is_tls: bool,
    is_new: bool,
}

impl Http2 {
    /// Sends a head, and the body that there is.
    pub(crate) async fn send(
        &mut self,
        host: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Trouble> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let request = Request::builder().method(if body.is_some() { "POST" } else { "GET" });
        let request = request.uri(format!("{scheme}://{host}{path}")).body(()).expect("a request");
        self.send_request(request, body).await
    }

    async fn send_request(
        &mut self,
        request: Request<()>,
        body: Option<&str>,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Trouble> {
        let trouble = |error: h2::Error| Trouble::of_h2(&error, self.is_new);
        bounded(poll_fn(|cx| self.sender.poll_ready(cx))).await?.map_err(trouble)?;
        let is_all = body.is_none() && request.method() != http::Method::CONNECT;
        let (response, mut stream) = self.sender.send_request(request, is_all).map_err(trouble)?;
        if let Some(body) = body {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).map_err(trouble)?;
        }
        Ok((response, stream))
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(&mut self, host: &str, path: &str, body: Option<&str>) -> Result<Answer, Trouble> {
        let (response, _stream) = self.send(host, path, body).await?;
        let is_new = std::mem::replace(&mut self.is_new, false);
        bounded(answer_of(response)).await?.map_err(|error| Trouble::of_h2(&error, is_new))
    }

    /// Asks for a WebSocket (RFC 8441).
    pub(crate) async fn connect(
        &mut self,
        host: &str,
        path: &str,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Trouble> {
        let offered = async {
            while !self.sender.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
        };
        bounded(offered).await?;
        let scheme = if self.is_tls { "https" } else { "http" };
        let request = Request::builder().method("CONNECT").uri(format!("{scheme}://{host}{path}"));
        let request = request.extension(h2::ext::Protocol::from_static("websocket"));
        let request = request.header("sec-websocket-version", "13");
        let request = request.header("origin", format!("{scheme}://{host}")).body(()).expect("a request");
        self.send_request(request, None).await
    }

    /// Whether GOAWAY came and nothing new can be asked.
    pub(crate) async fn is_left(&mut self) -> bool {
        matches!(poll_fn(|cx| self.sender.poll_ready(cx)).await, Err(error) if matches!(Trouble::of_h2(&error, false), Trouble::Left))
    }

    /// Waits for the end of the connection once its last stream has ended.
    pub(crate) async fn ended(self) -> Result<(), h2::Error> {
        drop(self.sender);
        timeout(PATIENCE, self.driver).await.expect("an end").expect("no panic")
    }
}

/// Reads an answer to its end.
pub(crate) async fn answer_of(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let response = response.await?;
    let status = response.status().as_u16();
    let mut stream = response.into_body();
    let body = body_of(&mut stream).await?;
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), closes: false })
}

async fn body_of(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(body)
}

async fn bounded<T>(step: impl Future<Output = T>) -> Result<T, Trouble> {
    timeout(PATIENCE, step).await.map_err(|_| Trouble::Failed("nothing happens".to_owned()))
}
