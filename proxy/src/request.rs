//! A request in canonical form: read once from either version, then matched, forwarded and logged from here only.

mod asked;
mod connection;
mod framing;
mod h1;
mod h2;
#[cfg(test)]
mod tests;

pub(crate) use asked::Asked;
pub(crate) use connection::ConnectionOptions;
pub(crate) use framing::Framing;

use crate::fields::Fields;
use crate::record::{Reason, Version};
use bytes::Bytes;
use config::{CanonicalPath, Host};

/// A method, as far as its name changes what the proxy does; names are case-sensitive (RFC 9110 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Connect,
    Other,
}

impl Method {
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Whether doing it twice is doing it once (RFC 9110 §9.2.2).
    pub(crate) fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace)
    }

    /// Whether a request without a body says so with `Content-Length: 0` (RFC 9110 §8.6).
    pub(crate) fn expects_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Path(CanonicalPath),
    /// `OPTIONS *`.
    Asterisk,
}

impl Target {
    /// The path for matching; only a rule for every path takes `*`.
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Path(path) => path.path(),
            Self::Asterisk => "*",
        }
    }

    /// The target as it is forwarded and logged.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Path(path) => path.path_and_query(),
            Self::Asterisk => "*",
        }
    }
}

/// What follows the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    None,
    Known(u64),
    Unknown,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) version: Version,
    pub(crate) method: Method,
    /// The method's name as it came.
    pub(crate) method_name: Bytes,
    pub(crate) target: Target,
    /// `None` only for HTTP/1.0 without a Host field.
    pub(crate) host: Option<Host>,
    /// The authority as it came, which is what the backend gets.
    pub(crate) authority: Bytes,
    pub(crate) fields: Fields,
    pub(crate) body: BodyLength,
    pub(crate) options: ConnectionOptions,
    /// Whether the client asks to speak WebSocket, by HTTP/1 upgrade or by extended CONNECT.
    pub(crate) is_websocket: bool,
    /// Whether the client waits for a 100 before it sends its body.
    pub(crate) expects_continue: bool,
}

impl Request {
    /// The host's name for matching; empty: only rules for any host.
    pub(crate) fn host_name(&self) -> &str {
        self.host.as_ref().map_or("", |host| host.name.as_str())
    }

    /// Whether it is a gRPC call, whose errors are told in gRPC's way.
    pub(crate) fn is_grpc(&self) -> bool {
        let content_type = self.fields.first(crate::fields::FieldName::ContentType);
        content_type.is_some_and(|value| value.starts_with(b"application/grpc"))
    }
}

/// A request that is answered before it is routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) reason: Reason,
}

impl Refusal {
    pub(crate) const BAD_REQUEST: Self = Self { status: 400, reason: Reason::BadRequest };
    pub(crate) const BAD_PATH: Self = Self { status: 400, reason: Reason::BadPath };
    pub(crate) const BAD_HOST: Self = Self { status: 400, reason: Reason::BadHost };
    pub(crate) const METHOD: Self = Self { status: 405, reason: Reason::MethodNotAllowed };
    pub(crate) const EXPECTATION: Self = Self { status: 417, reason: Reason::ExpectationFailed };
    pub(crate) const PROTOCOL: Self = Self { status: 501, reason: Reason::NotImplemented };
    pub(crate) const TARGET_TOO_LONG: Self = Self { status: 414, reason: Reason::TargetTooLong };
    pub(crate) const HEAD_TOO_LARGE: Self = Self { status: 431, reason: Reason::HeadTooLarge };
}

/// The methods that a refused CONNECT or TRACE is told of, and `OPTIONS *`.
pub(crate) const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Whether the client waits for a 100 (RFC 9110 §10.1.1); what else it may expect cannot be met.
fn expectation(fields: &Fields) -> Result<bool, Refusal> {
    let mut expects = false;
    for value in fields.all(crate::fields::FieldName::Expect) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::EXPECTATION);
        }
        expects = true;
    }
    Ok(expects)
}
