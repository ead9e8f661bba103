//! What is known of one exchange at its end: the source of its access log line and of its metrics.

use config::{BackendKey, EndpointAddress, ListenerName, ObjectRef};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Why an exchange did not go as the client and the backend wished; the word stands in the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Reason {
    NoRoute,
    NoBackend,
    NoEndpoint,
    RedirectHttps,
    ResourceBackend,
    NoWebSocket,
    ConnectFailed,
    ConnectTimeout,
    TlsFailed,
    UpstreamTimeout,
    UpstreamReset,
    UpstreamProtocol,
    Overflow,
    LocalPorts,
    LocalResources,
    RetryDenied,
    Deadline,
    ClientGone,
    ClientTimeout,
    ClientReset,
    WriteTimeout,
    TunnelTimeout,
    BadRequest,
    BadPath,
    BadHost,
    TargetTooLong,
    HeadTooLarge,
    UploadTooLarge,
    BadVersion,
    MethodNotAllowed,
    ExpectationFailed,
    NotImplemented,
    Draining,
    DrainRace,
    Internal,
}

impl Reason {
    /// The word as it is logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::NoBackend => "no_backend",
            Self::NoEndpoint => "no_endpoint",
            Self::RedirectHttps => "redirect_https",
            Self::ResourceBackend => "resource_backend",
            Self::NoWebSocket => "no_websocket",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::TlsFailed => "tls_failed",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamReset => "upstream_reset",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::Overflow => "overflow",
            Self::LocalPorts => "local_ports",
            Self::LocalResources => "local_resources",
            Self::RetryDenied => "retry_denied",
            Self::Deadline => "deadline",
            Self::ClientGone => "client_gone",
            Self::ClientTimeout => "client_timeout",
            Self::ClientReset => "client_reset",
            Self::WriteTimeout => "write_timeout",
            Self::TunnelTimeout => "tunnel_timeout",
            Self::BadRequest => "bad_request",
            Self::BadPath => "bad_path",
            Self::BadHost => "bad_host",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::UploadTooLarge => "upload_too_large",
            Self::BadVersion => "bad_version",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ExpectationFailed => "expectation_failed",
            Self::NotImplemented => "not_implemented",
            Self::Draining => "draining",
            Self::DrainRace => "drain_race",
            Self::Internal => "internal",
        }
    }
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
#[expect(missing_docs, reason = "the names say it")]
pub enum Phase {
    Head,
    Connect,
    Wait,
    Stream,
    Tunnel,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Ending {
    Complete,
    Cut,
}

/// One exchange.
#[derive(Debug, Clone)]
pub struct Record {
    /// When its head was read.
    pub time: SystemTime,
    /// The peer.
    pub client: SocketAddr,
    /// The listener it came in on.
    pub listener: ListenerName,
    /// `TLSv1.3` or `TLSv1.2`.
    pub tls: Option<&'static str>,
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
    /// Set where the answer was made or ended here.
    pub reason: Option<Reason>,
    /// How far it came.
    pub phase: Phase,
    /// How it ended.
    pub ending: Ending,
    /// The route that took it.
    pub route: Option<Arc<ObjectRef>>,
    /// The backend it went to.
    pub backend: Option<BackendKey>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<EndpointAddress>,
    /// Attempts made.
    pub attempts: u32,
    /// Whether the last attempt used a kept connection.
    pub reused: bool,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// From pick to connection of the last attempt; `None` without one.
    pub connect: Option<Duration>,
    /// From head read to the first byte of the upstream's answer.
    pub first_byte: Option<Duration>,
    /// From head read to the end.
    pub total: Duration,
}
