//! HTTP/2 peers that keep to the protocol: a client, and an upstream that a test plays by hand.

use super::bulk::STALLED;
use super::{PATIENCE, Running, Upstream};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Error, Reason, RecvStream, SendStream, client, server};
use http::{HeaderMap, Request, Response, request, response};
use std::future::poll_fn;
use tidegate_proxy::tls::upstream::UpstreamAlpn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How a client reaches the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// With prior knowledge.
    Clear,
    /// By ALPN.
    Tls,
}

/// Both of them.
pub(crate) const BOTH: [Over; 2] = [Over::Clear, Over::Tls];

/// Any transport.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

impl Running {
    /// A socket over which HTTP/2 may begin.
    pub(crate) async fn socket(&self, over: Over) -> Box<dyn Socket> {
        match over {
            Over::Clear => {
                let socket = TcpStream::connect(self.http).await.expect("connect");
                socket.set_nodelay(true).expect("nodelay");
                Box::new(socket)
            }
            Over::Tls => Box::new(self.tls(UpstreamAlpn::H2OrHttp1).await),
        }
    }

    /// An HTTP/2 client.
    pub(crate) async fn h2(&self, over: Over) -> H2Client {
        self.h2_with(over, |_| {}).await
    }

    /// An HTTP/2 client with settings of its own.
    pub(crate) async fn h2_with(&self, over: Over, change: impl FnOnce(&mut client::Builder)) -> H2Client {
        let mut builder = client::Builder::new();
        change(&mut builder);
        let (sender, connection) = builder.handshake(self.socket(over).await).await.expect("preface");
        H2Client { sender, driver: tokio::spawn(connection) }
    }
}

/// A client's connection.
pub(crate) struct H2Client {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), Error>>,
}

impl H2Client {
    /// Speaks HTTP/2 on a connection to the proxy.
    pub(crate) async fn over(socket: impl Socket + 'static) -> Self {
        let (sender, connection) = client::handshake(socket).await.expect("preface");
        Self { sender, driver: tokio::spawn(connection) }
    }

    /// Sends a head; `ends` where that is all.
    pub(crate) async fn send(&mut self, request: Request<()>, ends: bool) -> (ResponseFuture, SendStream<Bytes>) {
        self.ready().await;
        self.sender.send_request(request, ends).expect("a request")
    }

    /// Sends a GET.
    pub(crate) async fn get(&mut self, path: &str) -> ResponseFuture {
        self.send(get(path), true).await.0
    }

    /// Sends a request with a body, and all of the body.
    pub(crate) async fn post(&mut self, request: Request<()>, body: &str) -> ResponseFuture {
        let (response, mut stream) = self.send(request, false).await;
        stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).expect("a body");
        response
    }

    /// Waits for the proxy's SETTINGS, which are to offer extended CONNECT (RFC 8441 §3).
    pub(crate) async fn offers_extended_connect(&mut self) {
        let offered = async {
            while !self.sender.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, offered).await.expect("no offer");
    }

    /// Waits until another stream may be opened.
    pub(crate) async fn ready(&mut self) {
        timeout(PATIENCE, poll_fn(|cx| self.sender.poll_ready(cx))).await.expect("not ready").expect("open");
    }

    /// Waits until the proxy takes no more streams on this connection.
    pub(crate) async fn is_sent_away(&mut self) {
        let sent_away = async {
            while poll_fn(|cx| self.sender.poll_ready(cx)).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, sent_away).await.expect("no GOAWAY");
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(self) -> Result<(), Error> {
        drop(self.sender);
        timeout(PATIENCE, self.driver).await.expect("no end").expect("no panic")
    }
}

/// A GET of host `a.test`.
pub(crate) fn get(path: &str) -> Request<()> {
    request("GET", path).body(()).expect("a request")
}

/// A POST of host `a.test`.
pub(crate) fn post(path: &str) -> Request<()> {
    request("POST", path).body(()).expect("a request")
}

/// A request of host `a.test`.
pub(crate) fn request(method: &str, path: &str) -> request::Builder {
    Request::builder().method(method).uri(format!("http://a.test{path}"))
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) head: response::Parts,
    pub(crate) body: Vec<u8>,
    /// What the stream ended with.
    pub(crate) ended: Result<Option<HeaderMap>, Option<Reason>>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The trailers of an answer that ended well.
    pub(crate) fn trailers(&self) -> Option<&HeaderMap> {
        self.ended.as_ref().expect("a clean end").as_ref()
    }

    /// The code of the reset that ended it.
    pub(crate) fn reset(&self) -> Option<Reason> {
        *self.ended.as_ref().expect_err("a reset")
    }
}

