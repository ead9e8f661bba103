//! Label values: small closed sets, so that a tally for each is an array.

use crate::record::{Phase, Reason};
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

/// Lists the variants of an enum with their labels: the match fails to compile when one is missing.
macro_rules! label_values {
    ($type:ident { $($variant:ident = $label:literal),+ $(,)? }) => {
        impl LabelValue for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            type Tallies = [Tally; [$($type::$variant),+].len()];

            fn tallies() -> Self::Tallies {
                std::array::from_fn(|_| Tally::default())
            }

            fn slot(self) -> usize {
                self as usize
            }

            fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label),+
                }
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

label_values!(ConnectionKind { New = "new", Http1 = "http1", Http2 = "http2", Tunnel = "tunnel" });

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

label_values!(RefusedFor { Ceiling = "ceiling", Descriptors = "descriptors", Error = "error" });

/// What is spoken on a connection to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum UpstreamProtocol {
    Http1,
    Http2,
}

label_values!(UpstreamProtocol { Http1 = "http1", Http2 = "http2" });

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

label_values!(UpstreamState { Connecting = "connecting", Busy = "busy", Idle = "idle" });

/// The version of a finished handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TlsVersion {
    Tls12,
    Tls13,
}

label_values!(TlsVersion { Tls12 = "TLSv1.2", Tls13 = "TLSv1.3" });

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

label_values!(CodeClass { C1 = "1xx", C2 = "2xx", C3 = "3xx", C4 = "4xx", C5 = "5xx" });

label_values!(Phase {
    Head = "head",
    Route = "route",
    Connect = "connect",
    Send = "send",
    Wait = "wait",
    Stream = "stream",
    Tunnel = "tunnel",
});

label_values!(ListenerName { Http = "http", Https = "https" });

label_values!(HandshakeFailure {
    Timeout = "timeout",
    Closed = "closed",
    NotTls = "not_tls",
    Incompatible = "incompatible",
    Alert = "alert",
    Protocol = "protocol",
});

impl LabelValue for Reason {
    const ALL: &'static [Self] = &Self::ALL;

    type Tallies = [Tally; Self::ALL.len()];

    fn tallies() -> Self::Tallies {
        std::array::from_fn(|_| Tally::default())
    }

    fn slot(self) -> usize {
        self as usize
    }

    fn label(self) -> &'static str {
        self.as_str()
    }
}

/// Every value as it is shown.
#[cfg(test)]
pub(crate) fn label_words<T: LabelValue>() -> Vec<&'static str> {
    T::ALL.iter().map(|value| value.label()).collect()
}
