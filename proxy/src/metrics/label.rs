//! Label values: small closed sets, so that a tally for each is an array.

use crate::record::Reason;
use crate::tls::HandshakeFailure;
use config::ListenerName;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread changes and any may read: changing it is a plain load and store.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    pub(super) fn add(&self, number: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(number), Relaxed);
    }

    pub(super) fn subtract(&self, number: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(number), Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The values of a label.
pub(crate) trait LabelValue: Copy + fmt::Debug + 'static {
    /// Every value, in the order of their slots.
    const ALL: &'static [Self];
    /// A tally for each value.
    type Tallies: AsRef<[Tally]> + fmt::Debug;
    /// All zero.
    fn tallies() -> Self::Tallies;
    /// The value's place in `ALL`.
    fn slot(self) -> usize;
    /// The value as it is shown.
    fn label(self) -> &'static str;
}

/// A tally for each value of a label.
#[derive(Debug)]
pub(super) struct Tallies<T: LabelValue>(T::Tallies);

impl<T: LabelValue> Default for Tallies<T> {
    fn default() -> Self {
        Self(T::tallies())
    }
}

impl<T: LabelValue> Tallies<T> {
    pub(super) fn add(&self, value: T, number: u64) {
        if let Some(tally) = self.0.as_ref().get(value.slot()) {
            tally.add(number);
        }
    }

    pub(super) fn subtract(&self, value: T, number: u64) {
        if let Some(tally) = self.0.as_ref().get(value.slot()) {
            tally.subtract(number);
        }
    }

    pub(super) fn value(&self, value: T) -> u64 {
        self.0.as_ref().get(value.slot()).map_or(0, Tally::value)
    }
}

/// Lists the variants of an enum: the match fails to compile when one is missing.
macro_rules! label_values {
    ($type:ty, $label:expr, [$($variant:ident),+ $(,)?]) => {
        impl LabelValue for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            type Tallies = [Tally; [$(<$type>::$variant),+].len()];

            fn tallies() -> Self::Tallies {
                std::array::from_fn(|_| Tally::default())
            }

            fn slot(self) -> usize {
                match self {
                    $(Self::$variant)|+ => self as usize,
                }
            }

            fn label(self) -> &'static str {
                $label(self)
            }
        }
    };
}

/// What is spoken on a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    /// Not known yet: no byte of a request came, or the TLS handshake runs.
    New,
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Switched to another protocol, such as WebSocket; also an HTTP/2 stream that was.
    Tunnel,
}

label_values!(
    ConnectionKind,
    |kind| match kind {
        ConnectionKind::New => "new",
        ConnectionKind::Http1 => "http1",
        ConnectionKind::Http2 => "http2",
        ConnectionKind::Tunnel => "tunnel",
    },
    [New, Http1, Http2, Tunnel]
);

/// Why a connection was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusedFor {
    /// As many connections as allowed were open.
    Ceiling,
    /// The process or the system had no file descriptor left.
    Descriptors,
    /// The system failed to set it up.
    Error,
}

label_values!(
    RefusedFor,
    |reason| match reason {
        RefusedFor::Ceiling => "ceiling",
        RefusedFor::Descriptors => "descriptors",
        RefusedFor::Error => "error",
    },
    [Ceiling, Descriptors, Error]
);

/// What is spoken on a connection to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum UpstreamProtocol {
    Http1,
    Http2,
}

label_values!(
    UpstreamProtocol,
    |protocol| match protocol {
        UpstreamProtocol::Http1 => "http1",
        UpstreamProtocol::Http2 => "http2",
    },
    [Http1, Http2]
);

/// What a connection to an endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamState {
    /// TCP or TLS is being set up.
    Connecting,
    /// At least one exchange runs on it.
    Busy,
    /// It waits in the pool.
    Idle,
}

label_values!(
    UpstreamState,
    |state| match state {
        UpstreamState::Connecting => "connecting",
        UpstreamState::Busy => "busy",
        UpstreamState::Idle => "idle",
    },
    [Connecting, Busy, Idle]
);

/// The version of a finished handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TlsVersion {
    Tls12,
    Tls13,
}

label_values!(
    TlsVersion,
    |version| match version {
        TlsVersion::Tls12 => "TLSv1.2",
        TlsVersion::Tls13 => "TLSv1.3",
    },
    [Tls12, Tls13]
);

/// The first digit of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CodeClass {
    C1,
    C2,
    C3,
    C4,
    C5,
}

impl From<u16> for CodeClass {
    fn from(status: u16) -> Self {
        match status / 100 {
            1 => Self::C1,
            2 => Self::C2,
            3 => Self::C3,
            4 => Self::C4,
            _ => Self::C5,
        }
    }
}

label_values!(
    CodeClass,
    |class| match class {
        CodeClass::C1 => "1xx",
        CodeClass::C2 => "2xx",
        CodeClass::C3 => "3xx",
        CodeClass::C4 => "4xx",
        CodeClass::C5 => "5xx",
    },
    [C1, C2, C3, C4, C5]
);

label_values!(
    ListenerName,
    |listener| match listener {
        ListenerName::Http => "http",
        ListenerName::Https => "https",
    },
    [Http, Https]
);

label_values!(
    HandshakeFailure,
    |failure| match failure {
        HandshakeFailure::Timeout => "timeout",
        HandshakeFailure::Closed => "closed",
        HandshakeFailure::NotTls => "not_tls",
        HandshakeFailure::Incompatible => "incompatible",
        HandshakeFailure::Alert => "alert",
        HandshakeFailure::Protocol => "protocol",
    },
    [Timeout, Closed, NotTls, Incompatible, Alert, Protocol]
);

label_values!(
    Reason,
    Reason::as_str,
    [
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
    ]
);

/// Every value as it is shown.
#[cfg(test)]
pub(crate) fn label_words<T: LabelValue>() -> Vec<&'static str> {
    T::ALL.iter().map(|value| value.label()).collect()
}