/// Waits for the head of an answer.
pub(crate) async fn head(response: ResponseFuture) -> Response<RecvStream> {
    timeout(PATIENCE, response).await.expect("no head").expect("a head")
}

/// Waits for an answer's end.
pub(crate) async fn answer(response: ResponseFuture) -> Answer {
    let (head, mut stream) = head(response).await.into_parts();
    let (body, ended) = body(&mut stream).await;
    Answer { head, body, ended }
}

/// Reads a body to its end, and the trailers or the error that it ended with.
pub(crate) async fn body(stream: &mut RecvStream) -> (Vec<u8>, Result<Option<HeaderMap>, Option<Reason>>) {
    let mut body = Vec::new();
    loop {
        match timeout(PATIENCE, stream.data()).await.expect("no data") {
            Some(Ok(data)) => {
                let _ = stream.flow_control().release_capacity(data.len());
                body.extend_from_slice(&data);
            }
            Some(Err(error)) => return (body, Err(error.reason())),
            None => {
                let trailers = timeout(PATIENCE, stream.trailers()).await.expect("no end");
                return (body, trailers.map_err(|error| error.reason()));
            }
        }
    }
}

/// Reads the next piece of a body.
pub(crate) async fn piece(stream: &mut RecvStream) -> Bytes {
    let data = timeout(PATIENCE, stream.data()).await.expect("no data").expect("not the end").expect("data");
    stream.flow_control().release_capacity(data.len()).expect("open");
    data
}

/// Sends as much as the peer takes, at most `most` bytes at once; gives how much it was once it takes no more for
/// a while, or all was sent.
pub(crate) async fn fill(stream: &mut SendStream<Bytes>, most: usize) -> usize {
    let mut sent = 0;
    while sent < most {
        stream.reserve_capacity((most - sent).min(16 * 1024));
        let granted = timeout(STALLED, poll_fn(|cx| stream.poll_capacity(cx))).await;
        let Ok(Some(Ok(granted))) = granted else { break };
        let piece = granted.min(most - sent);
        stream.send_data(Bytes::from(vec![b'x'; piece]), false).expect("open");
        sent += piece;
    }
    sent
}

/// Waits until the peer resets the stream.
pub(crate) async fn reset(stream: &mut SendStream<Bytes>) -> Reason {
    timeout(PATIENCE, poll_fn(|cx| stream.poll_reset(cx))).await.expect("no reset").expect("a reset")
}

/// A request as an upstream sees it.
pub(crate) type Seen = (Request<RecvStream>, SendResponse<Bytes>);

/// An upstream's side of a connection.
pub(crate) struct H2Peer {
    requests: mpsc::UnboundedReceiver<Seen>,
    driver: JoinHandle<Result<(), Error>>,
}

impl H2Peer {
    /// Speaks HTTP/2 on a connection from the proxy.
    pub(crate) async fn over(socket: impl Socket + 'static, change: impl FnOnce(&mut server::Builder)) -> Self {
        let mut builder = server::Builder::new();
        change(&mut builder);
        let handshake = timeout(PATIENCE, builder.handshake(socket)).await.expect("no preface");
        let mut connection: server::Connection<_, Bytes> = handshake.expect("preface");
        let (sender, requests) = mpsc::unbounded_channel();
        let driver = tokio::spawn(async move {
            while let Some(request) = connection.accept().await {
                // A test that has seen enough lets go of the receiver.
                let _ = sender.send(request?);
            }
            Ok(())
        });
        Self { requests, driver }
    }

    /// The next request.
    pub(crate) async fn request(&mut self) -> Seen {
        timeout(PATIENCE, self.requests.recv()).await.expect("no request").expect("open")
    }

    /// The next request, however long it takes; `None`: the connection is over.
    pub(crate) async fn next(&mut self) -> Option<Seen> {
        self.requests.recv().await
    }

    /// Closes the connection under its streams.
    pub(crate) fn drop_connection(&self) {
        self.driver.abort();
    }
}

impl Upstream {
    /// The next connection, which speaks HTTP/2 in clear.
    pub(crate) async fn accept_h2(&self) -> H2Peer {
        self.accept_h2_with(|_| {}).await
    }

    pub(crate) async fn accept_h2_with(&self, change: impl FnOnce(&mut server::Builder)) -> H2Peer {
        H2Peer::over(self.accept().await.socket, change).await
    }
}

/// Answers with a body that is here already.
pub(crate) fn respond(respond: &mut SendResponse<Bytes>, status: u16, body: &str) {
    let response = Response::builder().status(status).body(()).expect("a response");
    let mut stream = respond.send_response(response, body.is_empty()).expect("open");
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).expect("open");
    }
}
