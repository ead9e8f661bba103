//! What is known of one exchange at its end: the source of its access log line and of its metrics.

mod termination;

pub use termination::{By, How, Termination, Waited};

use config::{BackendKey, EndpointAddress, ListenerName, ObjectRef};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Writes each reason down once: the variant and its word.
macro_rules! reasons {
    ($($variant:ident = $word:literal),+ $(,)?) => {
        /// Why an exchange did not go as the client and the backend wished; the word stands in the access log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the words say it")]
        pub enum Reason {
            $($variant),+
        }

        impl Reason {
            /// All of them, in order.
            pub(crate) const ALL: [Self; [$($word),+].len()] = [$(Self::$variant),+];

            /// The word as it is logged.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }
    };
}

reasons! {
    NoRoute = "no_route",
    NoBackend = "no_backend",
    NoEndpoint = "no_endpoint",
    RedirectHttps = "redirect_https",
    ResourceBackend = "resource_backend",
    NoWebSocket = "no_websocket",
    NoClientCa = "no_client_ca",
    ClientCertificate = "client_certificate",
    Misdirected = "misdirected",
    ConnectFailed = "connect_failed",
    ConnectTimeout = "connect_timeout",
    TlsFailed = "tls_failed",
    UpstreamTimeout = "upstream_timeout",
    UpstreamReset = "upstream_reset",
    UpstreamProtocol = "upstream_protocol",
    UpstreamStatus = "upstream_status",
    Overflow = "overflow",
    LocalPorts = "local_ports",
    LocalResources = "local_resources",
    RetryDenied = "retry_denied",
    Deadline = "deadline",
    ClientGone = "client_gone",
    ClientTimeout = "client_timeout",
    ClientReset = "client_reset",
    WriteTimeout = "write_timeout",
    TunnelTimeout = "tunnel_timeout",
    BadRequest = "bad_request",
    BadPath = "bad_path",
    BadHost = "bad_host",
    TargetTooLong = "target_too_long",
    HeadTooLarge = "head_too_large",
    UploadTooLarge = "upload_too_large",
    BadVersion = "bad_version",
    MethodNotAllowed = "method_not_allowed",
    ExpectationFailed = "expectation_failed",
    NotImplemented = "not_implemented",
    Draining = "draining",
    DrainRace = "drain_race",
    Internal = "internal",
}

/// The version of a request as the client spoke it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

/// How far an exchange came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Its head is read.
    Head,
    /// It is routed, or answered here.
    Route,
    /// A connection to an endpoint is looked for or made.
    Connect,
    /// The request is sent.
    Send,
    /// All of it was sent, and the answer is waited for.
    Wait,
    /// The answer is passed on.
    Stream,
    /// Bytes are passed both ways.
    Tunnel,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Ending {
    Complete,
    Cut,
}

/// Heads, bodies and framing that passed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireBytes {
    /// Received from the peer.
    pub received: u64,
    /// Sent to the peer.
    pub sent: u64,
}

impl WireBytes {
    /// What passed since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { received: self.received - before.received, sent: self.sent - before.sent }
    }
}

/// One exchange.
#[derive(Debug, Clone)]
pub struct Record {
    /// When its head was read; the epoch until it is logged, since nobody else asks.
    pub time: SystemTime,
    /// The peer.
    pub client: SocketAddr,
    /// The listener it came in on.
    pub listener: ListenerName,
    /// `TLSv1.3` or `TLSv1.2`.
    pub tls: Option<&'static str>,
    /// The server name that a TLS client asked for.
    pub server_name: Option<Arc<str>>,
    /// The version spoken.
    pub version: Version,
    /// The method; empty where the head could not be read.
    pub method: String,
    /// The host in canonical form.
    pub host: String,
    /// Path and query in canonical form.
    pub path: String,
    /// Its id, sent upstream as `X-Request-ID`.
    pub request_id: String,
    /// The status sent; 499 where the client left before one was.
    pub status: u16,
    /// Set where the answer was made or ended here, or is the backend's since no other attempt was allowed.
    pub reason: Option<Reason>,
    /// How far it came.
    pub phase: Phase,
    /// How it ended.
    pub ending: Ending,
    /// The route that took it.
    pub route: Option<Arc<ObjectRef>>,
    /// The rule of it, as the path of its field in the route.
    pub rule: Option<Arc<str>>,
    /// The backend it went to.
    pub backend: Option<Arc<BackendKey>>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<EndpointAddress>,
    /// Attempts made.
    pub attempts: u32,
    /// Whether the last attempt used a kept connection.
    pub reused: bool,
    /// What the last attempt's connection speaks; `None` without one.
    pub upstream_version: Option<Version>,
    /// The status of the endpoint's answer; `None` where it had none.
    pub upstream_status: Option<u16>,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Bytes of the exchange on an HTTP/1 client's connection, before encryption.
    pub wire: Option<WireBytes>,
    /// The same of the last attempt on an HTTP/1 connection to an endpoint.
    pub upstream_wire: Option<WireBytes>,
    /// From pick to connection of the last attempt; `None` without one.
    pub connect: Option<Duration>,
    /// From head read until the last attempt had sent all of the request.
    pub sent: Option<Duration>,
    /// From head read to the first byte of the upstream's answer.
    pub first_byte: Option<Duration>,
    /// From head read to the end.
    pub total: Duration,
}

impl Record {
    /// What is known of one before anything of it is.
    pub(crate) fn of(client: SocketAddr, listener: ListenerName) -> Self {
        Self {
            time: SystemTime::UNIX_EPOCH,
            client,
            listener,
            tls: None,
            server_name: None,
            version: Version::Http11,
            method: String::new(),
            host: String::new(),
            path: String::new(),
            request_id: String::new(),
            status: 0,
            reason: None,
            phase: Phase::Head,
            ending: Ending::Complete,
            route: None,
            rule: None,
            backend: None,
            endpoint: None,
            attempts: 0,
            reused: false,
            upstream_version: None,
            upstream_status: None,
            bytes_in: 0,
            bytes_out: 0,
            wire: None,
            upstream_wire: None,
            connect: None,
            sent: None,
            first_byte: None,
            total: Duration::ZERO,
        }
    }
}
