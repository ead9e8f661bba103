//! What an attempt's failure means: the status, the reason word, and whether another attempt may follow.

use crate::health::FailureKind;
use crate::pool::ConnectFailure;
use crate::record::Reason;
use crate::up::UpError;

/// Which requests may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// All: the upstream did not act on this one.
    Always,
    /// Those that may be done twice: it may have acted.
    IfIdempotent,
    Never,
}

/// A failed attempt, before any byte of an answer went to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) reason: Reason,
    pub(super) retry: Retry,
    /// What the endpoint is blamed for.
    pub(super) blame: Option<FailureKind>,
}

impl Failure {
    pub(super) fn of_connect(failure: ConnectFailure) -> Self {
        use ConnectFailure as C;
        let (status, reason, retry, blame) = match failure {
            C::Connect => (502, Reason::ConnectFailed, Retry::Always, Some(FailureKind::Connect)),
            C::Gone => (502, Reason::ConnectFailed, Retry::Always, None),
            C::Timeout => (504, Reason::ConnectTimeout, Retry::Always, Some(FailureKind::Connect)),
            // Whatever took so long: an endpoint that takes no connection in that time must not be tried for ever.
            C::AttemptTimeout => (504, Reason::ConnectTimeout, Retry::Always, Some(FailureKind::Timeout)),
            C::Tls => (502, Reason::TlsFailed, Retry::Always, Some(FailureKind::Connect)),
            C::Protocol => (502, Reason::UpstreamProtocol, Retry::Always, Some(FailureKind::Connect)),
            C::LocalPorts => (503, Reason::LocalPorts, Retry::Never, None),
            C::LocalResources => (503, Reason::LocalResources, Retry::Never, None),
            C::Overflow => (503, Reason::Overflow, Retry::Always, None),
        };
        Self { status, reason, retry, blame }
    }

    pub(super) fn of_upstream(error: UpError) -> Self {
        let (status, reason, retry, blame) = match error {
            // Of an answer that was cut nobody has seen anything yet.
            UpError::Silent | UpError::Reset | UpError::Cut => {
                (502, Reason::UpstreamReset, Retry::IfIdempotent, Some(FailureKind::Reset))
            }
            UpError::Refused | UpError::NeedsHttp1 => (502, Reason::UpstreamReset, Retry::Always, None),
            UpError::Protocol => (502, Reason::UpstreamProtocol, Retry::Never, Some(FailureKind::Reset)),
        };
        Self { status, reason, retry, blame }
    }

    /// Whether the endpoint had the request, and may have acted on it, but gave no answer or not all of it.
    pub(super) fn is_loss(self) -> bool {
        self.blame == Some(FailureKind::Reset) && self.retry == Retry::IfIdempotent
    }

    /// An answer with a status after which the rule wants another attempt.
    pub(super) fn of_status(status: u16) -> Self {
        Self { status, reason: Reason::UpstreamStatus, retry: Retry::IfIdempotent, blame: None }
    }

    /// The endpoint speaks HTTP/2 alone and takes no WebSockets over it: it was not asked. Nor are others: those of a
    /// Service run the same program, and clients could use up the budget of its retries.
    pub(super) const NO_WEBSOCKET: Self =
        Self { status: 502, reason: Reason::NoWebSocket, retry: Retry::Never, blame: None };

    /// The client's head cannot be said in HTTP/2: no endpoint was asked.
    pub(super) const NOT_FOR_H2: Self =
        Self { status: 400, reason: Reason::BadRequest, retry: Retry::Never, blame: None };

    /// The client's WebSocket handshake has no key, or none that could be answered (RFC 6455 §4.2.1): no endpoint was asked.
    pub(super) const BAD_KEY: Self = Self { status: 400, reason: Reason::BadRequest, retry: Retry::Never, blame: None };

    pub(super) const HEAD_TIMEOUT: Self =
        Self { status: 504, reason: Reason::UpstreamTimeout, retry: Retry::Never, blame: Some(FailureKind::Timeout) };

    /// The time that a rule gives an attempt is there for the next one's sake.
    pub(super) const ATTEMPT_TIMEOUT: Self = Self { retry: Retry::IfIdempotent, ..Self::HEAD_TIMEOUT };
}
