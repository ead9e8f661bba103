//! Why a question got no answer from upstream.

use crate::extended_error::ExtendedError;
use hickory_proto::op::ResponseCode;
use std::fmt::Display;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no upstream is set for this name")]
    NoUpstream,
    #[error("the upstreams that are set are not for this name (`except` of `forward`)")]
    LeftOut,
    #[error("too many questions are waiting for upstreams")]
    Busy,
    #[error("the question came back from the upstream that it was sent to")]
    Loop,
    #[error("all upstreams are down")]
    Down,
    /// A fault of this host, which says nothing about upstreams.
    #[error("no socket is to be had")]
    NoSocket,
    #[error("no upstream answered")]
    Unanswered,
    /// The same, and what was wrong with the last one: for operators, since it has addresses of ours.
    #[error("no upstream answered")]
    Fault(Arc<str>),
    /// Whatever it was: upstreams may have answered, that they cannot tell.
    #[error("this failed a moment ago")]
    Remembered,
    #[error("the upstream's answer is malformed")]
    Malformed,
}

impl Failure {
    /// In words for operators.
    pub(crate) fn cause(&self) -> &dyn Display {
        match self {
            Self::Fault(cause) => cause,
            other => other,
        }
    }

    /// Whether nobody is set to be asked.
    pub(crate) fn is_of_nobody(&self) -> bool {
        matches!(self, Self::NoUpstream | Self::LeftOut)
    }

    /// Whether nobody said anything: another question would wait as long.
    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unanswered | Self::Fault(_) | Self::Down)
    }

    /// All but one are SERVFAIL, with which glibc goes on through its search list. It leaves the list at REFUSED.
    pub(crate) fn code(&self) -> ResponseCode {
        match self {
            Self::Busy => ResponseCode::Refused,
            _ => ResponseCode::ServFail,
        }
    }

    pub(crate) fn extended_error(&self) -> ExtendedError {
        match self {
            Self::NoUpstream | Self::LeftOut => ExtendedError::NotAuthoritative,
            Self::Busy | Self::Loop | Self::NoSocket => ExtendedError::Other,
            Self::Unanswered | Self::Fault(_) | Self::Down => ExtendedError::NoReachableAuthority,
            Self::Remembered => ExtendedError::CachedError,
            Self::Malformed => ExtendedError::InvalidData,
        }
    }

    /// The word in the metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoUpstream | Self::LeftOut => "no_upstream",
            Self::Busy => "busy",
            Self::Loop => "loop",
            Self::Down => "down",
            Self::NoSocket => "no_socket",
            Self::Unanswered | Self::Fault(_) => "unanswered",
            Self::Remembered => "remembered",
            Self::Malformed => "malformed",
        }
    }

    /// Whether it will be so again in a moment, so that nobody needs to be asked.
    pub(super) fn lasts(&self) -> bool {
        matches!(self, Self::Unanswered | Self::Fault(_) | Self::Malformed)
    }
}
