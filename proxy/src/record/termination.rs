//! Who ended an exchange and how, for people who know HAProxy's termination states and Envoy's response flags.

use super::{Ending, Phase, Reason, Record};

/// Whose doing the end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum By {
    Client,
    Upstream,
    Proxy,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As it should.
    Complete,
    /// A message ended before its framing said so.
    Cut,
    /// A connection or stream was closed or reset.
    Reset,
    /// A clock ran out.
    Timeout(Waited),
    /// What was sent breaks the protocol.
    Protocol,
    /// It was not taken on.
    Refused,
    /// Its time for the whole was over.
    Deadline,
    /// The process stops.
    Drain,
}

/// What a clock that ran out had waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Waited {
    Head,
    Body,
    Connect,
    Write,
    Tunnel,
}

/// Who and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Termination {
    /// `None`: nobody, it came to its end.
    pub by: Option<By>,
    /// How.
    pub how: How,
}

impl Termination {
    /// How an exchange ended, by its reason and how far it had come.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let Some(reason) = record.reason else {
            let how = if record.ending == Ending::Cut { How::Cut } else { How::Complete };
            return Self { by: None, how };
        };
        let (by, how) = ended(reason, record.phase);
        Self { by: Some(by), how }
    }
}

fn ended(reason: Reason, phase: Phase) -> (By, How) {
    use Reason as R;
    let has_answer = matches!(phase, Phase::Stream | Phase::Tunnel);
    match reason {
        R::RedirectHttps => (By::Proxy, How::Complete),
        R::NoRoute
        | R::NoBackend
        | R::NoEndpoint
        | R::ResourceBackend
        | R::NoWebSocket
        | R::NoClientCa
        | R::ClientCertificate
        | R::Misdirected
        | R::Overflow
        | R::LocalPorts
        | R::LocalResources
        | R::RetryDenied
        | R::TargetTooLong
        | R::HeadTooLarge
        | R::UploadTooLarge
        | R::MethodNotAllowed
        | R::ExpectationFailed
        | R::NotImplemented => (By::Proxy, How::Refused),
        // It stands for a try in the metrics; a record has the word of what came of it.
        R::UpstreamStatus => (By::Upstream, How::Complete),
        R::ConnectFailed => (By::Upstream, How::Refused),
        R::ConnectTimeout => (By::Upstream, How::Timeout(Waited::Connect)),
        R::TlsFailed | R::UpstreamProtocol => (By::Upstream, How::Protocol),
        R::UpstreamTimeout if has_answer => (By::Upstream, How::Timeout(Waited::Body)),
        R::UpstreamTimeout => (By::Upstream, How::Timeout(Waited::Head)),
        R::UpstreamReset if phase == Phase::Stream => (By::Upstream, How::Cut),
        R::UpstreamReset => (By::Upstream, How::Reset),
        R::Deadline => (By::Proxy, How::Deadline),
        R::ClientGone => (By::Client, How::Reset),
        R::ClientTimeout if phase == Phase::Head => (By::Client, How::Timeout(Waited::Head)),
        R::ClientTimeout => (By::Client, How::Timeout(Waited::Body)),
        R::ClientReset => (By::Client, How::Cut),
        R::WriteTimeout => (By::Client, How::Timeout(Waited::Write)),
        R::TunnelTimeout => (By::Proxy, How::Timeout(Waited::Tunnel)),
        R::BadRequest | R::BadPath | R::BadHost | R::BadVersion => (By::Client, How::Protocol),
        R::Draining | R::DrainRace => (By::Proxy, How::Drain),
        R::Internal => (By::Proxy, How::Cut),
    }
}

impl By {
    /// The word as it is logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        }
    }
}

impl How {
    /// The word as it is logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::Reset => "reset",
            Self::Timeout(Waited::Head) => "timeout:head",
            Self::Timeout(Waited::Body) => "timeout:body",
            Self::Timeout(Waited::Connect) => "timeout:connect",
            Self::Timeout(Waited::Write) => "timeout:write",
            Self::Timeout(Waited::Tunnel) => "timeout:tunnel",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Deadline => "deadline",
            Self::Drain => "drain",
        }
    }
}
