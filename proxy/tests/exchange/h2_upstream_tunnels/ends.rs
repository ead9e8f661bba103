//! The two ends of a WebSocket whose upstream speaks HTTP/2 alone.

use crate::harness::h2::{H2Client, H2Peer, Over, body, head, piece};
use crate::harness::tunnel::{UPGRADE, client, connect};
use crate::harness::{Client, Ended, Running, Upstream};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::Response;

/// The client's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaking {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Speaking; 2] = [Speaking::Http1, Speaking::Http2];

/// The client's end.
pub(crate) enum Near {
    Http1(Client),
    Http2 { _client: H2Client, stream: Far },
}

/// An end that is a stream.
pub(crate) struct Far {
    pub(crate) send: SendStream<Bytes>,
    pub(crate) received: RecvStream,
    seen: Vec<u8>,
}

impl Far {
    pub(crate) fn new(send: SendStream<Bytes>, received: RecvStream) -> Self {
        Self { send, received, seen: vec![] }
    }

    pub(crate) fn say(&mut self, text: &'static str) {
        self.send.send_data(Bytes::from_static(text.as_bytes()), false).expect("open");
    }

    pub(crate) fn finish(&mut self) {
        self.send.send_data(Bytes::new(), true).expect("open");
    }

    pub(crate) async fn hears(&mut self, text: &str) {
        while self.seen.len() < text.len() {
            self.seen.extend(piece(&mut self.received).await);
        }
        assert_eq!(std::mem::take(&mut self.seen), text.as_bytes());
    }

    /// How the other side ended its half, when nothing came before.
    pub(crate) async fn end(&mut self) -> Result<(), Option<Reason>> {
        let (rest, ended) = body(&mut self.received).await;
        assert!(rest.is_empty(), "{rest:?}");
        ended.map(|trailers| assert_eq!(trailers, None))
    }
}

impl Near {
    pub(crate) async fn say(&mut self, text: &'static str) {
        match self {
            Self::Http1(client) => client.send(text).await,
            Self::Http2 { stream, .. } => stream.say(text),
        }
    }

    pub(crate) async fn hears(&mut self, text: &str) {
        match self {
            Self::Http1(client) => assert_eq!(client.exactly(text.len()).await, text),
            Self::Http2 { stream, .. } => stream.hears(text).await,
        }
    }

    pub(crate) async fn finish(&mut self) {
        match self {
            Self::Http1(client) => client.finish().await,
            Self::Http2 { stream, .. } => stream.finish(),
        }
    }

    pub(crate) async fn is_finished(&mut self) {
        match self {
            Self::Http1(client) => client.is_closed().await,
            Self::Http2 { stream, .. } => assert_eq!(stream.end().await, Ok(())),
        }
    }

    pub(crate) async fn is_reset(&mut self) {
        match self {
            Self::Http1(client) => assert_eq!(client.rest_and_end().await, (String::new(), Ended::Badly)),
            Self::Http2 { stream, .. } => assert_eq!(stream.end().await, Err(Some(Reason::CANCEL))),
        }
    }

    /// Resets; gives what it still stands on.
    pub(crate) fn reset(self) -> Option<H2Client> {
        match self {
            Self::Http1(client) => {
                client.reset();
                None
            }
            Self::Http2 { _client: client, stream: Far { mut send, .. } } => {
                send.send_reset(Reason::CANCEL);
                Some(client)
            }
        }
    }
}

/// An open WebSocket; `up` is the upstream's connection where there is one.
pub(crate) async fn opened(
    speaking: Speaking,
    upstream: &Upstream,
    up: Option<H2Peer>,
    proxy: &Running,
) -> (Near, Far, H2Peer) {
    match speaking {
        Speaking::Http1 => {
            let mut client = proxy.client().await;
            client.send(UPGRADE).await;
            let (far, up) = agreed(upstream, up).await;
            client.head().await;
            (Near::Http1(client), far, up)
        }
        Speaking::Http2 => {
            let mut client = client(proxy, Over::Clear).await;
            let (response, send) = connect(&mut client, "websocket").await;
            let (far, up) = agreed(upstream, up).await;
            let received = head(response).await.into_body();
            (Near::Http2 { _client: client, stream: Far::new(send, received) }, far, up)
        }
    }
}

pub(crate) async fn agreed(upstream: &Upstream, up: Option<H2Peer>) -> (Far, H2Peer) {
    let mut up = match up {
        Some(up) => up,
        None => upstream.accept_h2_with(|builder| _ = builder.enable_connect_protocol()).await,
    };
    let (asked, mut sent) = up.request().await;
    let send = sent.send_response(Response::new(()), false).expect("open");
    (Far::new(send, asked.into_body()), up)
}

pub(crate) fn path(speaking: Speaking) -> &'static str {
    match speaking {
        Speaking::Http1 => "GET /chat 101",
        Speaking::Http2 => "GET /chat?room=1 101",
    }
}
